"""Whether a difference is more than chance: intervals, paired tests, and how many questions would decide.

Everything is paired by question, and every resampling is seeded: the same rows give the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RESAMPLES = 10_000
CONFIDENCE = 0.95
POWER = 0.80
_BLOCK = 4_000_000  # drawn indices at a time: bounds the memory, not the result


def interval(values: Sequence[float] | Floats, seed: int) -> tuple[float, float, float]:
    """The mean, and its percentile bootstrap interval (Efron, 1979)."""
    sample = np.asarray(values, dtype=np.float64)
    lo, hi = np.quantile(bootstrap_means(sample, seed), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(sample.mean()), float(lo), float(hi)


def bootstrap_means(sample: Floats, seed: int) -> Floats:
    """The means of `RESAMPLES` samples drawn with replacement; samples of one size share their draws."""
    rng = np.random.default_rng(seed)
    means = np.empty(RESAMPLES)
    rows = max(1, _BLOCK // len(sample))
    for start in range(0, RESAMPLES, rows):
        stop = min(start + rows, RESAMPLES)
        means[start:stop] = sample[rng.integers(0, len(sample), size=(stop - start, len(sample)))].mean(axis=1)
    return means


def bootstrap_p(differences: Sequence[float] | Floats, seed: int) -> float:
    """Two-sided: how far the bootstrap distribution of the mean difference lies on the other side of zero.

    The observed sample counts as one more resample, so that no p is ever 0 (Davison and Hinkley, 1997).
    """
    means = bootstrap_means(np.asarray(differences, dtype=np.float64), seed)
    tail = min(int((means <= 0).sum()), int((means >= 0).sum()))
    return min(1.0, 2 * (tail + 1) / (RESAMPLES + 1))


def mcnemar(a: Sequence[float], b: Sequence[float]) -> float:
    """The exact test for paired right-or-wrong scores (McNemar, 1947): only the questions where they differ count."""
    only_a = sum(1 for x, y in zip(a, b, strict=True) if x > y)
    only_b = sum(1 for x, y in zip(a, b, strict=True) if x < y)
    n, fewer = only_a + only_b, min(only_a, only_b)
    term = total = 1  # binomial coefficients, exact: n over k, and their sum up to `fewer`
    for k in range(fewer):
        term = term * (n - k) // (k + 1)
        total += term
    return min(1.0, 2 * total / (1 << n))


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values adjusted for their number (Holm, 1979), in the order given."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted = [0.0] * len(p_values)
    floor = 0.0
    for rank, index in enumerate(order):
        floor = max(floor, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = floor
    return adjusted


def n_needed(differences: Sequence[float] | Floats) -> int | None:
    """How many questions in all would show a difference of this size at 80 % power and 5 % two-sided.

    By the normal approximation for a paired mean; None where the observed difference is zero.
    """
    sample = np.asarray(differences, dtype=np.float64)
    if len(sample) < 2 or abs(sample.mean()) < 1e-12:
        return None
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) + NormalDist().inv_cdf(POWER)
    return max(2, math.ceil((z * float(sample.std(ddof=1)) / float(sample.mean())) ** 2))


def quantiles(values: Sequence[float]) -> tuple[float, float]:
    """The median and the 95th percentile, linearly interpolated."""
    p50, p95 = np.quantile(np.asarray(values, dtype=np.float64), [0.5, 0.95])
    return float(p50), float(p95)
