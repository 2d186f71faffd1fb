"""How many threads an evaluation gets: all of them, or one when other programs want the cores.

A few tokens of a small model are little work to share. A team of threads that wait for each other hundreds of times a
token is faster than one thread on a quiet machine, and slower beside busy programs. No setting is right for both. That
the cores are wanted shows in the processor time that the team gets; that they are free again shows only when the team
is tried again, which is done ever less often.
"""

from __future__ import annotations

import time
from collections.abc import Callable

_TRIALS = 2
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 30.0
_SELDOM = 50
"""A pause is at least so many times the trial before it."""
_ENOUGH = 0.85
"""A team that gets less than this share of its threads' time has to share the cores."""
_WORSE = 1.5


class Pace:
    """Chooses for evaluations of about equal size apart, for what is right for one token need not be for a hundred."""

    def __init__(self, team: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.team = team
        self._clock = clock
        self._choices: dict[int, _Choice] = {}

    def threads(self, tokens: int) -> int:
        """For the next evaluation, which has so many tokens."""
        return self._choice(tokens).threads()

    def took(self, threads: int, tokens: int, seconds: float, processor_s: float) -> None:
        """An evaluation with so many threads and tokens took so long, and so much time of all processors."""
        self._choice(tokens).took(threads, tokens, seconds, processor_s)

    def _choice(self, tokens: int) -> _Choice:
        size = tokens.bit_length()
        if size not in self._choices:
            self._choices[size] = _Choice(self.team, self._clock)
        return self._choices[size]


class _Choice:
    """Compares seconds a token, as if there were one token more: an evaluation has a cost of its own."""

    def __init__(self, team: int, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._favourite, self._other = team, 1
        self._costs: dict[int, float] = {}
        self._best = float("inf")
        self._is_doubtful = False
        self._pause_s = _FIRST_PAUSE_S
        self._next_trial = clock()
        self._trial: list[float] = []
        self._spent_s = 0.0

    def threads(self) -> int:
        is_due = self._is_doubtful and self._clock() >= self._next_trial
        return self._other if is_due else self._favourite

    def took(self, threads: int, tokens: int, seconds: float, processor_s: float) -> None:
        if self._favourite == self._other:
            return
        cost = seconds / (tokens + 1)
        if threads == self._other:
            self._trial.append(cost)
            self._spent_s += seconds
            if len(self._trial) == _TRIALS:
                self._decide(min(self._trial))
            return
        before = self._costs.get(threads, cost)
        self._costs[threads] = before + 0.3 * (cost - before)
        self._best = min(self._best, self._costs[threads])
        is_crowded = processor_s < _ENOUGH * threads * seconds
        if threads > 1 and (is_crowded or self._costs[threads] > _WORSE * self._best):
            self._is_doubtful = True

    def _decide(self, trial: float) -> None:
        if trial < self._costs.get(self._favourite, float("inf")):
            self._favourite, self._other = self._other, self._favourite
            self._costs[self._favourite] = trial
            self._pause_s = _FIRST_PAUSE_S
        else:
            self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
        self._best = self._costs[self._favourite]
        self._is_doubtful = self._favourite == 1
        self._next_trial = self._clock() + max(self._pause_s, _SELDOM * self._spent_s)
        self._trial, self._spent_s = [], 0.0
