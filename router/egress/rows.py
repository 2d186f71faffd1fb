"""The rows of the audit log: what is in one, how it is written, and how each holds the hash of the one before it.

A row is one line of JSON. Its last field is the SHA-256 of all that stands before that field on its line, and
`previous` is the hash of the row before it, so that `sha256sum` alone can check it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from edgewise.types import Privacy, Value

ACTIVE = "audit.jsonl"
HEAD = "audit.head"
TORN = "audit.torn"
NOTHING_BEFORE = "0" * 64
_HASH = b',"hash":"'

Destination = Literal["cloud", "telemetry", "records"]
Outcome = Literal["answered", "failed", "cancelled", "not sent"]


class Leaving(Value):
    """What is about to leave the device, without a word of it.

    `call` is `generate` or `fetch_info` of the cloud, the path of a delivery of telemetry, `write` or `read` of a
    record database. `released` says why it may leave, by which `policy`. `texts` counts labelled texts, `size` is in
    bytes of them; None where nobody knows.
    """

    destination: Destination
    host: str
    call: str
    record_id: str = ""
    label: Privacy | None = None
    released: str = ""
    policy: str = ""
    texts: int | None = None
    size: int | None = None


class Row(Value):
    """A `try` is written before anything is sent. An `end` tells later what came of the try number `of`, if it can.

    A `note` is about the log itself. `at` is the device's time, whatever its clock said. The rest is as in `Leaving`.
    """

    seq: int
    at: str
    event: Literal["try", "end", "note"]
    destination: Destination | Literal[""] = ""
    host: str = ""
    call: str = ""
    record_id: str = ""
    label: Privacy | None = None
    released: str = ""
    policy: str = ""
    texts: int | None = None
    size: int | None = None
    of: int | None = None
    outcome: Outcome | None = None
    detail: str = ""
    previous: str
    hash: str = ""


def line_of(row: Row) -> tuple[bytes, str]:
    """A row as it is written, and its hash. Fields that say nothing are left out."""
    fields = row.model_dump(mode="json", exclude_defaults=True, exclude={"hash", "previous"})
    ordered = {name: fields.pop(name) for name in ("seq", "at", "event")} | fields | {"previous": row.previous}
    told = json.dumps(ordered, ensure_ascii=False, separators=(",", ":"))[:-1].encode("utf-8", "backslashreplace")
    digest = hashlib.sha256(told).hexdigest()
    return told + _HASH + digest.encode() + b'"}\n', digest


def row_of(line: bytes) -> Row:
    """The row of a whole line; ValueError where it is none, or where its hash is not that of what it says."""
    told, separator, rest = line.rpartition(_HASH)
    try:
        row = Row.model_validate_json(line)
    except ValidationError:
        raise ValueError("it is no row") from None
    if not separator or rest != row.hash.encode() + b'"}\n' or hashlib.sha256(told).hexdigest() != row.hash:
        raise ValueError("its hash is not that of what it says")
    return row


def segments(data_dir: Path) -> list[Path]:
    """The files of a log, oldest first: full ones are named after their first row, the last one is still written."""
    full = sorted(data_dir.glob("audit.[0-9]*.jsonl"))
    active = data_dir / ACTIVE
    return [*full, active] if active.exists() else full


def segment_name(first: int) -> str:
    return f"audit.{first:012d}.jsonl"


def read_rows(data_dir: Path) -> Iterator[Row]:
    """All whole rows of the audit log of a data directory, oldest first; ValueError for a line that is none."""
    for path in segments(data_dir):
        with path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield row_of(line)


def read_head(data_dir: Path) -> tuple[int, str] | None:
    """Number and hash of the last row, as the head beside the log has them; None without a head."""
    try:
        seq, digest = (data_dir / HEAD).read_text(encoding="ascii").split()
        return int(seq), digest
    except (OSError, ValueError):
        return None
