"""The audit log: one row a try, on the disk before anything is sent. If it cannot be written, nothing is sent.

One thread writes. What comes while it waits for the disk is written together with one fsync, so that many calls at
once cost little more than one.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from edgewise.errors import CloudUnavailable
from edgewise.types import Value
from router.disk import sync_directory, write_all
from router.egress.rows import (
    ACTIVE,
    HEAD,
    NOTHING_BEFORE,
    TORN,
    Leaving,
    Outcome,
    Row,
    line_of,
    read_head,
    row_of,
    segment_name,
    segments,
)

log = logging.getLogger(__name__)

SEGMENT_BYTES = 16 * 1024 * 1024
_LONGEST_LINE = 64 * 1024
_HEAD_BYTES = 96
_ANEW = "stop edgewise and move all files audit.* out of the data directory to begin a new one"


class NotAudited(CloudUnavailable):
    """The row of a try cannot be written, so nothing was sent. To everybody else the cloud cannot be used now."""

    @property
    def reason(self) -> str:
        return CloudUnavailable.__name__


class Ended(Value):
    """What came of the try number `of`."""

    of: int
    outcome: Outcome
    detail: str = ""


class Audit(Protocol):
    """Where tries are written down; safe to use from any thread."""

    def submit(self, leaving: Leaving) -> Future[int]:
        """The number of the try, once it is on the disk; NotAudited if it cannot be."""
        ...

    def end(self, ended: Ended) -> None:
        """What came of a try; it waits for nothing, and is worth no failure."""
        ...


class NoAudit:
    """For what never leaves: the sides of a replay are recordings."""

    def submit(self, leaving: Leaving) -> Future[int]:
        known: Future[int] = Future()
        known.set_result(0)
        return known

    def end(self, ended: Ended) -> None:
        pass


@dataclass(frozen=True, slots=True)
class _Waiting:
    what: Leaving | Ended
    number: Future[int]


class AuditLog:
    """`DATA_DIR/audit.jsonl`. It is opened with the first row; of one writer at a time the owner's lock sees to it."""

    def __init__(
        self,
        data_dir: Path,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.path = data_dir / ACTIVE
        self._chain = _Chain(data_dir, segment_bytes, wall)
        self._waiting: deque[_Waiting] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="audit")
        self._trouble = ""

    def __str__(self) -> str:
        return str(self.path)

    def submit(self, leaving: Leaving) -> Future[int]:
        return self._put(leaving)

    def end(self, ended: Ended) -> None:
        self._put(ended)

    def close(self) -> None:
        """What was submitted is on the disk when this returns."""
        with suppress(RuntimeError):
            self._thread.submit(self._chain.close)
        self._thread.shutdown()

    def _put(self, what: Leaving | Ended) -> Future[int]:
        waiting = _Waiting(what, Future())
        self._waiting.append(waiting)
        try:
            self._thread.submit(self._write)
        except RuntimeError:
            waiting.number.set_exception(NotAudited("edgewise is being stopped, and nothing leaves any more"))
        return waiting.number

    def _write(self) -> None:
        """All that waits by now; the tasks of those that went along find nothing any more."""
        batch: list[_Waiting] = []
        while self._waiting:
            one = self._waiting.popleft()
            if one.number.set_running_or_notify_cancel():
                batch.append(one)
        if not batch:
            return
        try:
            first = self._chain.append([one.what for one in batch])
        except (OSError, ValueError) as error:
            self._has_failed(batch, _reason(error))
        except Exception as error:
            log.exception("the audit log failed")
            self._has_failed(batch, type(error).__name__)
        else:
            self._trouble = ""
            for number, one in enumerate(batch, start=first):
                one.number.set_result(number)

    def _has_failed(self, batch: Sequence[_Waiting], reason: str) -> None:
        message = f"nothing leaves this device, because its audit log cannot be written: {self.path}: {reason}"
        if reason != self._trouble:
            log.error("%s", message)
        self._trouble = reason
        for one in batch:
            one.number.set_exception(NotAudited(message))


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, OSError):
        return f"{error.strerror or error}; make room, or put the permissions of the data directory right"
    return f"{error}; look at it with `edgewise audit verify`, or {_ANEW}"


