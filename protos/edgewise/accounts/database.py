"""The database of accounts: opened, private, and with errors that say what to do. All of it blocks."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import sqlalchemy as sql
from sqlalchemy.exc import SQLAlchemyError

from edgewise.accounts.tables import FACTS, METADATA, VERSION
from edgewise.errors import NotReady

BUSY_S = 3.0


class Database:
    """A SQLite file of mode 0600. Anything that keeps it from being used is a NotReady, and then nobody is served."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._identity: tuple[int, int] | None = None
        self._engine = sql.create_engine(sql.URL.create("sqlite", database=str(file)))
        sql.event.listen(self._engine, "connect", _tune)
        sql.event.listen(self._engine, "begin", _begin)

    def open(self) -> None:
        with self._in_words():
            _make_private(self.file)
            with self._engine.connect() as connection:
                fault = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
                if fault != "ok":
                    raise sqlite3.DatabaseError(fault)
            with self._engine.execution_options(writes=True).begin() as connection:
                METADATA.create_all(connection)
                _check_version(connection, self.file)
            self._identity = self._found()

    @contextmanager
    def reading(self) -> Iterator[sql.Connection]:
        with self._in_words():
            self._check_file()
            with self._engine.connect() as connection, connection.begin():
                yield connection

    @contextmanager
    def writing(self) -> Iterator[sql.Connection]:
        """A transaction that nobody else writes beside; it is on the disk when the block is left."""
        with self._in_words():
            self._check_file()
            with self._engine.execution_options(writes=True).begin() as connection:
                yield connection

    def close(self) -> None:
        self._engine.dispose()

    def _check_file(self) -> None:
        if self._found() != self._identity:
            raise OSError("it was moved or deleted while it was in use; put it back, or start again")

    def _found(self) -> tuple[int, int]:
        found = self.file.stat()
        return found.st_dev, found.st_ino

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            self._engine.dispose()
            reason = next(iter(str(getattr(error, "orig", None) or error).splitlines()), type(error).__name__)
            raise NotReady(
                f"the accounts in {self.file.name} cannot be used ({reason}), so nobody is let in; check the disk, "
                "the permissions, and who else uses that file"
            ) from error


def _make_private(file: Path) -> None:
    """SQLite gives its other files the permissions of this one."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    with suppress(PermissionError):  # another user's, and ours to write
        file.chmod(0o600)


def _tune(connection: sqlite3.Connection, _: object) -> None:
    connection.isolation_level = None
    for pragma in (f"busy_timeout={BUSY_S * 1000:.0f}", "journal_mode=WAL", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: sql.Connection) -> None:
    """Who is going to write takes the lock first: a reader that becomes a writer cannot wait for another one."""
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _check_version(connection: sql.Connection, file: Path) -> None:
    found = connection.scalar(sql.select(FACTS.c.value).where(FACTS.c.name == "version"))
    if found is None:
        facts = {"version": VERSION, "changes": 0, "clock": 0}
        connection.execute(sql.insert(FACTS), [{"name": name, "value": value} for name, value in facts.items()])
    elif found > VERSION:
        raise NotReady(f"a newer edgewise wrote {file.name}; update this one, or use another data directory")
