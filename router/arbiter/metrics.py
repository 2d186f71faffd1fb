"""How good a score is for routing, and a probability for trusting: numbers from scores and what was right.

A routing curve sends the questions with the highest scores to the cloud, one after the other, and says how good all
answers together are. It has a point for every question: a curve of quantiles is wrong on tied scores. Questions with
the same score are sent in a random order that a seed fixes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_BINS = 15
_NOISE_DRAWS = 200


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What both sides made of the same questions, [questions] each: quality in [0, 1], and USD a request."""

    weak: Floats
    strong: Floats
    weak_usd: Floats | None = None
    strong_usd: Floats | None = None

    def __len__(self) -> int:
        return len(self.weak)

    def take(self, rows: Ints) -> Outcomes:
        costs = (None if cost is None else cost[rows] for cost in (self.weak_usd, self.strong_usd))
        return Outcomes(self.weak[rows], self.strong[rows], *costs)


@dataclass(frozen=True, slots=True)
class Curve:
    """Ascending `x` (share of cloud calls, or of the cloud's cost) and the PGR there; the first point is all weak."""

    x: Floats
    pgr: Floats

    @property
    def area(self) -> float:
        """Under the PGR for x from 0 to 1: 0.5 for a random order."""
        inside = self.x < 1.0
        x = np.append(self.x[inside], 1.0)
        pgr = np.append(self.pgr[inside], np.interp(1.0, self.x, self.pgr))
        return float(np.trapezoid(pgr, x))

    def reach(self, pgr: float) -> float:
        """The smallest x from which the PGR is at least so high; inf if it never is."""
        enough = np.flatnonzero(self.pgr >= pgr)
        return float(self.x[enough[0]]) if len(enough) else np.inf


def routed(score: Floats, outcomes: Outcomes, seed: int = 0) -> Curve:
    """The curve over the share of questions that the cloud answers (Ong et al. 2024, without their quantiles)."""
    order = _order(score, seed)
    share = np.arange(len(order) + 1) / len(order)
    return Curve(share, _pgr((outcomes.strong - outcomes.weak)[order]))


def spent(score: Floats, outcomes: Outcomes, *, cascade: bool, seed: int = 0) -> Curve:
    """The curve over what is spent, 0 for weak alone and 1 for strong alone; a cascade has always paid the weak side.

    ValueError without costs, or where the strong side is not the dearer one.
    """
    if outcomes.weak_usd is None or outcomes.strong_usd is None:
        raise ValueError("these outcomes have no costs")
    order = _order(score, seed)
    weak, strong = outcomes.weak_usd, outcomes.strong_usd
    span = float(strong.mean() - weak.mean())
    if span <= 0:
        raise ValueError("the strong side costs no more than the weak one: there is nothing to save")
    more = strong if cascade else strong - weak
    x = np.concatenate(([0.0], np.cumsum(more[order]))) / len(order) / span
    return Curve(np.maximum.accumulate(x), _pgr((outcomes.strong - outcomes.weak)[order]))


def apgr(score: Floats, outcomes: Outcomes, seed: int = 0) -> float:
    """Average performance gap recovered: 0.5 for a random score; above 1 for one that knows where the cloud errs."""
    return routed(score, outcomes, seed).area


def cpt(score: Floats, outcomes: Outcomes, pgr: float, seed: int = 0) -> float:
    """Call-performance threshold: the share of cloud calls, in percent, that recovers so much of the gap."""
    return 100 * routed(score, outcomes, seed).reach(pgr)


def _order(score: Floats, seed: int) -> Ints:
    ties = np.random.default_rng(seed).random(len(score))
    return np.lexsort((ties, -score))


def _pgr(gains: Floats) -> Floats:
    """The share of the whole gain that the first questions have. ValueError where there is no gain to recover."""
    gained = np.concatenate(([0.0], np.cumsum(gains)))
    if gained[-1] <= 0:
        raise ValueError(
            "the strong side is no better than the weak one on these questions: there is no gap to recover"
        )
    return np.asarray(gained / gained[-1])


# --- probabilities and what came true ---------------------------------------------------------------------------------


def auroc(score: Floats, right: Floats) -> float:
    """The chance that a right one has the higher score than a wrong one; ties count half. NaN with one kind only."""
    positive, negative = right > 0.5, right <= 0.5
    if not positive.any() or not negative.any():
        return float("nan")
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    below = np.cumsum(counts) - counts
    ranks = (below + (counts + 1) / 2)[inverse]
    count = int(positive.sum())
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * int(negative.sum())))


def brier(probability: Floats, right: Floats) -> float:
    return float(np.mean((probability - right) ** 2))


def ece(probability: Floats, right: Floats, bins: int = _BINS, seed: int = 0) -> float:
    """Expected calibration error over bins of about equal size, less what chance alone puts into it; never below 0.

    Equal probabilities are in one bin. Even perfect probabilities miss the frequencies of finite bins: by how much is
    drawn at random from what was seen in each bin, and taken off (Kumar, Liang and Ma 2019).
    """
    order = np.argsort(probability, kind="stable")
    ordered = probability[order]
    starts = np.searchsorted(ordered, ordered[[len(order) * place // bins for place in range(1, bins)]])
    parts = [part for part in np.split(order, starts) if len(part)]
    share = np.array([len(part) for part in parts]) / len(order)
    said = np.array([probability[part].mean() for part in parts])
    seen = np.array([right[part].mean() for part in parts])
    noise = np.sqrt(seen * (1 - seen) / np.maximum(1, [len(part) - 1 for part in parts]))
    plain = float(share @ np.abs(said - seen))
    draws = np.random.default_rng(seed).normal(seen, noise, (_NOISE_DRAWS, len(seen)))
    biased = float(np.mean(np.abs(said - draws) @ share))
    return max(0.0, 2 * plain - biased)


def risk_coverage(confidence: Floats, right: Floats) -> tuple[Floats, Floats]:
    """Coverage (share of answers kept, the most confident first) and the share of wrong ones among them."""
    order = np.argsort(-confidence, kind="stable")
    kept = np.arange(1, len(order) + 1)
    return kept / len(order), np.cumsum(1 - right[order]) / kept


# --- intervals --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Interval:
    value: float
    lo: float
    hi: float


def bootstrap(
    statistic: Callable[[Ints], float], count: int, resamples: int = 1000, seed: int = 0, level: float = 0.95
) -> Interval:
    """A statistic of rows, on all of them, with its percentile interval over rows drawn with replacement (Efron 1979).

    For a paired difference, let the statistic subtract. Draws for which it has no value (ValueError) are drawn again.
    """
    chance = np.random.default_rng(seed)
    values: list[float] = []
    for _ in range(10 * resamples):
        try:
            values.append(statistic(chance.integers(0, count, count)))
        except ValueError:
            continue
        if len(values) == resamples:
            break
    else:
        raise ValueError("the statistic has no value on most resamples; there are too few rows")
    lo, hi = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(statistic(np.arange(count)), float(lo), float(hi))
