"""Whether an arm is graded better than the control, by a test that may be looked at after every single grade.

By betting (Waudby-Smith and Ramdas, 2024): who bets on one arm, with lots that are drawn fairly, multiplies what he has
by 20 with a probability of at most 1/20, ever (Ville's inequality). `README.md` has the argument.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

CONFIDENCE = 0.95
# Stakes as shares of the largest one that cannot ruin, and the capital on each: most of it on small to middling ones,
# which differences of 0.05 to 0.3 call for; what that comes to, python -m tests.bench.compare.sequential tells.
_STAKES = np.geomspace(0.005, 0.9, 16)
_CAPITAL = _STAKES * np.exp(-(_STAKES**2) / (2 * 0.3**2))
_BETS = np.concatenate([_STAKES, -_STAKES])
_LOG_CAPITAL = np.log(np.concatenate([_CAPITAL, _CAPITAL]) / (2 * _CAPITAL.sum()))
_HALVINGS = 50
_LONGER = np.geomspace(1, 100_000, 500)
# An imbalance that chance brings about in at most one of a hundred experiments, ever.
_UNBALANCED = math.log(100)


class Contest:
    """The grades of one arm against those of the control, each unit once.

    `propensity` is the probability that a unit of these two arms got the arm. Whoever compares several arms shares
    `alpha` out between them.
    """

    def __init__(self, propensity: float, alpha: float = 1 - CONFIDENCE) -> None:
        self._propensity = propensity
        self._threshold = -math.log(alpha)
        self._stakes: Floats = _BETS * min(propensity, 1 - propensity)
        self._wealth: Floats = np.zeros(len(_BETS))  # natural logarithms, had each bet been the only one
        self._sums: Floats = np.zeros(2)  # of grades: of the control, of the arm
        self._counts: Floats = np.zeros(2)
        self._scores = 0.0
        self._best = 0.0
        self.decided_after: int | None = None
        """Units after which no difference was excluded for the first time."""

    def add(self, is_arm: ArrayLike, grades: ArrayLike) -> None:
        """Some units, in the order in which they were graded; together or one by one is the same."""
        grade = np.asarray(grades, np.float64)
        arm = np.asarray(is_arm, np.bool_)
        before = self.units
        scores = self._centred(arm, grade) * np.where(arm, 1 / self._propensity, -1 / (1 - self._propensity))
        wealth = self._wealth + np.cumsum(np.log1p(np.outer(scores, self._stakes)), axis=0)
        evidence = _log_sum(wealth + _LOG_CAPITAL)
        if self.decided_after is None and (evidence >= self._threshold).any():
            self.decided_after = before + int(np.argmax(evidence >= self._threshold)) + 1
        self._best = max(self._best, float(evidence.max(initial=0.0)))
        self._wealth = wealth[-1] if len(wealth) else self._wealth
        self._scores += float(scores.sum())
        self._sums += (grade[~arm].sum(), grade[arm].sum())
        self._counts += (np.count_nonzero(~arm), np.count_nonzero(arm))

    def _centred(self, arm: NDArray[np.bool_], grade: Floats) -> Floats:
        """Grades less what was expected before each; any such centre is fair, this one has the smallest variance."""
        means = []
        for row, own in enumerate((~arm, arm)):
            sums = self._sums[row] + np.cumsum(grade * own) - grade * own
            counts = self._counts[row] + np.cumsum(own) - own
            means.append((sums + 0.5) / (counts + 1))
        return np.asarray(grade - ((1 - self._propensity) * means[1] + self._propensity * means[0]))

    @property
    def units(self) -> int:
        return int(self._counts.sum())

    @property
    def difference(self) -> float | None:
        """Arm minus control, weighted by the inverse of the propensities."""
        return self._scores / self.units if self.units else None

    @property
    def p_value(self) -> float:
        """Valid whenever it is looked at: one divided by the largest factor that the stakes against 0 ever reached."""
        return min(1.0, math.exp(-self._best))

    def interval(self) -> tuple[float, float]:
        """What the mean difference over the units so far may be; these intervals hold at all times together."""
        return self._end(-1.0), self._end(1.0)

    def is_below(self, difference: float) -> bool:
        """Whether the whole interval is, now."""
        return self._scores < difference * self.units and self._excludes(difference)

    @property
    def units_needed(self) -> float:
        """About how many decide if it goes on like this, every bet growing as it has; infinite if none does."""
        decides = _log_sum(np.outer(_LONGER, self._wealth) + _LOG_CAPITAL) >= self._threshold
        return float(self.units * _LONGER[np.argmax(decides)]) if decides.any() else math.inf

    @property
    def is_unbalanced(self) -> bool:
        """Whether the graded units are not those of fair lots: then being graded depends on the arm.

        By betting on the share of the arm, with all shares equally likely (Robbins, 1970).
        """
        control, arm = self._counts
        mixed = math.lgamma(arm + 1) + math.lgamma(control + 1) - math.lgamma(arm + control + 2)
        fair = arm * math.log(self._propensity) + control * math.log(1 - self._propensity)
        return bool(mixed - fair >= _UNBALANCED)

    def _excludes(self, difference: float) -> bool:
        """Whether the stakes against this mean difference are multiplied by enough.

        1 + x <= exp(x), so that what a mean difference of `difference` gives away for nothing may be taken off in the
        exponent, also where the difference varies and `difference` is only its mean.
        """
        logs = self._wealth + _LOG_CAPITAL - self._stakes * (difference * self.units)
        return bool(_log_sum(logs) >= self._threshold)

    def _end(self, outermost: float) -> float:
        """Between an outermost difference and the measured one, from which evidence only grows."""
        inside, outside = min(max(self.difference or 0.0, -1.0), 1.0), outermost
        if not self._excludes(outside):
            return outside
        for _ in range(_HALVINGS):
            middle = (inside + outside) / 2
            if self._excludes(middle):
                outside = middle
            else:
                inside = middle
        return outside


def _log_sum(logs: Floats) -> Floats:
    """The logarithm of the sum of exponentials, over the last axis."""
    largest = logs.max(axis=-1, keepdims=True)
    return np.asarray(largest[..., 0] + np.log(np.exp(logs - largest).sum(axis=-1)))
