"""Until when an answer is wanted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext

from edgewise.errors import DeadlineExceeded


class Deadline:
    """Counts from when it is made; without `timeout_s` there is none."""

    def __init__(self, timeout_s: float | None = None) -> None:
        self.asked = time.monotonic()
        self._timeout_s = timeout_s

    def bound(self) -> AbstractAsyncContextManager[None]:
        """Around a wait: DeadlineExceeded as soon as it is too late."""
        return nullcontext() if self._timeout_s is None else self._within(self._timeout_s)

    @asynccontextmanager
    async def _within(self, timeout_s: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self.asked + timeout_s - time.monotonic()):
                yield
        except TimeoutError:
            raise DeadlineExceeded(
                f"the answer was not finished within {timeout_s:g} s; allow more time or lower max_tokens"
            ) from None
