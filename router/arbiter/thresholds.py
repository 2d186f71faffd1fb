"""From what a user wants to a threshold: a share of cloud calls, a price of an error, a budget, or a promise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from router.arbiter.metrics import Floats

_GRID = 100
_STEP = 0.02
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

    Learn-then-test (Angelopoulos et al. 2021) by fixed-sequence testing: thresholds that depend on no grade, from the
    strictest on, each tested with the exact binomial tail; the first that fails ends it, so all tests together err with
    a probability of at most `delta`. ValueError for fewer than 20 graded answers, or values out of range.
    """
    _check("alpha", alpha, 0.0, 1.0)
    _check("delta", delta, 0.0, 1.0)
    if len(trust) < _FEWEST:
        raise ValueError(f"{len(trust)} graded answers are too few for a promise; grade at least {_FEWEST}")
    if not (np.isfinite(trust).all() and np.isin(right, (0.0, 1.0)).all()):
        raise ValueError("a promise needs a trust for every answer, and grades that are 0 or 1")
    found: Promise | None = None
    for threshold in np.unique(np.quantile(trust, np.linspace(0, 1, _GRID + 1)[:-1], method="lower"))[::-1]:
        kept = trust >= threshold
        count, wrong = int(kept.sum()), int((1 - right[kept]).sum())
        if not _surely_below(int(count * alpha / 2), count, alpha, delta):
            continue  # so few would fail even if they were twice as good as they must be; no grade was looked at
        if not _surely_below(wrong, count, alpha, delta):
            break
        found = Promise(float(threshold), count / len(trust), alpha, delta, len(trust))
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
        """The gain that is wanted now of a question whose answer costs at most so much."""
        return self._price * most_usd / self._typical if self._typical > 0 else 0.0

    def allows(self, gain: float, most_usd: float) -> bool:
        """Whether the next question may go to the cloud; if so, the most that it may cost is reserved."""
        self._count += 1
        self._typical += (most_usd - self._typical) * max(_STEP, 1 / self._count)
        wants = most_usd <= 0 or gain >= self.asks(most_usd)
        if self._typical > 0:
            excess = (wants * most_usd - self._ceiling) / max(self._typical, self._ceiling)
            self._price = max(0.0, self._price + _STEP * excess)
        allowed = wants and self._spent + most_usd <= self._ceiling * self._count
        self._spent += most_usd if allowed else 0.0
        return allowed

    def spent(self, reserved_usd: float, usd: float) -> None:
        """What a question that was allowed cost after all, in the place of what was reserved for it."""
        self._spent += usd - reserved_usd

    @property
    def mean_usd(self) -> float:
        return self._spent / self._count if self._count else 0.0


def _check(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} must be between {low:g} and {high:g}, and is {value:g}")
