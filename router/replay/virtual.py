"""Time that passes at once: an event loop that, where another would wait, sets its clock on instead.

What happens at the same time in a mode (both sides at once, say) thus overlaps as it did when it was recorded.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")


class VirtualLoop(asyncio.SelectorEventLoop):
    """For work that waits for timers and for its own threads; whoever waits for a network waits in vain.

    What a thread does takes no time: no timer ends while one is at work.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._working: set[asyncio.Future[Any]] = set()
        super().__init__(_Instant(self._pass, lambda: bool(self._working)))

    def time(self) -> float:
        return self._now

    def run_in_executor(self, executor: Executor | None, func: Callable[[*_Ts], _T], *args: *_Ts) -> asyncio.Future[_T]:
        future = super().run_in_executor(executor, func, *args)
        self._working.add(future)
        future.add_done_callback(self._working.discard)
        return future

    def _pass(self, seconds: float) -> None:
        self._now += seconds


class _Instant(selectors.DefaultSelector):
    def __init__(self, wait: Callable[[float], None], others_work: Callable[[], bool]) -> None:
        super().__init__()
        self._wait = wait
        self._others_work = others_work

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, Any]]:
        """What is ready. Where a thread is at work, or nothing has a timer, somebody else is really waited for."""
        if timeout and self._others_work():
            timeout = None
        ready = super().select(timeout if timeout is None else 0)
        if not ready and timeout:
            self._wait(timeout)
        return ready
