"""SHA-256 of files. A large one takes seconds, so a digest is kept for as long as the file is the same."""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import suppress
from pathlib import Path

from edgewise import place

_RACY_NS = 2_000_000_000
"""A file that was written to this recently may be written to again without a new time."""


def sha256(path: Path) -> str:
    """Reads the file, whatever is known of it."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest(path: Path) -> str:
    """The SHA-256 of a file, read again when its size, inode or a time changed. OSError if it cannot be read."""
    path = path.resolve()
    before = _state(path)
    known = place.cache_dir() / "digests" / f"{hashlib.sha256(os.fsencode(path)).hexdigest()}.json"
    with suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads(known.read_text(encoding="utf-8"))
        if kept["state"] == before:
            return str(kept["sha256"])
    found = sha256(path)
    if _state(path) == before and time.time_ns() - max(before[2:]) > _RACY_NS:
        with suppress(OSError):  # it can be computed again
            write_atomically(known, json.dumps({"path": str(path), "state": before, "sha256": found}))
            _forget_what_is_gone(known.parent)
    return found


def write_atomically(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def _forget_what_is_gone(directory: Path) -> None:
    for kept in directory.glob("*.json"):
        with suppress(OSError, ValueError, KeyError, TypeError):
            if not Path(json.loads(kept.read_text(encoding="utf-8"))["path"]).exists():
                kept.unlink()


def _state(path: Path) -> list[int]:
    """The time of the last change of the inode cannot be set back, as that of the content can."""
    status = path.stat()
    return [status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns]