class _Chain:
    """The files. All of this happens on one thread; a failure closes them, and the next row looks at them anew."""

    def __init__(self, data_dir: Path, segment_bytes: int, wall: Callable[[], datetime]) -> None:
        self._data_dir = data_dir
        self._path = data_dir / ACTIVE
        self._segment_bytes = segment_bytes
        self._wall = wall
        self._file: int | None = None
        self._head: int | None = None
        self._seq = 0
        self._hash = NOTHING_BEFORE
        self._first = 1  # of this segment
        self._end = 0

    def append(self, batch: Sequence[Leaving | Ended]) -> int:
        """Writes a row each, and returns the number of the first; OSError or ValueError, and then there is none."""
        try:
            if self._file is None:
                self._open()
            self._check_file()
            if self._end >= self._segment_bytes:
                self._begin_segment()
            first = self._seq + 1
            self._add([_fields(one) for one in batch], sync=any(isinstance(one, Leaving) for one in batch))
            return first
        except BaseException:
            self._abandon()
            raise

    def close(self) -> None:
        if self._file is not None:
            with suppress(OSError):
                os.fsync(self._file)
        self._abandon()

    def _abandon(self) -> None:
        for descriptor in (self._file, self._head):
            if descriptor is not None:
                os.close(descriptor)
        self._file = self._head = None

    def _add(self, rows: Sequence[dict[str, object]], *, sync: bool) -> None:
        assert self._file is not None
        assert self._head is not None
        seq, previous, data = self._seq, self._hash, b""
        at = self._wall().astimezone(UTC).isoformat(timespec="milliseconds")
        for fields in rows:
            seq += 1
            line, previous = line_of(Row.model_validate({"seq": seq, "at": at, "previous": previous, **fields}))
            data += line
        try:
            write_all(self._file, data)
            if sync:
                os.fsync(self._file)
            os.pwrite(self._head, f"{seq} {previous}".encode().ljust(_HEAD_BYTES - 1) + b"\n", 0)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._file, self._end)
            raise
        self._seq, self._hash, self._end = seq, previous, self._end + len(data)

    def _open(self) -> None:
        """Goes on after the last whole row. What a kill left of another one is set aside."""
        torn = self._set_torn_aside()
        self._continue_after(segments(self._data_dir))
        is_new = not self._path.exists()
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._head = os.open(self._data_dir / HEAD, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._end = os.fstat(self._file).st_size
        os.pwrite(self._head, f"{self._seq} {self._hash}".encode().ljust(_HEAD_BYTES - 1) + b"\n", 0)
        os.fsync(self._head)
        if is_new:
            self._first = self._seq + 1
            sync_directory(self._data_dir)
        if torn:
            said = f"{torn} bytes of a row that broke off were set aside in {TORN}; nothing was sent after it"
            self._add([{"event": "note", "detail": said}], sync=True)

    def _continue_after(self, files: Sequence[Path]) -> None:
        """ValueError for a log that does not end as it was left: then nobody knows what was taken away."""
        last: Row | None = None
        for path in reversed(files):
            if line := _last_line(path):
                last = row_of(line)
                break
        seq, digest = (last.seq, last.hash) if last else (0, NOTHING_BEFORE)
        if files and files[-1] == self._path and (first := _first_line(self._path)):
            self._first = row_of(first).seq
        known = (self._seq, self._hash) if self._seq else read_head(self._data_dir)
        if known is None:
            if last is not None:
                raise ValueError(f"{HEAD} is missing or damaged, and nobody knows which row was the last one")
            known = (0, NOTHING_BEFORE)
        if known[0] > seq:
            raise ValueError(f"its last rows are missing: it ends with row {seq}, and row {known[0]} was written")
        if known[0] == seq and known[1] != digest:
            raise ValueError(f"its last row, number {seq}, is not the one that was written")
        self._seq, self._hash = seq, digest

    def _set_torn_aside(self) -> int:
        """The bytes after the last line feed. They are of a row that was not on the disk: nothing was sent after it."""
        if not self._path.exists():
            return 0
        size = self._path.stat().st_size
        with self._path.open("rb") as file:
            file.seek(max(0, size - _LONGEST_LINE))
            rest = file.read().rpartition(b"\n")[2]
        if not rest:
            return 0
        if len(rest) >= _LONGEST_LINE:
            raise ValueError("it ends with something that is no row")
        log.warning("%s: a row broke off; it is set aside in %s", self._path, TORN)
        descriptor = os.open(self._data_dir / TORN, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            write_all(descriptor, rest + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.truncate(self._path, size - len(rest))
        return len(rest)

    def _check_file(self) -> None:
        """Somebody who takes the file away, or writes into it, shall not get a log that looks whole."""
        assert self._file is not None
        try:
            found, ours = self._path.stat(), os.fstat(self._file)
        except FileNotFoundError:
            raise ValueError("it was moved or deleted while it was in use") from None
        if (found.st_dev, found.st_ino, found.st_size) != (ours.st_dev, ours.st_ino, self._end):
            raise ValueError("it was changed by another program while it was in use")

    def _begin_segment(self) -> None:
        """The chain goes on in a new file; the full one keeps the number of its first row as its name."""
        assert self._file is not None
        os.fsync(self._file)
        self._path.rename(self._data_dir / segment_name(self._first))
        self._abandon()
        self._open()


def _fields(what: Leaving | Ended) -> dict[str, object]:
    return {"event": "try" if isinstance(what, Leaving) else "end", **what.model_dump()}


def _first_line(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.readline(_LONGEST_LINE)


def _last_line(path: Path) -> bytes:
    """Empty for an empty file."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _LONGEST_LINE))
        lines = file.read().splitlines(keepends=True)
    return lines[-1] if lines else b""
