"""How many calls a server, or a part of one, takes at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from edgewise.errors import EdgewiseError, Overloaded


class Admission:
    """At most `limit` calls at once; one more is refused at once with the time after which to try again.

    `on_refusal` hears of every call that was not let in.
    """

    def __init__(self, limit: int, on_refusal: Callable[[EdgewiseError], None] = lambda _: None) -> None:
        self.limit = limit
        self._on_refusal = on_refusal
        self._running = 0
        self._closed_by: EdgewiseError | None = None
        self._idle = asyncio.Event()

    @property
    def running(self) -> int:
        return self._running

    def check(self) -> None:
        """Raises what a call would be refused with, were it to begin now."""
        refusal = self._closed_by
        if refusal is not None:  # a new one for each call: an error that is raised again and again grows
            refusal = type(refusal)(refusal.message, retry_after_s=refusal.retry_after_s)
        elif self._running >= self.limit:
            refusal = Overloaded(f"{self.limit} calls are running already; try again in a second", retry_after_s=1.0)
        if refusal is not None:
            self._on_refusal(refusal)
            raise refusal

    def close(self, refusal: EdgewiseError) -> None:
        """From now on every call is refused with that; those that run go on."""
        self._closed_by = refusal
        if not self._running:
            self._idle.set()

    async def idle(self) -> None:
        """Waits until no call runs any more; only after `close`."""
        await self._idle.wait()

    def __enter__(self) -> None:
        self.check()
        self._running += 1

    def __exit__(self, *_: object) -> None:
        self._running -= 1
        if self._closed_by is not None and not self._running:
            self._idle.set()
