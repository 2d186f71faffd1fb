"""Traces: recorded calls of both sides, found by what they asked: questions can be answered again without a model.

A trace is a file of JSON lines: a head, then questions, calls and answers in any order. `router/replay/README.md` has
the format for whoever wants to publish one.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import from_json

from edgewise.errors import Conflict, InvalidInput, NotFound, NotReady
from edgewise.types import Author, SideStatus, Value
from edgewise.wire import invalid
from router.compare.questions import Graded
from router.compare.rows import Row
from router.config import RouterSettings
from router.meter import SideCall

TRACE = "trace.jsonl"
"""Its name in the directory of a comparison."""
_CUT_SHORT = "Cancelled"
_GZIP = b"\x1f\x8b"


class Head(Value):
    """The first line: who answered, and with which settings. `cloud` None: there was none. `about` is for people.

    `modes` and `seed` are those of the comparison: with them its statistics come out the same. `judge` is who judged,
    `skipped` how many lines of its file of questions were at fault.
    """

    line: Literal["trace"] = "trace"
    format: Literal[1] = 1
    edge: SideStatus
    cloud: SideStatus | None = None
    settings: RouterSettings = RouterSettings()
    unknown: Literal["allow", "hold"] = "allow"
    policy_version: str = ""
    modes: tuple[str, ...] = ()
    seed: int = 0
    judge: Author | None = None
    skipped: int = 0
    about: str = ""
    licence: str = ""


class Asked(Value):
    line: Literal["question"] = "question"
    question: Graded


class Called(Value):
    """A call, and for which question and mode it was made: it is found for others, too, if they ask for the same."""

    line: Literal["call"] = "call"
    question: str
    mode: str
    call: SideCall


class Answered(Value):
    """What came of a question in a mode. `calls` are the keys of the calls behind it, `asked_at` is in local time.

    `propensity` is how probable it was that this question was answered in this mode; an estimate divides by it.
    """

    line: Literal["answer"] = "answer"
    asked_at: str = ""
    calls: tuple[str, ...] = ()
    row: Row
    propensity: float | None = Field(default=None, ge=1e-9, le=1)
    experiment: str = ""
    arm: str = ""


Line = Annotated[Head | Asked | Called | Answered, Field(discriminator="line")]
_LINE: TypeAdapter[Line] = TypeAdapter(Line)


@dataclass
class Trace:
    """All lines of a trace. Of answers to one question in one mode the last one counts.

    `by_lot` are all whose mode was drawn: there each counts, for how often a question was asked is part of the odds.
    """

    head: Head
    digest: str
    questions: dict[str, Graded] = field(default_factory=dict)
    answers: dict[tuple[str, str], Answered] = field(default_factory=dict)
    by_lot: list[Answered] = field(default_factory=list)
    calls: dict[str, list[Called]] = field(default_factory=lambda: defaultdict(list))
    of_other_models: int = 0

    @staticmethod
    def read(path: Path) -> Trace:
        """Of a file, or of the directory of a comparison. A last line that a kill cut short is no part of it."""
        path = path / TRACE if path.is_dir() else path
        try:
            data = path.read_bytes()
            data = gzip.decompress(data) if data.startswith(_GZIP) else data
        except FileNotFoundError:
            raise NotFound(
                f"{path} is no trace; give the --out of a comparison, or a file of `edgewise log --export trace`"
            ) from None
        except (OSError, EOFError, zlib.error) as error:
            raise InvalidInput(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
        found: Trace | None = None
        lines = data.splitlines(keepends=True)
        for number, line in enumerate(lines, start=1):
            if number == len(lines) and _is_cut_short(line):
                break
            parsed = _parsed(line, f"line {number} of {path.name}")
            if found is None:
                if not isinstance(parsed, Head):
                    raise InvalidInput(f"{path.name} is not a trace: its first line must be its head")
                found = Trace(parsed, hashlib.sha256(data).hexdigest())
            else:
                found.add(parsed)
        if found is None:
            raise InvalidInput(f"{path.name} is empty; a trace begins with its head")
        return found

    def add(self, line: Line) -> None:
        match line:
            case Head():
                raise InvalidInput("a trace has one head, and it comes first; two traces cannot simply be joined")
            case Asked():
                self.questions[line.question.id] = line.question
            case Answered():
                self.answers[line.row.id, line.row.mode] = line
                if line.propensity is not None and line.propensity < 1:
                    self.by_lot.append(line)
            case Called():
                if self._is_of_these_models(line.call):
                    self.calls[line.call.key].append(line)
                else:
                    self.of_other_models += 1

    def find(self, key: str, question: str, mode: str) -> SideCall | None:
        """The call that was made for this question and mode, else for this question, else for any; the newest."""
        found = [one for one in reversed(self.calls.get(key, ())) if one.call.reason != _CUT_SHORT]
        best = max(found, key=lambda one: (one.question == question, one.mode == mode), default=None)
        return best.call if best else None

    @property
    def modes(self) -> tuple[str, ...]:
        """Those with answers, in the order of the comparison, else most answers first."""
        found = [mode for mode, _ in Counter(mode for _, mode in self.answers).most_common()]
        return tuple(sorted(found, key=lambda mode: self.head.modes.index(mode) if mode in self.head.modes else 1000))

    def _is_of_these_models(self, call: SideCall) -> bool:
        side = self.head.edge if call.side == "edge" else self.head.cloud
        wanted = side.model_hash if side else None
        return call.kind != "generate" or not wanted or not call.model_hash or call.model_hash == wanted


def _is_cut_short(line: bytes) -> bool:
    """Without its end a line may be whole all the same, after an editor, say; what a kill leaves is no JSON."""
    if line.endswith(b"\n"):
        return False
    try:
        from_json(line)
    except ValueError:
        return True
    return False


def _parsed(line: bytes, where: str) -> Line:
    try:
        return _LINE.validate_json(line)
    except ValidationError as error:
        raise InvalidInput(f"{where} is no line of a trace: {invalid(error).message}") from None


class TraceFile:
    """A trace that is being written."""

    def __init__(self, file: FileIO, path: Path) -> None:
        self._file = file
        self._path = path

    def append(self, lines: Iterable[Line]) -> None:
        """Blocks until all of them are on the disk. NotReady if the disk does not take them."""
        data = b"".join(line.model_dump_json().encode() + b"\n" for line in lines)
        try:
            if data and self._file.write(data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file.fileno())
        except OSError as error:
            raise NotReady(f"cannot write {self._path}: {error.strerror}; make room and run it again") from error


@contextmanager
def open_trace(path: Path, head: Head, questions: Sequence[Graded]) -> Iterator[TraceFile]:
    """A new trace, or one that goes on: what a kill left of its last line is cut off."""
    try:
        file = path.open("a+b", buffering=0)
    except OSError as error:
        raise NotReady(f"cannot write {path}: {error.strerror}; put that right and run it again") from None
    with file:
        trace = TraceFile(file, path)
        file.seek(0)
        written = file.read()
        whole = written[: written.rfind(b"\n") + 1]
        file.truncate(len(whole))
        if not whole:
            trace.append([head, *(Asked(question=one) for one in questions)])
        elif not _begins_a_trace(whole):
            raise Conflict(f"{path} is something else than a trace, or one of another version; choose another --out")
        yield trace


def _begins_a_trace(data: bytes) -> bool:
    try:
        return isinstance(_parsed(data[: data.index(b"\n")], "line 1"), Head)
    except InvalidInput:
        return False
