"""Records as a table for other programs: one flat, typed row each, as JSON lines or Parquet."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from types import NoneType
from typing import Any, Literal, Protocol, get_args

from edgewise.errors import InvalidInput, NotReady
from edgewise.types import Record, Value
from router.log.egress import without_content
from router.log.grades import mean_grade

Format = Literal["parquet", "jsonl"]
Rows = Sequence["Row"]

_ROW_GROUP_BYTES = 16 * 1024 * 1024
_CONTENT = ("question", "answer", "reason", "error_message")
_LISTS = ("steps", "citations", "calls", "grades")


class Row(Value):
    """A record; unknown is null. `steps`, `citations`, `calls` and `grades` are JSON, a list each."""

    record_id: str
    request_id: str
    created_at: datetime | None
    app: str
    user_id: str
    conversation_id: str
    privacy: str
    mode_asked: str
    mode: str
    author: str | None
    confidence: float | None
    grounding: str | None
    finish_reason: str | None
    edge_prompt_tokens: int
    edge_completion_tokens: int
    edge_cached_tokens: int
    cloud_prompt_tokens: int
    cloud_completion_tokens: int
    cloud_cached_tokens: int
    cost_usd: float | None
    cost_basis: str | None
    flops: float | None
    queue_s: float | None
    prompt_s: float | None
    first_shown_s: float | None
    first_kept_s: float | None
    total_s: float
    cloud_calls: int
    cloud_generates: int
    retractions: int
    degraded: bool
    error: str
    grades_count: int
    grades_mean: float | None
    policy_version: str
    prompt_version: str
    model_hash: str
    propensity: float | None
    experiment: str
    arm: str
    shadow_of: str
    steps: str
    citations: str
    calls: str
    grades: str
    question: str
    answer: str
    reason: str
    error_message: str


class Sink(Protocol):
    """Where rows go, a batch at a time."""

    def __call__(self, rows: Rows) -> None: ...


def row_of(record: Record, *, with_content: bool = True) -> Row:
    known = (record if with_content else without_content(record)).model_dump(mode="json")
    return Row.model_validate(
        {
            **{name: value for name, value in known.items() if name in Row.model_fields},
            **{name: json.dumps(known[name], ensure_ascii=False) for name in _LISTS},
            **{f"{side}_{name}": count for side, tokens in known["usage"].items() for name, count in tokens.items()},
            "created_at": record.created_at or None,
            "grades_count": len(record.grades),
            "grades_mean": mean_grade(record),
        }
    )


def columns(*, with_content: bool) -> tuple[str, ...]:
    """Their names; without content, the columns that hold nothing else are not there at all."""
    return tuple(name for name in Row.model_fields if with_content or name not in _CONTENT)


def json_lines(write: Callable[[str], object], names: Sequence[str]) -> Sink:
    """The lines of each batch go to `write`."""
    included = set(names)

    def sink(rows: Rows) -> None:
        write("".join(row.model_dump_json(include=included) + "\n" for row in rows))

    return sink


@contextmanager
def opened(path: Path, file_format: Format, names: Sequence[str]) -> Iterator[Sink]:
    """A table that is there once all of it was written."""
    with unfinished(path) as beside, _written(beside, file_format, names) as sink:
        yield sink


@contextmanager
def unfinished(path: Path) -> Iterator[Path]:
    """What becomes the file once all of it was written, and never before; nobody but its owner may read it."""
    if not path.parent.is_dir() or (path.exists() and not path.is_file()):  # the place of a device would be taken, too
        raise InvalidInput(f"{path} cannot be written: name a file in a directory that is there")
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(descriptor)
        with _removed_if_left(Path(name)) as beside:
            yield beside
            _sync(beside)
            beside.replace(path)
    except OSError as error:
        raise NotReady(f"{path} cannot be written ({error.strerror or error}); check the disk and the path") from error


@contextmanager
def _removed_if_left(path: Path) -> Iterator[Path]:
    try:
        yield path
    finally:
        with suppress(OSError):
            path.unlink()


@contextmanager
def _written(path: Path, file_format: Format, names: Sequence[str]) -> Iterator[Sink]:
    if file_format == "jsonl":
        with path.open("w", encoding="utf-8") as file:
            yield json_lines(file.write, names)
        return
    try:
        import pyarrow
        from pyarrow.parquet import ParquetWriter
    except ModuleNotFoundError:
        raise NotReady("Parquet needs pyarrow; install edgewise[parquet], or export as jsonl") from None
    schema = pyarrow.schema([_field(name) for name in names])
    batches: list[Any] = []

    def sink(rows: Rows) -> None:
        batches.append(pyarrow.table({name: [getattr(row, name) for row in rows] for name in names}, schema=schema))
        if sum(batch.nbytes for batch in batches) > _ROW_GROUP_BYTES:
            write()

    def write() -> None:
        writer.write_table(pyarrow.concat_tables(batches))
        batches.clear()

    with ParquetWriter(path, schema, compression="zstd") as writer:
        yield sink
        if batches:
            write()


def _field(name: str) -> Any:
    """A column of Parquet for a field of a row: its type, and whether it may be null."""
    import pyarrow

    annotation = Row.model_fields[name].annotation
    kinds = get_args(annotation) or (annotation,)
    types: dict[object, Any] = {
        str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64(), bool: pyarrow.bool_(),
        datetime: pyarrow.timestamp("ms", tz="UTC"),
    }  # fmt: skip
    [plain] = [kind for kind in kinds if kind is not NoneType]
    return pyarrow.field(name, types[plain], nullable=NoneType in kinds)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
