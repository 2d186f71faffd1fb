"""How often a 95 % interval holds the truth: simulated comparisons of which the truth is known.

The right answers of a share have a probability drawn anew in each run: with a fixed one, the coverage of any interval
for a share swings with it and with n (Brown, Cai and DasGupta, 2001).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from router.compare import statistics

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, int]], Floats]
RUNS = 2_000
RESAMPLES = 2_000  # as many as a group's intervals have
SIZES = (25, 100)


@dataclass(frozen=True, slots=True)
class Case:
    """`held` says for each of so many runs whether the interval from n questions held the truth."""

    name: str
    held: Callable[[np.random.Generator, int, int], NDArray[np.bool_]]
    smallest: int = 0


def coverage(runs: int = RUNS, sizes: tuple[int, ...] = SIZES, seed: int = 11) -> list[dict[str, object]]:
    """One row a case and size: `case, n, runs, coverage`."""
    rows: list[dict[str, object]] = []
    for case in CASES:
        for n in sizes:
            if n >= case.smallest:
                held = case.held(np.random.default_rng((seed, n)), n, runs)
                rows.append({"case": case.name, "n": n, "runs": runs, "coverage": float(held.mean())})
    return rows


def farthest(rows: list[dict[str, object]]) -> float:
    """The coverage that is farthest from 0.95."""
    return max((float(str(row["coverage"])) for row in rows), key=lambda found: abs(found - statistics.CONFIDENCE))


def _mean(draw: Draw, truth: float) -> Callable[[np.random.Generator, int, int], NDArray[np.bool_]]:
    def held(rng: np.random.Generator, n: int, runs: int) -> NDArray[np.bool_]:
        sample = draw(rng, (n, runs))
        found = statistics.means({run: sample[:, run] for run in range(runs)}, seed=n, resamples=RESAMPLES)
        return np.array([each.lo <= truth <= each.hi for each in found.values()])

    return held


def _ratio(left: Draw, right: Draw, truth: float) -> Callable[[np.random.Generator, int, int], NDArray[np.bool_]]:
    def held(rng: np.random.Generator, n: int, runs: int) -> NDArray[np.bool_]:
        ours, theirs = left(rng, (n, runs)), right(rng, (n, runs))
        errors = {run: statistics.ratio_errors(ours[:, run], theirs[:, run]) for run in range(runs)}
        found = statistics.means(
            {run: each for run, each in errors.items() if each is not None}, seed=n, resamples=RESAMPLES
        )
        ratios = ours.mean(axis=0) / theirs.mean(axis=0)
        return np.array([each.lo <= truth - ratios[run] <= each.hi for run, each in found.items()])

    return held


def _share(draw: Draw, truth: float) -> Callable[[np.random.Generator, int, int], NDArray[np.bool_]]:
    def held(rng: np.random.Generator, n: int, runs: int) -> NDArray[np.bool_]:
        sample = draw(rng, (n, runs))
        ends = [statistics.share_interval(sample[:, run]) for run in range(runs)]
        return np.array([lo <= truth <= hi for _, lo, hi in ends])

    return held


def _right(rng: np.random.Generator, n: int, runs: int) -> NDArray[np.bool_]:
    truths = rng.uniform(0.4, 0.95, runs)
    sample = rng.random((n, runs)) < truths
    ends = [statistics.share_interval(sample[:, run].astype(np.float64)) for run in range(runs)]
    return np.array([lo <= truth <= hi for truth, (_, lo, hi) in zip(truths, ends, strict=True)])


def _pair(only_a: float, only_b: float) -> Callable[[np.random.Generator, int, int], NDArray[np.bool_]]:
    def held(rng: np.random.Generator, n: int, runs: int) -> NDArray[np.bool_]:
        drawn = rng.multinomial(n, [only_a, only_b, 1 - only_a - only_b], size=runs)
        tallies = {run: statistics.Tally(int(a), int(b), n) for run, (a, b, _) in enumerate(drawn)}
        found = statistics.share_differences(tallies)
        return np.array([each.lo <= only_a - only_b <= each.hi for each in found.values()])

    return held


def _quantile(share: float, sigma: float = 0.6) -> Callable[[np.random.Generator, int, int], NDArray[np.bool_]]:
    truth = math.exp(sigma * NormalDist().inv_cdf(share))

    def held(rng: np.random.Generator, n: int, runs: int) -> NDArray[np.bool_]:
        sample = rng.lognormal(0, sigma, (n, runs))
        ends = [statistics.quantile(sample[:, run], share) for run in range(runs)]
        return np.array([lo <= truth <= hi for _, lo, hi in ends])

    return held


def _lognormal(sigma: float, factor: float = 1.0) -> Draw:
    return lambda rng, shape: factor * rng.lognormal(0, sigma, shape)


def _now_and_then(share: float, sigma: float) -> Draw:
    """Nothing, or with this probability what the cloud costs."""
    return lambda rng, shape: np.where(rng.random(shape) < share, rng.lognormal(0, sigma, shape), 0.0)


def _gamma(shape: float) -> Draw:
    return lambda rng, size: rng.gamma(shape, 1, size)


def _partly(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """F1 of a model that is often all right or all wrong; mean 0.55."""
    chance = rng.random(shape)
    return np.where(chance < 0.3, 0.0, np.where(chance < 0.7, 1.0, rng.beta(2, 2, shape)))


def _mostly_right(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Mean 0.875."""
    chance = rng.random(shape)
    return np.where(chance < 0.05, 0.0, np.where(chance < 0.85, 1.0, rng.beta(3, 3, shape)))


def _difference(ties: float) -> Draw:
    """Differences of F1: none on most questions; mean (1 - ties) * 0.1."""
    return lambda rng, shape: np.where(rng.random(shape) < ties, 0.0, rng.beta(2, 2, shape) - rng.beta(2, 3, shape))


def _slower(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Of a mode that takes half as long again as another on a third of the questions."""
    return rng.lognormal(0, 0.4, shape) * np.where(rng.random(shape) < 1 / 3, 0.5, 0.0) + rng.normal(0, 0.1, shape)


CASES = (
    Case("right or wrong, probability uniform from 0.4 to 0.95", _right),
    Case("F1, mean 0.55", _share(_partly, 0.55)),
    Case("F1, mean 0.875", _share(_mostly_right, 0.875)),
    Case("difference of right or wrong, 20 % against 10 %", _pair(0.2, 0.1)),
    Case("difference of right or wrong, 15 % against 5 %", _pair(0.15, 0.05)),
    Case("difference of right or wrong, 10 % each", _pair(0.1, 0.1)),
    Case("difference of F1, 60 % ties", _mean(_difference(0.6), 0.4 * 0.1)),
    Case("cost, lognormal 0.5", _mean(_lognormal(0.5), math.exp(0.125))),
    Case("cost of a cascade that asks the cloud 30 %", _mean(_now_and_then(0.3, 0.5), 0.3 * math.exp(0.125))),
    Case("latency, gamma 3", _mean(_gamma(3.0), 3.0)),
    Case("difference of latency", _mean(_slower, 0.5 / 3 * math.exp(0.08))),
    Case("ratio of costs", _ratio(_lognormal(0.6, 0.2), _lognormal(0.5), 0.2 * math.exp(0.18 - 0.125))),
    Case("ratio of costs, a cascade's", _ratio(_now_and_then(0.3, 0.5), _lognormal(0.5), 0.3)),
    Case("median latency", _quantile(0.5)),
    Case("95th percentile of latency", _quantile(0.95), smallest=72),
)
