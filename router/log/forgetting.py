"""What is forgotten of the log: records whole, with what later turns of their conversations repeat of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import sqlalchemy as sql

from edgewise.types import Findings, Passage, Record, Unwanted
from router.log.backlog import Line, Queue
from router.log.database import Database
from router.log.moments import parse_moment
from router.log.tables import calls, grades, records
from router.meter import SideCall

_SOME = 500


@dataclass(frozen=True, slots=True)
class Doomed:
    """Ids of records: those that go, and the later turns that repeat some of them; `talks` are their conversations.

    `looked_up` is what the cloud informed of because of them, by app; in `blind` are the apps of records whose words
    are kept elsewhere, or nowhere, so that this cannot be told. `graded` says whether somebody may have learned from
    them.
    """

    ids: frozenset[str]
    later: frozenset[str]
    talks: frozenset[tuple[str, str]]
    looked_up: dict[str, tuple[Passage, ...]]
    blind: frozenset[str]
    graded: bool


class Forgetting:
    """Of one log: both its places, the database and what waits for it. Blocks, and belongs on the log's thread."""

    def __init__(self, database: Database, queue: Queue) -> None:
        self._database = database
        self._queue = queue

    def doomed(self, unwanted: Unwanted) -> Doomed:
        """What would go; nothing is changed."""
        waiting = [line for line in self._queue.lines() if line.record is not None]
        before = parse_moment(unwanted.before)
        found = set(self._database.run(partial(_matching, unwanted=unwanted, before=before)))
        aside = self._queue.lines_set_aside()
        found |= {line.record.record_id for line in (*waiting, *aside) if _fits(line, unwanted, before) and line.record}
        found |= set(self._database.run(partial(_shadows, ids=found)))
        found |= {one.record_id for one in _records(waiting) if one.shadow_of in found}
        talks, turns = self._database.run(partial(_later, ids=found))
        later = set(turns)
        talks |= {(one.app, one.conversation_id) for one in _records(waiting) if one.record_id in found}
        later |= _later_waiting(_records(waiting), found, later)
        looked_up: dict[str, list[Passage]] = {}
        blind: set[str] = set()
        for record, made in self._with_calls(found, waiting):
            if record.cloud_calls and not made:
                blind.add(record.app)
            try:
                looked_up.setdefault(record.app, []).extend(_informed(made))
            except ValueError:
                blind.add(record.app)
        graded = self._database.run(partial(_is_any_graded, ids=found))
        graded = graded or any(line.grade.record_id in found for line in self._queue.lines() if line.grade)
        told = {app: tuple(passages) for app, passages in looked_up.items() if passages}
        talks = {(app, conversation) for app, conversation in talks if conversation}
        return Doomed(frozenset(found), frozenset(later), frozenset(talks), told, frozenset(blind), graded)

    def erase(self, doomed: Doomed) -> None:
        """Each record goes whole. Of what waits nothing is written meanwhile: that is done on this thread, too."""
        self._queue.rewrite(lambda line: _without(line, doomed), doomed.ids | doomed.later)
        for some in _batches(doomed.later):
            self._database.run(partial(_redact, ids=some))
        for some in _batches(doomed.ids):
            self._database.run(partial(_delete, ids=some))

    def _with_calls(self, ids: Iterable[str], waiting: Sequence[Line]) -> Iterator[tuple[Record, list[SideCall]]]:
        for some in _batches(ids):
            yield from self._database.run(partial(_asked_the_cloud, ids=some))
        wanted = set(ids)
        for line in waiting:
            if line.record is not None and line.record.record_id in wanted:
                yield line.record, list(line.calls)


def _matching(connection: sql.Connection, unwanted: Unwanted, before: str) -> list[str]:
    same = ("record_id", "conversation_id", "app", "user_id")
    wanted = [records.c[name] == getattr(unwanted, name) for name in same if getattr(unwanted, name)]
    if before:
        wanted += [records.c.created_at != "", records.c.created_at < before]
    if unwanted.document_id:
        passage = f"{unwanted.document_id}:"
        looked = sql.select(calls.c.record_id).where(calls.c.value.contains(passage, autoescape=True))
        wanted.append(
            sql.or_(records.c.value.contains(passage, autoescape=True), records.c.record_id.in_(looked))
        )  # fmt: skip
    return list(connection.execute(sql.select(records.c.record_id).where(*wanted)).scalars())


def _fits(line: Line, unwanted: Unwanted, before: str) -> bool:
    record = line.record
    if record is None:
        return False
    same = ("record_id", "conversation_id", "app", "user_id")
    return (
        all(getattr(unwanted, name) in {"", getattr(record, name)} for name in same)
        and (not before or "" < record.created_at < before)
        and (not unwanted.document_id or f"{unwanted.document_id}:" in line.model_dump_json())
    )


