"""Until when an answer is wanted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from edgewise.errors import DeadlineExceeded


class Deadline:
    """Counts from when it is made; without `timeout_s` there is none."""

    def __init__(self, timeout_s: float | None = None) -> None:
        self.asked = time.monotonic()
        self._timeout_s = timeout_s

    @asynccontextmanager
    async def bound(self) -> AsyncIterator[None]:
        """Around a wait: DeadlineExceeded as soon as it is too late."""
        left_s = None if self._timeout_s is None else self.asked + self._timeout_s - time.monotonic()
        try:
            async with asyncio.timeout(left_s):
                yield
        except TimeoutError:
            raise DeadlineExceeded(
                f"the answer was not finished within {self._timeout_s:g} s; allow more time or lower max_tokens"
            ) from None
