"""Time that passes at once: an event loop that, where another would wait, sets its clock on instead.

What happens at the same time in a mode (both sides at once, say) thus overlaps as it did when it was recorded.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from typing import Any


class VirtualLoop(asyncio.SelectorEventLoop):
    """For work that waits for timers and for its own threads; whoever waits for a network waits in vain."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_Instant(self._pass))

    def time(self) -> float:
        return self._now

    def _pass(self, seconds: float) -> None:
        self._now += seconds


class _Instant(selectors.DefaultSelector):
    def __init__(self, wait: Callable[[float], None]) -> None:
        super().__init__()
        self._wait = wait

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, Any]]:
        """What is ready. Without a timer somebody else must be at work, and is really waited for."""
        ready = super().select(timeout if timeout is None else 0)
        if not ready and timeout:
            self._wait(timeout)
        return ready
