"""What is forgotten of the log: records whole, and what other records repeat of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
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
    """Ids of records: those that go, and those that only repeat some of it (later turns, and what looked at a document)
    and stay without that. `talks` are the conversations of the former.

    `looked_up` is what the cloud informed of because of them, by app; in `blind` are the apps of records whose words
    are kept elsewhere, or nowhere, so that this cannot be told. `graded` says whether somebody may have learned from
    them.
    """

    ids: frozenset[str]
    repeating: frozenset[str]
    talks: frozenset[tuple[str, str]]
    looked_up: dict[str, tuple[Passage, ...]]
    blind: frozenset[str]
    graded: bool


class Forgetting:
    """Of one log: both its places, the database and what waits for it. Blocks, and belongs on the log's thread."""

    def __init__(self, database: Database, queue: Queue) -> None:
        self._database = database
        self._queue = queue

    def doomed(self, unwanted: Unwanted, documents: Collection[str], within: str) -> Doomed:
        """What would go, with what cites or has looked at these documents; nothing is changed.

        `within` is the app that may have nothing of others changed; empty for the owner.
        """
        waiting = [line for line in self._queue.lines() if line.record is not None]
        aside = self._queue.lines_set_aside()
        before = parse_moment(unwanted.before)
        found = set(self._database.run(partial(_matching, unwanted=unwanted, before=before)))
        found |= {
            line.record.record_id for line in (*waiting, *aside) if line.record and _fits(line.record, unwanted, before)
        }
        found |= set(self._database.run(partial(_citing, documents=documents, within=within)))
        found |= {
            line.record.record_id
            for line in (*waiting, *aside)
            if line.record and _cites(line.record, documents, within)
        }
        found |= set(self._database.run(partial(_shadows, ids=found)))
        found |= {one.record_id for one in _records(waiting) if one.shadow_of in found}
        talks, turns = self._database.run(partial(_later, ids=found))
        repeating = {*turns, *_later_waiting(_records(waiting), found, turns, talks)}
        repeating |= set(self._database.run(partial(_looking, documents=documents, within=within)))
        repeating |= {line.record.record_id for line in waiting if line.record and _looks(line, documents, within)}
        looked_up, blind = self._informed(found, waiting)
        graded = self._database.run(partial(_is_any_graded, ids=found))
        graded = graded or any(line.grade.record_id in found for line in self._queue.lines() if line.grade)
        talks = {(app, conversation) for app, conversation in talks if conversation}
        return Doomed(frozenset(found), frozenset(repeating - found), frozenset(talks), looked_up, blind, graded)

    def _informed(
        self, ids: Collection[str], waiting: Sequence[Line]
    ) -> tuple[dict[str, tuple[Passage, ...]], frozenset[str]]:
        """What the cloud informed of for some records, by app; and the apps where that cannot be told."""
        told: dict[str, list[Passage]] = {}
        blind: set[str] = set()
        for record, made in self._with_calls(ids, waiting):
            if record.cloud_calls and not made:
                blind.add(record.app)
            try:
                told.setdefault(record.app, []).extend(_passages_of(made))
            except ValueError:
                blind.add(record.app)
        return {app: tuple(passages) for app, passages in told.items() if passages}, frozenset(blind)

    def erase(self, doomed: Doomed) -> None:
        """Each record goes whole. Of what waits nothing is written meanwhile: that is done on this thread, too."""
        self._queue.rewrite(lambda line: _without(line, doomed), doomed.ids | doomed.repeating)
        for some in _batches(doomed.repeating):
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


_SAME = ("record_id", "conversation_id", "app", "user_id")


def _matching(connection: sql.Connection, unwanted: Unwanted, before: str) -> list[str]:
    """None, where nothing is said."""
    wanted = [records.c[name] == getattr(unwanted, name) for name in _SAME if getattr(unwanted, name)]
    if before:
        wanted += [records.c.created_at != "", records.c.created_at < before]
    return list(connection.execute(sql.select(records.c.record_id).where(*wanted)).scalars()) if wanted else []


def _fits(record: Record, unwanted: Unwanted, before: str) -> bool:
    said = [name for name in _SAME if getattr(unwanted, name)]
    return (
        bool(said or before)
        and all(getattr(unwanted, name) == getattr(record, name) for name in said)
        and (not before or "" < record.created_at < before)
    )


def _citing(connection: sql.Connection, documents: Collection[str], within: str) -> list[str]:
    return _with(connection, sql.select(records.c.record_id), records.c.value, documents, within)


def _looking(connection: sql.Connection, documents: Collection[str], within: str) -> list[str]:
    """Those that only looked at them, and may stand on other ones, are here, too."""
    joined = sql.select(calls.c.record_id).join(records, records.c.record_id == calls.c.record_id).distinct()
    return _with(connection, joined, calls.c.value, documents, within)


def _with(
    connection: sql.Connection, query: sql.Select[str], text: sql.Column[str], documents: Collection[str], within: str
) -> list[str]:
    """The records in which the id of a passage of some documents stands."""
    if within:
        query = query.where(records.c.app == within)
    found: list[str] = []
    for some in _batches(documents, 100):
        stands = sql.or_(*[text.contains(passage_of(one), autoescape=True) for one in some])
        found += connection.execute(query.where(stands)).scalars()
    return found


def _cites(record: Record, documents: Collection[str], within: str) -> bool:
    ids = tuple(map(passage_of, documents))
    return within in {"", record.app} and any(one.id.startswith(ids) for one in record.citations)


def _looks(line: Line, documents: Collection[str], within: str) -> bool:
    if line.record is None or within not in {"", line.record.app}:
        return False
    return any(passage_of(one) in call.response for call in line.calls for one in documents)


def passage_of(document_id: str) -> str:
    """How the id of a passage of a document begins."""
    return f"{document_id}:"


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


def _later_waiting(
    waiting: Sequence[Record], ids: set[str], later: Sequence[str], talks: set[tuple[str, str]]
) -> set[str]:
    """What waits is later than what does not; among what waits, the file is in order. Adds its conversations."""
    found: set[str] = set()
    for record in waiting:
        talk = (record.app, record.conversation_id)
        if record.record_id in ids:
            talks.add(talk)
        elif (record.conversation_id and talk in talks) or record.shadow_of in {*found, *later}:
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


def _passages_of(made: Sequence[SideCall]) -> Iterator[Passage]:
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
    """A record as it was asked and answered, without what its prompts and steps repeat."""
    steps = tuple(step.model_copy(update={"detail": ""}) for step in record.steps)
    return record.model_copy(update={"steps": steps, "calls": ()})


def _without(line: Line, doomed: Doomed) -> Line | None:
    of = line.record or line.grade
    if of is None or of.record_id in doomed.ids:
        return None
    if line.record is not None and line.record.record_id in doomed.repeating:
        return line.model_copy(update={"record": redacted(line.record), "calls": ()})
    return line


def _records(lines: Sequence[Line]) -> list[Record]:
    return [line.record for line in lines if line.record is not None]


def _batches(ids: Iterable[str], size: int = _SOME) -> Iterator[list[str]]:
    ordered = sorted(ids)
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]
