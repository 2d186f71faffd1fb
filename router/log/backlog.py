"""What waits for a database that cannot be written: one fsynced line each, in `backlog.jsonl`, until it is back."""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import dropwhile, islice
from pathlib import Path

from edgewise.types import Grade, Record, Value
from router.disk import sync_directory, write_all
from router.meter import SideCall

log = logging.getLogger(__name__)

_READ_BYTES = 8 * 1024 * 1024


class Backlog(Value):
    """How many records and grades wait, and why; an empty reason says that the database works."""

    count: int = 0
    reason: str = ""


class Line(Value):
    """A record with its side calls, or a grade. `grade_id` lets a grade be written twice and be there once."""

    record: Record | None = None
    calls: tuple[SideCall, ...] = ()
    grade: Grade | None = None
    grade_id: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a line is in the file, and what its record is looked up by; of a grade that is the record's id alone."""

    start: int
    size: int
    record_id: str
    is_record: bool
    app: str = ""
    request_id: str = ""
    conversation_id: str = ""
    mode: str = ""
    created_at: str = ""
    experiment: str = ""
    shadow_of: str = ""


class Queue:
    """The file, in the order of arrival. Safe to use from several threads; OSError where the disk fails.

    A line that cannot be read, or that the database refuses, is set aside in `backlog.bad.jsonl` and logged.
    """

    def __init__(self, path: Path | None) -> None:
        """Without a path nothing can wait."""
        self.is_open = path is not None
        self._path = path or Path(os.devnull)
        self._bad = self._path.with_suffix(f".bad{self._path.suffix}")
        self._lock = threading.RLock()
        self._entries: deque[Entry] = deque()
        self._end = 0
        if self.is_open:
            self._load()

    @property
    def count(self) -> int:
        return len(self._entries)

    def add(self, line: Line) -> None:
        """It is on the disk when this returns."""
        data = line.model_dump_json().encode() + b"\n"
        with self._lock:
            self._check()
            is_new = not self._path.exists()
            _append(self._path, data)
            if is_new:
                sync_directory(self._path.parent)
            self._entries.append(_entry(line, self._end, len(data)))
            self._end += len(data)

    def first(self, limit: int) -> tuple[Line, ...]:
        """The oldest ones: at most so many, and of several no more than some megabytes."""
        with self._lock:
            self._check()
            wanted: list[Entry] = []
            size = 0
            for entry in self._entries:
                size += entry.size
                if wanted and (len(wanted) == limit or size > _READ_BYTES):
                    break
                wanted.append(entry)
            return self._read(wanted)

    def drop(self, count: int) -> None:
        """The oldest ones are in the database. With the last one the file goes away; until then it keeps them all."""
        with self._lock:
            for _ in range(min(count, len(self._entries))):
                self._entries.popleft()
            if not self._entries:
                self._path.unlink(missing_ok=True)
                sync_directory(self._path.parent)
                self._end = 0

    def lines(self) -> tuple[Line, ...]:
        """All of them, oldest first."""
        with self._lock:
            self._check()
            return self._read(tuple(self._entries))

    def lines_set_aside(self) -> tuple[Line, ...]:
        """Those of them that can be read."""
        found = []
        with self._lock:
            for data in self._bad.read_bytes().splitlines() if self.is_open and self._bad.exists() else ():
                with suppress(ValueError):
                    found.append(Line.model_validate_json(data))
        return tuple(found)

    def rewrite(self, change: Callable[[Line], Line | None], ids: Collection[str]) -> None:
        """Each line as `change` makes it, or without it; no line that was set aside has one of these ids any more."""
        with self._lock:
            changed = tuple(map(change, self.lines()))
            kept = b"".join(line.model_dump_json().encode() + b"\n" for line in changed if line is not None)
            if self.is_open and self._path.exists():
                _replace(self._path, kept)
                self._load()
            names = [one.encode() for one in ids]
            if self.is_open and names and self._bad.exists():
                bad = self._bad.read_bytes().splitlines(keepends=True)
                _replace(self._bad, b"".join(line for line in bad if not any(name in line for name in names)))

    def set_aside(self, line: Line, why: str) -> None:
        self._set_aside(line.model_dump_json().encode(), why)

    def has(self, record_id: str, app: str = "") -> bool:
        return any(entry.record_id == record_id and app in {"", entry.app} for entry in self._records())

    def records(self, wanted: Callable[[Entry], bool], limit: int | None, before: str = "") -> tuple[Record, ...]:
        """Newest first, from the one before the record `before` on, with the grades that wait for them."""
        with self._lock:
            entries = self._records()
            if before:
                entries = islice(dropwhile(lambda entry: entry.record_id != before, entries), 1, None)
            lines = self._read(tuple(islice(filter(wanted, entries), limit)))
            return self.graded([line.record for line in lines if line.record is not None])

    def calls(self, record_id: str) -> tuple[SideCall, ...]:
        with self._lock:
            lines = self._read([entry for entry in self._records() if entry.record_id == record_id])
        return tuple(call for line in lines for call in line.calls)

    def graded(self, records: Sequence[Record]) -> tuple[Record, ...]:
        """Records with the grades that wait for them behind those that they have."""
        with self._lock:
            ids = {record.record_id for record in records} if self._entries else set()
            lines = self._read([entry for entry in self._entries if not entry.is_record and entry.record_id in ids])
        grades = [line.grade for line in lines if line.grade is not None]
        return tuple(
            record.model_copy(
                update={"grades": record.grades + tuple(one for one in grades if one.record_id == record.record_id)}
            )
            for record in records
        )

    def _records(self) -> Iterator[Entry]:
        """Newest first."""
        return (entry for entry in reversed(tuple(self._entries)) if entry.is_record)

    def _read(self, entries: Sequence[Entry]) -> tuple[Line, ...]:
        if not entries:
            return ()
        with self._path.open("rb") as file:
            return tuple(
                Line.model_validate_json(os.pread(file.fileno(), entry.size, entry.start)) for entry in entries
            )

    def _check(self) -> None:
        """What somebody else's hand did to the file counts."""
        size = self._path.stat().st_size if self._path.exists() else 0
        if size != self._end:
            log.error("%s was changed by another program; it is read again", self._path)
            self._load()

    def _load(self) -> None:
        """From the file, as a crash may have left it: its last line may be only the beginning of one."""
        self._entries.clear()
        self._end = 0
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            for data in file:
                if not data.endswith(b"\n"):
                    self._set_aside(data, "it broke off")
                    break
                try:
                    self._entries.append(_entry(Line.model_validate_json(data), self._end, len(data)))
                except ValueError:
                    self._set_aside(data, "it is not a line of this version of edgewise")
                self._end += len(data)
        os.truncate(self._path, self._end)
        self.drop(0)

    def _set_aside(self, data: bytes, why: str) -> None:
        log.error("a line of %s was set aside in %s: %s", self._path.name, self._bad.name, why)
        _append(self._bad, data.rstrip(b"\n") + b"\n")


def _append(path: Path, data: bytes) -> None:
    """All of the data, and on the disk, or nothing of it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        start = os.fstat(descriptor).st_size
        try:
            write_all(descriptor, data)
            os.fsync(descriptor)
        except OSError:
            with suppress(OSError):
                os.ftruncate(descriptor, start)
            raise
    finally:
        os.close(descriptor)


def _replace(path: Path, data: bytes) -> None:
    """At once, or not at all; an empty file goes away."""
    fresh = path.with_suffix(f"{path.suffix}.new")
    fresh.unlink(missing_ok=True)
    if data:
        _append(fresh, data)
        fresh.replace(path)
    else:
        path.unlink()
    sync_directory(path.parent)


def _entry(line: Line, start: int, size: int) -> Entry:
    if line.record is not None:
        record = line.record
        return Entry(
            start, size, record.record_id, True, record.app, record.request_id, record.conversation_id, record.mode,
            record.created_at, record.experiment, record.shadow_of,
        )  # fmt: skip
    if line.grade is None:
        raise ValueError("a line with neither a record nor a grade")
    return Entry(start, size, line.grade.record_id, False)
