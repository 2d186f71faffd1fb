"""Who owns a data directory: one process at a time, shown by a lock that the kernel drops when its holder dies."""

from __future__ import annotations

import fcntl
import os
import secrets
from pathlib import Path
from typing import Self

from edgewise.callers import OWNER, Caller, Callers
from edgewise.errors import Conflict, NotReady


class Ownership:
    """Held while the process lives or until it is released; Conflict when another process holds it."""

    def __init__(self, data_dir: Path) -> None:
        try:
            data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = os.open(data_dir / "daemon.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise NotReady(
                f"{data_dir} cannot be used ({error.strerror}); give a directory that you may write"
            ) from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            raise Conflict(
                f"another edgewise owns {data_dir}; use it (`edgewise status`), stop it (`edgewise stop`), "
                "or give another --data-dir"
            ) from None
        # An owner that was killed could not take it away.
        (data_dir / "daemon.json").unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)


class AtHome:
    """Where only the owner can call, such as a Unix socket of mode 0600: who sends a token is asked who that is."""

    def __init__(self, known: Callers) -> None:
        self._known = known

    def identify(self, authorization: str) -> Caller:
        return self._known.identify(authorization) if authorization else OWNER


def token_of(data_dir: Path) -> str:
    """The token of a data directory, made at first use; readable by its owner alone."""
    path = data_dir / "token"
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        token = _private(path)
        if not token:
            raise NotReady(f"{path} is empty; delete it, and the next start makes a new token") from None
        return token
    token = secrets.token_urlsafe(32)
    with os.fdopen(file, "w", encoding="utf-8") as stream:
        stream.write(token + "\n")
    return token


def _private(path: Path) -> str:
    """What is in a file; NotReady if it was anybody else's to read, who then may have it."""
    try:
        with path.open(encoding="utf-8") as file:
            status = os.fstat(file.fileno())
            text = file.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise NotReady(f"{path} cannot be read ({error}); delete it, and the next start makes a new token") from None
    if status.st_mode & 0o077 or status.st_uid not in {os.geteuid(), 0}:
        raise NotReady(
            f"others on this machine may read {path}, or it is another user's; delete it, and the next start makes a "
            "new token (or `chmod 600` it, if you trust who could read it)"
        )
    return text
