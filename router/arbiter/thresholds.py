"""From what a user wants to a threshold: a share of cloud calls, a price of an error, a budget, or a promise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from router.arbiter.metrics import Floats

_GRID = 100
_STEP = 0.02
_SEQUENCES = 4
_FEWEST = 20  # graded answers; with fewer nothing useful can be promised


def by_share(gains: Floats, share: float) -> float:
    """The gain from which on at most so many of some questions go to the cloud. ValueError for no questions.

    Equal gains stay together: where they are many, fewer than `share` go.
    """
    _check("share", share, 0.0, 1.0)
    if not len(gains):
        raise ValueError("there are no questions to take the share of; ask some first, or set a threshold")
    ordered = np.sort(gains)[::-1]
    count = math.floor(share * len(ordered) + 1e-9)
    if count == len(ordered):
        return -math.inf
    return float(np.nextafter(ordered[count], math.inf))


def by_price(extra_usd: float, usd_per_error: float) -> float:
    """The gain from which on the cloud is worth its price to somebody whom a wrong answer costs so much."""
    _check("the price of an error", usd_per_error, 0.0, math.inf)
    return extra_usd / usd_per_error if usd_per_error > 0 else math.inf


@dataclass(frozen=True, slots=True)
class Promise:
    """Of the answers with at least this trust, at most `alpha` are wrong, with a confidence of 1 - `delta`.

    `kept` is the share of the graded answers that have it. The promise holds for questions like the graded ones.
    """

    threshold: float
    kept: float
    alpha: float
    delta: float
    graded: int


def guaranteed(trust: Floats, right: Floats, alpha: float, delta: float) -> Promise | None:
    """The lowest trust for which `alpha` can be promised; None where no part of the answers is good enough.

    Learn-then-test (Angelopoulos et al. 2021) by fixed-sequence testing: thresholds that depend on no grade, from a
    strict one on, each tested with the exact binomial tail until the first that fails. One unlucky strict threshold
    must not end everything, so there are several sequences, each starting where twice as many answers are kept, and
    each with its share of `delta`: all tests together err with a probability of at most that. ValueError for fewer
    than 20 graded answers, or values out of range.
    """
    _check("alpha", alpha, 0.0, 1.0)
    _check("delta", delta, 0.0, 1.0)
    if len(trust) < _FEWEST:
        raise ValueError(f"{len(trust)} graded answers are too few for a promise; grade at least {_FEWEST}")
    if not (np.isfinite(trust).all() and np.isin(right, (0.0, 1.0)).all()):
        raise ValueError("a promise needs a trust for every answer, and grades that are 0 or 1")
    level = delta / _SEQUENCES
    thresholds = np.unique(np.quantile(trust, np.linspace(0, 1, _GRID + 1)[:-1], method="lower"))[::-1]
    counts = [int((trust >= threshold).sum()) for threshold in thresholds]
    wrongs = [int((1 - right[trust >= threshold]).sum()) for threshold in thresholds]
    # So few would fail even if they were twice as good as they must be.
    enough = [place for place, n in enumerate(counts) if _surely_below(int(n * alpha / 2), n, alpha, level)]
    found: Promise | None = None
    for sequence in range(_SEQUENCES):
        starts = [place for place in enough if counts[place] >= 2**sequence * counts[enough[0]]]
        for place in range(starts[0], len(counts)) if starts else ():
            if not _surely_below(wrongs[place], counts[place], alpha, level):
                break
            if found is None or thresholds[place] < found.threshold:
                found = Promise(float(thresholds[place]), counts[place] / len(trust), alpha, delta, len(trust))
    return found


def _surely_below(wrong: int, count: int, alpha: float, delta: float) -> bool:
    """Whether so few wrong ones would be seen with a probability of at most delta if alpha were wrong or more."""
    logs = [
        math.lgamma(count + 1)
        - math.lgamma(k + 1)
        - math.lgamma(count - k + 1)
        + _power(alpha, k)
        + _power(1 - alpha, count - k)
        for k in range(wrong + 1)
    ]
    return math.fsum(math.exp(log) for log in logs) <= delta


def _power(base: float, exponent: int) -> float:
    return 0.0 if exponent == 0 else exponent * math.log(base) if base > 0 else -math.inf


class Pacer:
    """Keeps the mean spending of a stream at a ceiling: gain has a price in money, which rises while more is wanted.

    A question wants to go to the cloud if its gain is worth the cost at the present price, and may if what was spent
    and reserved stays with it below the ceiling times the questions so far: the mean is never above the ceiling, not
    even at first, however many are answered at once. The price follows what is wanted and not what is spent (dual
    descent, as in online knapsacks).
    """

    def __init__(self, ceiling_usd: float) -> None:
        _check("the ceiling", ceiling_usd, 0.0, math.inf)
        self._ceiling = ceiling_usd
        self._price = 0.0  # the gain that a typical cost must bring
        self._typical = 0.0
        self._spent = 0.0  # or reserved
        self._count = 0

    def asks(self, most_usd: float) -> float:
        """The gain that is wanted of the next question, whose answer costs at most so much."""
        typical = self._typical_with(most_usd)
        return self._price * most_usd / typical if typical > 0 else 0.0

    def foresees(self, gain: float, most_usd: float) -> bool:
        """Whether it may go to the cloud; nothing is counted."""
        return gain >= self.asks(most_usd) and self._spent + most_usd <= self._ceiling * (self._count + 1)

    def allows(self, gain: float, most_usd: float) -> bool:
        """Whether the next question may go to the cloud; if so, the most that it may cost is reserved."""
        wants, allowed = gain >= self.asks(most_usd), self.foresees(gain, most_usd)
        self._typical = self._typical_with(most_usd)
        self._count += 1
        if self._typical > 0:
            excess = (wants * most_usd - self._ceiling) / max(self._typical, self._ceiling)
            self._price = max(0.0, self._price + _STEP * excess)
        self._spent += most_usd if allowed else 0.0
        return allowed

    def _typical_with(self, most_usd: float) -> float:
        return self._typical + (most_usd - self._typical) * max(_STEP, 1 / (self._count + 1))

    def spent(self, reserved_usd: float, usd: float) -> None:
        """What a question that was allowed cost after all, in the place of what was reserved for it."""
        self._spent += usd - reserved_usd

    @property
    def mean_usd(self) -> float:
        return self._spent / self._count if self._count else 0.0


def _check(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} must be between {low:g} and {high:g}, and is {value:g}")
