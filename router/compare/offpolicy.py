"""What another policy would have scored, estimated from answers that were given with a known probability.

A live experiment answers each question in one mode only. Weighing those answers that a policy would have given, too, by
how improbable they were, estimates that policy's mean without bias (Horvitz and Thompson, 1952); dividing by the sum of
the weights trades a little bias for less variance (self-normalised, Hajek 1971; Swaminathan and Joachims 2015).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgewise.types import Value
from router.compare import statistics


@dataclass(frozen=True, slots=True)
class Logged:
    """One answer that was given: what it scored, cost or took, how probable it was, and whether the policy agrees."""

    value: float
    propensity: float
    agrees: bool


class Estimate(Value):
    """A self-normalised mean with its 95 % interval (delta method and bootstrap-t), from `matched` of `n` answers.

    The ends are None where the answers are too few to say. `effective` is how many equally probable answers would tell
    as much (Kish, 1965). `unbiased` is the plain estimate.
    """

    n: int
    matched: int
    effective: float
    mean: float | None = None
    lo: float | None = None
    hi: float | None = None
    unbiased: float | None = None


def estimate(logged: Sequence[Logged], seed: int) -> Estimate:
    """Of no matching answer nothing is estimated."""
    weights = np.array([1 / one.propensity if one.agrees else 0.0 for one in logged])
    values = np.array([one.value for one in logged])
    matched = int((weights > 0).sum())
    if not matched:
        return Estimate(n=len(logged), matched=0, effective=0.0)
    mean = float((weights * values).sum() / weights.sum())
    _, lo, hi = statistics.interval(statistics.ratio_errors(weights * values, weights), seed)
    return Estimate(
        n=len(logged),
        matched=matched,
        effective=float(weights.sum() ** 2 / (weights**2).sum()),
        mean=mean,
        lo=mean + lo if math.isfinite(lo) else None,
        hi=mean + hi if math.isfinite(hi) else None,
        unbiased=float((weights * values).mean()),
    )
