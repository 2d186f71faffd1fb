"""Time as periods see it: it never goes back, so a clock that does gives nobody a day twice."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from edgewise.accounts.account import Period


class Clock:
    """`now` in Unix seconds is the largest that was ever seen, also by those who wrote the database before."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._seen = 0.0

    def saw(self, moment: float) -> None:
        self._seen = max(self._seen, moment)

    def now(self) -> float:
        self.saw(self._clock())
        return self._seen

    def until(self, moment: float) -> float:
        """Seconds of the real clock, which may be behind."""
        return max(moment - self._clock(), 0.0)


def stamp(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def key(period: Period, moment: float) -> str:
    """The name of the period that a moment is in: 2026-11-30, 2026-11, all."""
    day = datetime.fromtimestamp(moment, UTC).date().isoformat()
    return {Period.DAY: day, Period.MONTH: day[:7], Period.ALL: "all"}[period]


def end(period: Period, moment: float) -> float | None:
    """When the next period begins; None for the one that has no end."""
    day = datetime.fromtimestamp(moment, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if period is Period.DAY:
        return (day + timedelta(days=1)).timestamp()
    if period is Period.MONTH:
        return (day.replace(day=1) + timedelta(days=32)).replace(day=1).timestamp()
    return None
