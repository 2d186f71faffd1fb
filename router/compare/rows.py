"""What a comparison leaves behind while it runs: one line a question and mode, safe against kill -9."""

from __future__ import annotations

import errno
import fcntl
import gc
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BufferedReader, FileIO
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from edgewise.errors import Conflict, InvalidInput, NotFound, NotReady
from edgewise.types import Author, CostBasis, Grounding, Value
from router.compare.environment import Environment
from router.compare.questions import Graded, question_lines, read_questions

RECORDS, RUN, QUESTIONS = "records.jsonl", "run.json", "questions.jsonl"

WARM = " (warm)"
"""What is added to a mode's name where it may learn from one question to the next."""

ValueT = TypeVar("ValueT", bound=Value)


class Row(Value):
    """One answer of one mode. Tokens are prompt and completion together; `error` is a gRPC status name.

    The fields from `cloud_generates` on are beyond the published columns; `reason` says why it failed or degraded.
    `score` and `f1` are None where nobody could say how right the answer is. `judged` is what the judge says of an
    answer, also of some that are scored without it; `judge_usd` is what that cost, which is no cost of the answer.
    """

    id: str
    mode: str
    answer: str
    author: Author | None
    score: float | None
    cost_usd: float | None
    edge_tokens: int
    cloud_tokens: int
    flops: float | None
    first_shown_s: float | None
    first_kept_s: float | None
    total_s: float
    cloud_calls: int
    retractions: int
    confidence: float | None
    grounding: Grounding | None
    cost_basis: CostBasis | None
    f1: float | None
    group: str
    private: bool
    degraded: bool
    error: str
    cloud_generates: int
    reason: str
    record_id: str
    scorer: str = ""
    judged: float | None = None
    judge_usd: float | None = 0.0


class Plan(Value):
    """What a run is a run of. A directory takes the rows of one plan only."""

    question_set: str
    modes: tuple[str, ...]
    seed: int
    edge: str
    cloud: str
    concurrency: int = 1
    warm: bool = False
    judge: Author | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """The modes as the results call them, those of the warm pass last."""
        return self.modes + tuple(mode + WARM for mode in self.modes if self.warm)


class Run(Value):
    plan: Plan
    environment: Environment


class Journal:
    """The rows of one run, and the file to which they are appended. `run` is as the first start of the run wrote it."""

    def __init__(self, file: FileIO, path: Path, run: Run, rows: list[Row]) -> None:
        self._file = file
        self._path = path
        self.run = run
        self.rows = rows

    def append(self, row: Row) -> None:
        """Blocks until the row is on the disk. NotReady if the disk does not take it."""
        try:
            line = row.model_dump_json().encode() + b"\n"
            if self._file.write(line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file.fileno())
        except OSError as error:
            raise _unwritable(self._path, error) from error
        self.rows.append(row)


@contextmanager
def open_journal(directory: Path, run: Run, questions: Sequence[Graded]) -> Iterator[Journal]:
    """The journal of a new run or of one that was interrupted; its last line, if torn, is dropped.

    Conflict if another process writes there, or the directory holds the run of another plan.
    """
    path = directory / RECORDS
    try:
        directory.mkdir(parents=True, exist_ok=True)
        file = path.open("a+b", buffering=0)
    except OSError as error:
        raise _unwritable(directory, error) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(
                f"another comparison is writing to {directory}; wait for it or choose another --out"
            ) from None
        started = _claim(directory, run, questions, fresh=path.stat().st_size == 0)
        yield Journal(file, path, started, _resume(file, path))


def read_run(directory: Path) -> tuple[Run, tuple[Graded, ...], list[Row]]:
    """A finished or interrupted run as it is on the disk."""
    if not (directory / RUN).exists():
        raise NotFound(f"{directory} holds no comparison; make one with `edgewise compare --out {directory} ...`")
    path = directory / RECORDS
    try:
        with path.open("rb", buffering=0) as file:
            rows, _ = _rows(file, path)
    except OSError as error:
        raise NotReady(f"cannot read {path}: {error.strerror}; put it back, or compare again") from None
    return _load(directory / RUN, Run), read_questions(directory / QUESTIONS), rows


def write_text(path: Path, text: str) -> None:
    """Writes a file whole or not at all."""
    temporary = path.with_name(f".{path.name}.new")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error


def _claim(directory: Path, run: Run, questions: Sequence[Graded], *, fresh: bool) -> Run:
    if fresh:
        write_text(directory / QUESTIONS, "\n".join(question_lines(questions)) + "\n")
        write_text(directory / RUN, run.model_dump_json(indent=1) + "\n")
        return run
    if not (directory / RUN).exists():
        raise Conflict(f"{directory / RECORDS} was not written by a comparison; choose another --out")
    started = _load(directory / RUN, Run)
    differing = [name for name in Plan.model_fields if getattr(started.plan, name) != getattr(run.plan, name)]
    if differing:
        raise Conflict(
            f"{directory} holds a run with other settings ({', '.join(differing)}); "
            "repeat them to resume it, or choose another --out"
        )
    return started


def _resume(file: FileIO, path: Path) -> list[Row]:
    rows, end = _rows(file, path)
    file.truncate(end)
    return rows


def _rows(file: FileIO, path: Path) -> tuple[list[Row], int]:
    """The whole rows of a file, and where they end. Only a last line may be broken: what kill -9 can leave."""
    file.seek(0)
    rows: list[Row] = []
    end, broken = 0, 0
    reader = BufferedReader(file)
    with _without_collector():
        for number, line in enumerate(reader, start=1):
            if broken:
                raise InvalidInput(
                    f"line {broken} of {path} is damaged or of another version; delete that line to have it asked again"
                )
            try:
                rows.append(Row.model_validate_json(line))
            except ValidationError:
                broken = number
                continue
            if not line.endswith(b"\n"):
                rows.pop()
                break
            end += len(line)
    reader.detach()
    return rows, end


@contextmanager
def _without_collector() -> Iterator[None]:
    """Many small values that all stay: looking through them for garbage takes longer than reading them."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _load(path: Path, kind: type[ValueT]) -> ValueT:
    try:
        return kind.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        raise InvalidInput(f"{path} is damaged or of another version; choose another --out") from None


def _unwritable(path: Path, error: OSError) -> NotReady:
    return NotReady(f"cannot write {path}: {error.strerror}; put that right and run the same command again to resume")
