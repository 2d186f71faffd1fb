"""The log: every question's record, its side calls and its grades, whatever becomes of the database meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sql

from edgewise.errors import NotFound, NotReady
from edgewise.keys import new_id
from edgewise.types import Grade, Record, Turn, Unwanted
from router.egress import Boundary
from router.log import reading, writing
from router.log.backlog import Backlog, Entry, Line, Queue
from router.log.database import Database, Gone, Refused
from router.log.forgetting import Doomed, Forgetting
from router.log.moments import Clock, utc_now, written
from router.log.places import Place, place_of
from router.log.reading import Wanted
from router.log.retention import BATCH, Keep, expire_some
from router.log.tally import ModeTally, Spend, spend, tally
from router.log.together import Together
from router.meter import SideCall

T = TypeVar("T")
log = logging.getLogger(__name__)

_LINES = 200
_EARLIER = "what waited before is still being written"


class Log:
    """The database works on the log's own thread. NotReady says what is wrong with it.

    With a backlog, `write` and `grade` go on without the database: what they are given waits on disk, in order, and is
    written when it is back. `get`, `of_request`, `newest`, `turns` and `calls` see what waits.
    """

    def __init__(self, database: Database, queue: Queue, keep: Keep, clock: Clock) -> None:
        """Use `open`: a log must be started."""
        self._database = database
        self._queue = queue
        self._forgetting = Forgetting(database, queue)
        self._keep = keep
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="log")
        self._together = Together(self._thread, self._put_now)
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._tending: asyncio.Task[None] | None = None
        self._reason = ""

    @staticmethod
    async def open(
        url: str | Place,
        *,
        boundary: Boundary | None = None,
        backlog: Path | None = None,
        keep: Keep = Keep(),
        clock: Clock = utc_now,
        retry_s: float = 3.0,
        expire_s: float = 3600.0,
    ) -> Log:
        """`url` as SQLAlchemy takes it, such as `sqlite:////var/lib/edgewise/records.db`.

        A database on another machine needs the `boundary` of this one. NotReady for a file that cannot be opened.
        A server that is down is waited for where there is a `backlog`.
        What waits is tried every `retry_s` seconds, and what is too old removed every `expire_s`.
        """
        place = place_of(url) if isinstance(url, str) else url
        database = await asyncio.to_thread(Database, place, boundary)
        opened = Log(database, await asyncio.to_thread(Queue, backlog), keep, clock)
        try:
            await opened._start()
        except BaseException:
            await opened.close()
            raise
        if backlog is not None or keep != Keep():
            opened._tending = asyncio.create_task(opened._tend(retry_s, expire_s))
        return opened

    async def _start(self) -> None:
        try:
            await self._run(lambda _: None)
            await self.expire()
        except Gone as error:
            if self.place.file or not self._queue.is_open:
                raise
            self._has_failed(error.message)
        if self._queue.count:
            self._wake.set()

    async def close(self) -> None:
        if self._tending is not None:
            self._tending.cancel()
            await asyncio.wait({self._tending})
        await self._on_thread(self._database.close)
        self._thread.shutdown()

    @property
    def place(self) -> Place:
        return self._database.place

    @property
    def backlog(self) -> Backlog:
        """What waits for the database, and what is wrong with that."""
        return Backlog(count=self._queue.count, reason=self._reason)

    # --- writing ------------------------------------------------------------------------------------------------------

    def write(self, record: Record, calls: Sequence[SideCall]) -> asyncio.Future[None]:
        """It is written also if nobody waits for it."""
        return self._put(Line(record=record, calls=tuple(calls)))

    async def grade(self, grade: Grade) -> Grade:
        """Adds a grade to a record; one grader may grade again, every grade is kept.

        NotFound, unless the database is gone: then nobody knows better, and a grade of no record is set aside later.
        """
        try:
            await self.get(grade.record_id)
        except Gone:
            if not self._queue.is_open:
                raise
        dated = grade.model_copy(update={"created_at": written(self._clock())})
        await self._put(Line(grade=dated, grade_id=new_id()))
        return dated

    def _put(self, line: Line) -> asyncio.Future[None]:
        """Nobody waits for a database that is known to be gone."""
        if self._queue.count:
            return asyncio.create_task(asyncio.to_thread(self._wait, line, self._reason or _EARLIER))
        return self._together.do(line)

    def _put_now(self, lines: Sequence[Line]) -> Sequence[Exception | None]:
        """In one transaction. One that is refused takes no other down; while the database is gone, all wait."""
        reason = self._reason or _EARLIER
        if not self._queue.count:  # of what was before them on this thread
            try:
                work = partial(writing.put, lines=lines, elsewhere=self.place.elsewhere)
                self._database.run(work, writes=lines)
            except (Refused, NotFound) as error:
                return [error] if len(lines) == 1 else [each for line in lines for each in self._put_now((line,))]
            except NotReady as error:
                if not self._queue.is_open:
                    return [error] * len(lines)
                reason = error.message
            else:
                self._works()
                return [None] * len(lines)
        return [self._waits(line, reason) for line in lines]

    def _waits(self, line: Line, reason: str) -> Exception | None:
        try:
            self._wait(line, reason)
        except NotReady as error:
            return error
        return None

    def _wait(self, line: Line, reason: str) -> None:
        try:
            self._queue.add(line)
        except OSError as error:
            raise NotReady(f"{reason}; nor can it wait on disk ({error.strerror or error})") from error
        self._has_failed(reason)
        self._loop.call_soon_threadsafe(self._wake.set)

    # --- reading ------------------------------------------------------------------------------------------------------

    async def get(self, record_id: str, app: str = "") -> Record:
        """One record with its grades; NotFound, also where an app is given and it is not that one's."""
        wanted = Wanted(1, app=app)

        def get() -> Record:
            for waiting in self._queue.records(lambda entry: entry.record_id == record_id and wanted.has(entry), 1):
                return waiting
            return self._graded(self._database.run(partial(reading.one, record_id=record_id, app=app)))

        return await self._on_thread(get)

    async def of_request(self, app: str, request_id: str) -> Record | None:
        """The newest record of a request id of an app.

        With a backlog and without the database, nobody knows what was answered before: better twice than not at all.
        """

        def find() -> Record | None:
            for waiting in self._queue.records(lambda entry: (entry.app, entry.request_id) == (app, request_id), 1):
                return waiting
            try:
                found = self._database.run(partial(reading.of_request, app=app, request_id=request_id))
            except Gone as error:
                if not self._queue.is_open:
                    raise
                self._has_failed(error.message)
                return None
            return self._graded(found) if found else None

        return await self._on_thread(find)

    async def newest(
        self,
        *,
        limit: int,
        before_record_id: str = "",
        mode: str = "",
        conversation_id: str = "",
        since: str = "",
        experiment: str = "",
        app: str = "",
    ) -> tuple[Record, ...]:
        """Newest first, from the one before `before_record_id` on; `since` is a time as records have it.

        Without the database a page may be short of what it should have; the one that would be empty is a NotReady.
        """
        wanted = Wanted(limit, before_record_id, mode, conversation_id, since, experiment, app)
        return await self._on_thread(partial(self._page, wanted))

    def _page(self, wanted: Wanted) -> tuple[Record, ...]:
        begins_here = not wanted.before or self._queue.has(wanted.before, wanted.app)
        waiting = self._queue.records(wanted.has, wanted.limit, wanted.before) if begins_here else ()
        if len(waiting) == wanted.limit:
            return waiting
        rest = replace(wanted, limit=wanted.limit - len(waiting), before="" if begins_here else wanted.before)
        try:
            found = self._database.run(partial(reading.page, wanted=rest))
        except Gone:
            if not waiting:
                raise
            return waiting
        return waiting + self._queue.graded(found)

    async def turns(self, app: str, conversation_id: str) -> tuple[Turn, ...]:
        """What was said in a conversation, oldest first; failed requests said nothing.

        InvalidInput where that was not kept, NotReady where it cannot be read: nobody answers as if nothing was said.
        """

        def is_of_it(entry: Entry) -> bool:
            return (entry.app, entry.conversation_id) == (app, conversation_id)

        def read() -> tuple[Turn, ...]:
            before = self._database.run(partial(reading.turns, app=app, conversation_id=conversation_id))
            waiting = reversed(self._queue.records(is_of_it, None))
            return before + tuple(turn for record in waiting if not record.error for turn in reading.said(record))

        try:
            return await self._on_thread(read)
        except Gone as error:
            raise NotReady(
                f"conversation {conversation_id} cannot be continued now, because {error.message}; or send the earlier "
                "turns as history"
            ) from error

    async def calls(self, record_id: str) -> tuple[SideCall, ...]:
        def read() -> tuple[SideCall, ...]:
            if self._queue.has(record_id):
                return self._queue.calls(record_id)
            return self._database.run(partial(reading.calls_of, record_id=record_id))

        return await self._on_thread(read)

    async def tally(self, since: str = "") -> tuple[ModeTally, ...]:
        """The records since a time (as records have it) added up by mode, without those that wait."""
        return await self._run(partial(tally, since=since))

    async def spend(self, since: str = "") -> Spend:
        """What the records since a time have cost, without those that wait."""
        return await self._run(partial(spend, since=since))

    def _graded(self, record: Record) -> Record:
        return self._queue.graded((record,))[0]

    # --- forgetting ---------------------------------------------------------------------------------------------------

    async def doomed(self, unwanted: Unwanted, documents: Collection[str] = (), within: str = "") -> Doomed:
        """What would be forgotten, with what stands on some documents; of an app only, if it is given."""
        return await self._on_thread(partial(self._forgetting.doomed, unwanted, documents, within))

    async def erase(self, doomed: Doomed) -> None:
        """Forgets it, whether it is in the database or waits for it."""
        await self._on_thread(partial(self._forgetting.erase, doomed))

    async def scrub(self) -> None:
        """Overwrites on disk what was removed; NotReady while another program reads the database."""
        await self._on_thread(self._database.scrub)

    # --- keeping ------------------------------------------------------------------------------------------------------

    async def expire(self) -> int:
        """Removes the records that are not kept any longer, and says how many; at start and once an hour."""
        days, total, some = self._keep.days, 0, BATCH
        before = written(self._clock() - timedelta(days=days)) if days is not None else ""
        while some == BATCH:
            some = await self._run(partial(expire_some, before=before, most=self._keep.records))
            total += some
        if total:
            await self._on_thread(self._database.settle)
            log.info("removed %d records that are not kept any longer", total)
        return total

    async def _tend(self, retry_s: float, expire_s: float) -> None:
        """Writes what waits as soon as the database is back, and keeps nothing for too long."""
        expire_at = self._loop.time() + expire_s
        while True:
            is_behind = bool(self._queue.count or self._reason)
            with suppress(TimeoutError):
                async with asyncio.timeout(retry_s if is_behind else expire_at - self._loop.time()):
                    await self._wake.wait()
            self._wake.clear()
            try:
                while self._queue.count or self._reason:
                    if not await self._on_thread(self._write_some):
                        break
                if self._loop.time() >= expire_at:
                    expire_at += expire_s
                    await self.expire()
            except Exception:
                log.exception("tending the records failed; it is tried again")

    def _write_some(self) -> bool:
        """Writes some of what waits; False while the database is gone."""
        lines = self._queue.first(_LINES)
        try:
            self._write_all(lines)
            if len(lines) == self._queue.count:  # the file goes away, so they must be on the disk
                self._database.settle()
        except NotReady as error:
            self._has_failed(error.message)
            return False
        self._queue.drop(len(lines))
        if not self._queue.count:
            self._works()
        return True

    def _write_all(self, lines: Sequence[Line]) -> None:
        """Those that are not there yet: after a crash the file has more than the database misses."""
        work = partial(writing.put_missing, lines=lines, elsewhere=self.place.elsewhere)
        try:
            orphans = self._database.run(work, briefly=True, writes=lines)
        except Refused as error:
            if len(lines) == 1:
                self._queue.set_aside(lines[0], error.message)
                return
            for line in lines:
                self._write_all((line,))
        else:
            for line in orphans:
                self._queue.set_aside(line, "there is no record of this id to be graded")

    def _has_failed(self, reason: str) -> None:
        if not self._reason:
            log.warning("records wait on disk until the database is back: %s", reason)
        self._reason = reason

    def _works(self) -> None:
        if self._reason:
            log.info("the record database is back; nothing waits any longer")
        self._reason = ""

    async def _run(self, work: Callable[[sql.Connection], T]) -> T:
        return await self._on_thread(partial(self._database.run, work))

    async def _on_thread(self, work: Callable[[], T]) -> T:
        try:
            return await self._loop.run_in_executor(self._thread, work)
        except OSError as error:
            raise NotReady(f"the backlog of records cannot be read ({error}); check the data directory") from error
