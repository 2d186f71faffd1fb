"""One process owns a directory: several on one Chroma read stale data or fail."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgewise.errors import Conflict, NotReady


@contextmanager
def owned(directory: Path) -> Iterator[None]:
    """Own a directory, made if need be; the lock ends with the process. Conflict when somebody else has it."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(directory / "owner.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise NotReady(
            f"{directory} cannot be used: {error.strerror}; give a directory that you can write to"
        ) from None
    try:
        _lock(lock, directory)
        yield
    finally:
        os.close(lock)


def _lock(lock: int, directory: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(lock, 20, 0).decode("ascii", "replace")
        raise Conflict(
            f"{directory} is in use by process {owner}; stop that (`edgewise stop`), or give another data directory"
        ) from None
    except OSError as error:
        raise NotReady(f"{directory} cannot be locked: {error.strerror}; use a directory on a local disk") from None
    os.ftruncate(lock, 0)
    os.write(lock, str(os.getpid()).encode())
