"""The questions that are being answered: nobody may forget what is still being said."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from edgewise.errors import Conflict


@dataclass(frozen=True, slots=True, eq=False)
class Running:
    """One of them, by what its record will be found under."""

    app: str
    conversation_id: str = ""
    user_id: str = ""
    shadow_of: str = ""


Fits = Callable[[Running], bool]


class Floor:
    """Who speaks now. What is barred may not begin."""

    def __init__(self) -> None:
        self._running: set[Running] = set()
        self._barred: list[Fits] = []
        self._changed = asyncio.Event()

    @property
    def is_empty(self) -> bool:
        return not self._running

    @contextmanager
    def taken(self, one: Running) -> Iterator[None]:
        """Conflict while what is asked about is being forgotten."""
        if any(fits(one) for fits in self._barred):
            raise Conflict("what this question belongs to is being forgotten; ask again in a moment")
        self._running.add(one)
        try:
            yield
        finally:
            self._running.discard(one)
            self._changed.set()
            self._changed = asyncio.Event()

    @contextmanager
    def barred(self, fits: Fits) -> Iterator[None]:
        """Conflict while such a question runs; none begins inside."""
        if any(map(fits, self._running)):
            raise Conflict("a question of it is being answered; wait for the answer, or cancel it, then forget again")
        self._barred.append(fits)
        try:
            yield
        finally:
            self._barred.remove(fits)

    async def cleared(self, within_s: float) -> None:
        """Returns when what runs now is over; Conflict if that takes too long."""
        now = set(self._running)
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while now & self._running:
                    await self._changed.wait()
        if now & self._running:
            raise Conflict("questions are still being answered that may have looked at it; forget again when they are")
