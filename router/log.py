"""Records, side calls and grades, kept through SQLAlchemy: SQLite by default, PostgreSQL by URL.

A value is kept whole as JSON beside the columns that it is looked up by, so that a new field needs no migration.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from typing import TypeVar

import sqlalchemy as sql
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from edgewise.errors import InvalidInput, NotFound, NotReady
from edgewise.types import Grade, Record, Text, Turn
from edgewise.wire import invalid
from router.meter import SideCall

T = TypeVar("T")

_TABLES = sql.MetaData()
_records = sql.Table(
    "records",
    _TABLES,
    sql.Column("seq", sql.Integer, primary_key=True, autoincrement=True),
    sql.Column("record_id", sql.String(64), unique=True, nullable=False),
    sql.Column("app", sql.String(200), nullable=False),
    sql.Column("request_id", sql.String(200), nullable=False),
    sql.Column("conversation_id", sql.String(200), nullable=False, index=True),
    sql.Column("mode", sql.String(200), nullable=False, index=True),
    sql.Column("error", sql.String(40), nullable=False),
    sql.Column("created_at", sql.String(40), nullable=False),
    sql.Column("value", sql.Text, nullable=False),
    sql.Index("records_by_request", "app", "request_id"),
)
_calls = sql.Table(
    "calls",
    _TABLES,
    sql.Column("seq", sql.Integer, primary_key=True, autoincrement=True),
    sql.Column("record_id", sql.String(64), nullable=False, index=True),
    sql.Column("key", sql.String(64), nullable=False, index=True),
    sql.Column("side", sql.String(10), nullable=False),
    sql.Column("kind", sql.String(20), nullable=False),
    sql.Column("value", sql.Text, nullable=False),
)
_grades = sql.Table(
    "grades",
    _TABLES,
    sql.Column("seq", sql.Integer, primary_key=True, autoincrement=True),
    sql.Column("record_id", sql.String(64), nullable=False, index=True),
    sql.Column("value", sql.Text, nullable=False),
)


class Log:
    """Every method runs on the log's own thread. NotReady says what is wrong with the database."""

    def __init__(self, engine: sql.Engine, thread: ThreadPoolExecutor) -> None:
        self._engine = engine
        self._thread = thread

    @staticmethod
    async def open(url: str) -> Log:
        """`url` as SQLAlchemy takes it, such as `sqlite:////var/lib/edgewise/records.db`."""
        engine = sql.create_engine(url)
        if engine.dialect.name == "sqlite":
            await asyncio.to_thread(_make_private, engine.url.database)
            sql.event.listen(engine, "connect", _tune_sqlite)
        log = Log(engine, ThreadPoolExecutor(1, thread_name_prefix="log"))
        try:
            await log._run(_TABLES.create_all)
        except NotReady:
            await log.close()
            raise
        return log

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._engine.dispose)
        self._thread.shutdown()

    async def write(self, record: Record, calls: Sequence[SideCall]) -> None:
        row = record.model_dump(
            include={"record_id", "app", "request_id", "conversation_id", "mode", "error", "created_at"}
        )
        call_rows = [
            {"record_id": record.record_id, "key": call.key, "side": call.side, "kind": call.kind,
             "value": call.model_dump_json()}
            for call in calls
        ]  # fmt: skip

        def write(connection: sql.Connection) -> None:
            connection.execute(_records.insert(), {**row, "value": record.model_dump_json()})
            if call_rows:
                connection.execute(_calls.insert(), call_rows)

        await self._run(write)

    async def get(self, record_id: str) -> Record:
        """One record with its grades; NotFound."""
        found = await self._select(sql.select(_records).where(_records.c.record_id == record_id))
        if not found:
            raise NotFound(f"there is no record {record_id[:80]!r}; `edgewise log` lists the newest")
        return found[0]

    async def of_request(self, app: str, request_id: str) -> Record | None:
        """The newest record of a request id of an app."""
        found = await self._select(
            sql.select(_records)
            .where(_records.c.app == app, _records.c.request_id == request_id)
            .order_by(_records.c.seq.desc())
            .limit(1)
        )
        return found[0] if found else None

    async def newest(
        self, *, limit: int, before_record_id: str = "", mode: str = "", conversation_id: str = ""
    ) -> tuple[Record, ...]:
        """Newest first, from the one before `before_record_id` on."""
        query = sql.select(_records).order_by(_records.c.seq.desc()).limit(limit)
        if before_record_id:
            await self.get(before_record_id)
            before = sql.select(_records.c.seq).where(_records.c.record_id == before_record_id).scalar_subquery()
            query = query.where(_records.c.seq < before)
        if mode:
            query = query.where(_records.c.mode == mode)
        if conversation_id:
            query = query.where(_records.c.conversation_id == conversation_id)
        return await self._select(query)

    async def turns(self, app: str, conversation_id: str) -> tuple[Turn, ...]:
        """What was said in a conversation, oldest first; failed requests said nothing."""
        found = await self._select(
            sql.select(_records)
            .where(_records.c.app == app, _records.c.conversation_id == conversation_id, _records.c.error == "")
            .order_by(_records.c.seq)
        )
        return tuple(turn for record in found for turn in _turns(record))

    async def calls(self, record_id: str) -> tuple[SideCall, ...]:
        query = sql.select(_calls.c.value).where(_calls.c.record_id == record_id).order_by(_calls.c.seq)
        return await self._run(
            lambda connection: tuple(map(SideCall.model_validate_json, connection.execute(query).scalars()))
        )

    async def grade(self, grade: Grade) -> Grade:
        """Adds a grade to a record; one grader may grade again, every grade is kept."""
        await self.get(grade.record_id)
        dated = grade.model_copy(update={"created_at": now()})
        row = {"record_id": grade.record_id, "value": dated.model_dump_json()}
        await self._run(lambda connection: connection.execute(_grades.insert(), row))
        return dated

    async def _select(self, query: sql.Select[tuple[object, ...]]) -> tuple[Record, ...]:
        def read(connection: sql.Connection) -> tuple[Record, ...]:
            values = [row.value for row in connection.execute(query)]
            records = [Record.model_validate_json(value) for value in values]
            wanted = _grades.c.record_id.in_([record.record_id for record in records])
            grades = sql.select(_grades.c.value).where(wanted).order_by(_grades.c.seq)
            found = [Grade.model_validate_json(value) for value in connection.execute(grades).scalars()]
            return tuple(
                record.model_copy(
                    update={"grades": tuple(grade for grade in found if grade.record_id == record.record_id)}
                )
                for record in records
            )

        return await self._run(read)

    async def _run(self, work: Callable[[sql.Connection], T]) -> T:
        def run() -> T:
            try:
                with self._engine.begin() as connection:
                    return work(connection)
            except SQLAlchemyError as error:
                reason = str(getattr(error, "orig", None) or error).splitlines()[0]
                raise NotReady(
                    f"the record database failed ({reason}); check the disk and the data directory"
                ) from error
            except ValidationError as error:
                raise NotReady(
                    f"the record database was written by another version of edgewise ({invalid(error).message}); "
                    "use that version, or another data directory"
                ) from None

        return await asyncio.get_running_loop().run_in_executor(self._thread, run)


