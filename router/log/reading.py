"""What is read out of the database: records with their grades, conversations, side calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sql

from edgewise.errors import InvalidInput, NotFound
from edgewise.types import Grade, Record, Text, Turn
from router.log.backlog import Entry
from router.log.tables import calls, grades, records
from router.meter import SideCall


@dataclass(frozen=True, slots=True)
class Wanted:
    """A page of records, newest first, from the one before `before` on; an app's without what it never saw."""

    limit: int
    before: str = ""
    mode: str = ""
    conversation_id: str = ""
    since: str = ""
    experiment: str = ""
    app: str = ""

    def has(self, entry: Entry) -> bool:
        """Whether a record that waits is wanted, wherever the page begins."""
        return (
            self.mode in {"", entry.mode}
            and self.conversation_id in {"", entry.conversation_id}
            and self.experiment in {"", entry.experiment}
            and (not self.app or (self.app == entry.app and not entry.shadow_of))
            and self.since <= entry.created_at
        )


def one(connection: sql.Connection, record_id: str, app: str = "") -> Record:
    """With its grades; NotFound, also for one of another app than that which is given."""
    query = sql.select(records.c.value).where(records.c.record_id == record_id, *_of(app))
    found = _records(connection, query)
    if not found:
        raise unknown(record_id)
    return found[0]


def unknown(record_id: str) -> NotFound:
    return NotFound(f"there is no record {record_id[:80]!r}; `edgewise log` lists the newest")


def of_request(connection: sql.Connection, app: str, request_id: str) -> Record | None:
    """The newest record of a request id; InvalidInput where its answer was not kept, so that it cannot be repeated."""
    row = connection.execute(
        sql.select(records.c.record_id, records.c.error, records.c.has_content)
        .where(records.c.app == app, records.c.request_id == request_id)
        .order_by(records.c.seq.desc())
        .limit(1)
    ).one_or_none()
    if row is None:
        return None
    if not row.error and not row.has_content:
        raise InvalidInput(
            f"request {request_id} was answered, but the records are on another machine and keep no content, so the "
            "answer cannot be given again; ask with a new request_id"
        )
    return one(connection, row.record_id)


def page(connection: sql.Connection, wanted: Wanted) -> tuple[Record, ...]:
    """NotFound when there is no record `before`."""
    query = sql.select(records.c.value).where(*_of(wanted.app)).order_by(records.c.seq.desc()).limit(wanted.limit)
    if wanted.before:
        last = sql.select(records.c.seq).where(records.c.record_id == wanted.before, *_of(wanted.app))
        before = connection.scalar(last)
        if before is None:
            raise unknown(wanted.before)
        query = query.where(records.c.seq < before)
    if wanted.mode:
        query = query.where(records.c.mode == wanted.mode)
    if wanted.conversation_id:
        query = query.where(records.c.conversation_id == wanted.conversation_id)
    if wanted.experiment:
        query = query.where(records.c.experiment == wanted.experiment)
    if wanted.since:
        query = query.where(records.c.created_at >= wanted.since)
    return _records(connection, query)


def turns(connection: sql.Connection, app: str, conversation_id: str) -> tuple[Turn, ...]:
    """What was said in a conversation, oldest first; InvalidInput where that was not kept."""
    rows = connection.execute(
        sql.select(records.c.value, records.c.has_content)
        .where(records.c.app == app, records.c.conversation_id == conversation_id, records.c.error == "")
        .order_by(records.c.seq)
    ).all()
    if not all(row.has_content for row in rows):
        raise InvalidInput(
            f"conversation {conversation_id} cannot be continued: the records are on another machine and keep no "
            "content of it; send the earlier turns as history"
        )
    return tuple(turn for row in rows for turn in said(Record.model_validate_json(row.value)))


def said(record: Record) -> tuple[Turn, Turn]:
    """A question and its answer, as turns of a conversation."""

    def turn(role: str, value: str) -> Turn:
        return Turn.model_validate({"role": role, "text": Text(value=value, label=record.privacy)})

    return turn("user", record.question), turn("assistant", record.answer)


def calls_of(connection: sql.Connection, record_id: str) -> tuple[SideCall, ...]:
    query = sql.select(calls.c.value).where(calls.c.record_id == record_id).order_by(calls.c.seq)
    return tuple(map(SideCall.model_validate_json, connection.execute(query).scalars()))


def _of(app: str) -> tuple[sql.ColumnElement[bool], ...]:
    """The owner's shadow answers of an app's questions are not the app's."""
    return (records.c.app == app, records.c.shadow_of == "") if app else ()


def _records(connection: sql.Connection, query: sql.Select[Any]) -> tuple[Record, ...]:
    """With their grades."""
    found = [Record.model_validate_json(value) for value in connection.execute(query).scalars()]
    wanted = grades.c.record_id.in_([record.record_id for record in found])
    by_record: dict[str, list[Grade]] = {}
    for value in connection.execute(sql.select(grades.c.value).where(wanted).order_by(grades.c.seq)).scalars():
        grade = Grade.model_validate_json(value)
        by_record.setdefault(grade.record_id, []).append(grade)
    return tuple(record.model_copy(update={"grades": tuple(by_record.get(record.record_id, ()))}) for record in found)
