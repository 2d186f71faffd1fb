"""A database to try a log on, and a way to make it fail."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from router.log import Backlog, Keep, Log, Place
from tests.boundaries import ALLOWING
from tests.routers import until

TODAY = datetime(2026, 11, 30, 12, tzinfo=UTC)


class Subject(ABC):
    """A new, empty database, and a way to make it fail."""

    def __init__(self, place: Place, directory: Path) -> None:
        self.place = place
        self.directory = directory

    @property
    def backlog(self) -> Path:
        return self.directory / "backlog.jsonl"

    @abstractmethod
    def gone(self) -> AbstractContextManager[None]:
        """For as long as this lasts, nothing can be read or written."""

    def with_log(
        self,
        work: Callable[[Log], Awaitable[None]],
        *,
        waits: bool = True,
        keep: Keep = Keep(),
        elsewhere: bool = False,
    ) -> None:
        async def main() -> None:
            place = replace(self.place, elsewhere=elsewhere)
            backlog = self.backlog if waits else None
            log = await Log.open(
                place, boundary=ALLOWING, backlog=backlog, keep=keep, clock=lambda: TODAY, retry_s=0.05
            )
            try:
                async with asyncio.timeout(60):
                    await work(log)
            finally:
                await log.close()

        asyncio.run(main())

    def with_each(self, *works: Callable[[Log], Awaitable[None]]) -> None:
        """One after the other, in logs of their own."""
        for work in works:
            self.with_log(work)


async def ids(log: Log, **wanted: str) -> list[str]:
    """Newest first, as pages of two give them."""
    seen: list[str] = []
    while page := await log.newest(limit=2, before_record_id=seen[-1] if seen else "", **wanted):
        assert len(page) <= 2
        seen += [found.record_id for found in page]
    return seen


async def caught_up(log: Log) -> None:
    await until(lambda: log.backlog == Backlog())