def now() -> str:
    return stamped(datetime.now(UTC))


def stamped(moment: datetime) -> str:
    """RFC 3339, UTC, milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def parse_grade(value: str) -> float:
    """`up`, `down`, or a number from 0 to 1."""
    words = {"up": 1.0, "right": 1.0, "down": 0.0, "wrong": 0.0}
    try:
        score = words[value] if value in words else float(value)
    except ValueError:
        score = -1.0
    if not 0 <= score <= 1:
        raise InvalidInput(f"`{value[:40]}` is not a grade; give `up`, `down`, or a number from 0 to 1")
    return score


def _turns(record: Record) -> tuple[Turn, Turn]:
    def turn(role: str, value: str) -> Turn:
        return Turn.model_validate({"role": role, "text": Text(value=value, label=record.privacy)})

    return turn("user", record.question), turn("assistant", record.answer)


def _make_private(database: str | None) -> None:
    """What was asked is nobody else's business; SQLite gives its other files the permissions of this one."""
    if database:
        with suppress(OSError):  # SQLite says better what is wrong
            os.close(os.open(database, os.O_CREAT | os.O_CLOEXEC, 0o600))


def _tune_sqlite(connection: object, _: object) -> None:
    cursor = connection.cursor()  # type: ignore[attr-defined]  # DB-API connections have no common type
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA busy_timeout=5000")
    cursor.close()
