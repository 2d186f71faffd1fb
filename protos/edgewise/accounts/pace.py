"""So many calls a minute: a token bucket."""

from __future__ import annotations

import time
from collections.abc import Callable

from edgewise.errors import Overloaded


class Pace:
    """Holds `per_minute` calls when it is full, and fills up evenly. One is in memory: a restart fills it."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_minute = per_minute
        self._clock = clock
        self._left = float(per_minute)
        self._at = clock()

    def take(self) -> None:
        """One call; Overloaded says when there will be one again."""
        now = self._clock()
        self._left = min(self._left + (now - self._at) * self.per_minute / 60, self.per_minute)
        self._at = now
        if self._left < 1:
            wait_s = (1 - self._left) * 60 / self.per_minute
            raise Overloaded(
                f"{self.per_minute} calls a minute are allowed; try again in {wait_s:.1f} s", retry_after_s=wait_s
            )
        self._left -= 1