def _shadows(connection: sql.Connection, ids: Iterable[str]) -> list[str]:
    found: list[str] = []
    for some in _batches(ids):
        found += connection.execute(sql.select(records.c.record_id).where(records.c.shadow_of.in_(some))).scalars()
    return found


def _later(connection: sql.Connection, ids: set[str]) -> tuple[set[tuple[str, str]], list[str]]:
    """The conversations of these; the turns after the first of them in each, and the shadows of those."""
    first: dict[tuple[str, str], int] = {}
    for some in _batches(ids):
        query = sql.select(records.c.app, records.c.conversation_id, records.c.seq)
        for app, conversation, seq in connection.execute(
            query.where(records.c.record_id.in_(some), records.c.conversation_id != "")
        ):
            first[app, conversation] = min(seq, first.get((app, conversation), seq))
    turns: list[str] = []
    for (app, conversation), seq in first.items():
        of_it = (records.c.app == app, records.c.conversation_id == conversation, records.c.seq > seq)
        turns += connection.execute(sql.select(records.c.record_id).where(*of_it)).scalars()
    return set(first), [one for one in (*turns, *_shadows(connection, turns)) if one not in ids]


def _later_waiting(waiting: Sequence[Record], ids: set[str], later: set[str]) -> set[str]:
    """What waits is later than what does not; among what waits, the file is in order."""
    found: set[str] = set()
    talks: set[tuple[str, str]] = set()
    for record in waiting:
        talk = (record.app, record.conversation_id)
        if record.record_id in ids:
            talks.add(talk)
        elif (record.conversation_id and talk in talks) or record.shadow_of in found | later:
            found.add(record.record_id)
    return found


def _asked_the_cloud(connection: sql.Connection, ids: Sequence[str]) -> list[tuple[Record, list[SideCall]]]:
    """Records that made calls of the cloud, with its look-ups."""
    found = [
        Record.model_validate_json(value)
        for value in connection.execute(sql.select(records.c.value).where(records.c.record_id.in_(ids))).scalars()
    ]
    made: dict[str, list[SideCall]] = {}
    of_cloud = (calls.c.record_id.in_(ids), calls.c.side == "cloud")
    for record_id, value in connection.execute(sql.select(calls.c.record_id, calls.c.value).where(*of_cloud)):
        made.setdefault(record_id, []).append(SideCall.model_validate_json(value))
    return [(record, made.get(record.record_id, [])) for record in found if record.cloud_calls]


def _informed(made: Sequence[SideCall]) -> Iterator[Passage]:
    """ValueError where the words were not kept."""
    for call in made:
        if call.side == "cloud" and call.kind == "retrieve" and not call.error:
            yield from Findings.model_validate_json(call.response).passages


def _is_any_graded(connection: sql.Connection, ids: Iterable[str]) -> bool:
    return any(
        connection.scalar(sql.select(sql.literal(1)).where(grades.c.record_id.in_(some)).limit(1))
        for some in _batches(ids)
    )  # fmt: skip


def _redact(connection: sql.Connection, ids: Sequence[str]) -> None:
    connection.execute(calls.delete().where(calls.c.record_id.in_(ids)))
    for value in connection.execute(sql.select(records.c.value).where(records.c.record_id.in_(ids))).scalars().all():
        record = redacted(Record.model_validate_json(value))
        changed = records.update().where(records.c.record_id == record.record_id)
        connection.execute(changed.values(value=record.model_dump_json()))


def _delete(connection: sql.Connection, ids: Sequence[str]) -> None:
    for table in (grades, calls, records):
        connection.execute(table.delete().where(table.c.record_id.in_(ids)))


def redacted(record: Record) -> Record:
    """A later turn as it was asked and answered, without the earlier ones that its prompts and steps repeat."""
    steps = tuple(step.model_copy(update={"detail": ""}) for step in record.steps)
    return record.model_copy(update={"steps": steps, "calls": ()})


def _without(line: Line, doomed: Doomed) -> Line | None:
    of = line.record or line.grade
    if of is None or of.record_id in doomed.ids:
        return None
    if line.record is not None and line.record.record_id in doomed.later:
        return line.model_copy(update={"record": redacted(line.record), "calls": ()})
    return line


def _records(lines: Sequence[Line]) -> list[Record]:
    return [line.record for line in lines if line.record is not None]


def _batches(ids: Iterable[str]) -> Iterator[list[str]]:
    ordered = sorted(ids)
    for start in range(0, len(ordered), _SOME):
        yield ordered[start : start + _SOME]
