"""One database behind one function: connected, brought up to date, and with errors that say what to do.

Everything here blocks, and belongs on the log's thread.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sql
from pydantic import ValidationError
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from edgewise.errors import NotReady
from edgewise.wire import invalid
from router.egress import Boundary, NotAudited
from router.log.backlog import Line
from router.log.egress import looked_up, written_down
from router.log.places import Place, tls_context

T = TypeVar("T")
log = logging.getLogger(__name__)

HEAD = "0002"
"""The newest file of `migrations/versions`."""
_MIGRATIONS = Path(__file__).parent / "migrations"
_TIMEOUT_S = 5.0
# At a checkpoint a write waits for the disk; by then most pages were written several times, and go there once.
_CHECKPOINT_PAGES = 4000
_SERVER_TIMEOUT_S = 10.0
_BRIEFLY_MS = 100
# Any number that nobody else takes: who holds it is the one who upgrades a database on a server.
_UPGRADING = 0x6564_6765
Fault = SQLAlchemyError | OSError | sqlite3.Error
_REFUSALS = (IntegrityError, DataError, sqlite3.IntegrityError, sqlite3.DataError)


class Gone(NotReady):
    """The database cannot be used now. To everybody else that is a NotReady."""

    @property
    def reason(self) -> str:
        return NotReady.__name__


class Refused(NotReady):
    """The database works, and does not take this."""

    @property
    def reason(self) -> str:
        return NotReady.__name__


class Database:
    """`run` raises Gone or Refused, and NotReady for a database that another version of edgewise wrote."""

    def __init__(self, place: Place, boundary: Boundary | None = None) -> None:
        """A database on another machine is used through the boundary of this one only."""
        if place.elsewhere and boundary is None:
            raise NotReady("records on another machine need the boundary of this one; open them with it")
        self.place = place
        self._boundary = boundary
        self._engine = _engine(place)
        self._path = place.file
        self._kept: sql.Connection | None = None
        self._is_current = False
        self._file: tuple[int, int] | None = None

    def run(self, work: Callable[[sql.Connection], T], *, briefly: bool = False, writes: Sequence[Line] = ()) -> T:
        """Some work in one transaction; `briefly` does not wait for another program that holds the database."""
        with self._let_out(writes), self._in_words():
            self._check_file()
            if not self._is_current:
                self._open()
            with self._connection() as connection, _waiting(connection, briefly), connection.begin():
                return work(connection)

    @contextmanager
    def _connection(self) -> Iterator[sql.Connection]:
        """That of SQLite is kept: to take it from the pool is a good part of a write, and nothing can befall it."""
        if self._engine.dialect.name != "sqlite":
            with self._engine.connect() as connection:
                yield connection
            return
        if self._kept is None:
            self._kept = self._engine.connect()
        yield self._kept

    def settle(self) -> None:
        """What was written is on the disk for certain, and what was deleted is gone from SQLite's journal, too."""
        if self._engine.dialect.name == "sqlite":
            with self._in_words(), self._engine.connect() as connection:
                connection.connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def scrub(self) -> None:
        """Writes SQLite's file anew, so that not a byte is left of what was deleted; NotReady while others read it."""
        if self._engine.dialect.name != "sqlite":
            return
        with self._in_words(), self._engine.connect() as connection:
            cursor = connection.connection.cursor()
            cursor.execute("VACUUM")
            (busy, _, _) = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise NotReady(
                "another program reads the records, so that what was deleted cannot be overwritten yet; end it, and "
                "forget once more"
            )

    def close(self) -> None:
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()
        self._engine.dispose()

    def _let_out(self, writes: Sequence[Line]) -> AbstractContextManager[object]:
        """What goes to another machine is written down before; while that cannot be, the database counts as gone."""
        if self._boundary is None or not self.place.elsewhere:
            return nullcontext()
        try:
            return self._boundary.noted_now(written_down(self.place, writes) if writes else looked_up(self.place))
        except NotAudited as error:
            raise Gone(error.message) from None

    def _open(self) -> None:
        if self.place.file:
            _make_private(self.place.file)
        with self._engine.connect() as connection:
            _bring_up_to_date(connection)
        self._is_current, self._file = True, self._identity()

    def _check_file(self) -> None:
        """A SQLite file that was deleted or replaced would take everything, and nobody would find it again."""
        if self._file is not None and self._identity() != self._file:
            raise OSError(f"{self.place.file} was moved or deleted while it was in use")

    def _identity(self) -> tuple[int, int] | None:
        if self._path is None:
            return None
        try:
            found = self._path.stat()
        except OSError:
            return (0, 0)
        return found.st_dev, found.st_ino

    def _start_anew(self) -> None:
        self.close()
        self._is_current, self._file = False, None

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except (
            SQLAlchemyError,
            OSError,
            sqlite3.Error,
        ) as error:  # of sockets, and of what is asked without SQLAlchemy
            kind = _kind(error)
            if kind is not Refused:
                self._start_anew()
            did = "refused this" if kind is Refused else "failed"
            raise kind(f"the record database {did} ({_reason(error)}); {_next(self.place)}") from error
        except ValidationError as error:
            raise NotReady(
                f"the record database was written by another version of edgewise ({invalid(error).message}); "
                "use that version, or another data directory"
            ) from None


def _engine(place: Place) -> sql.Engine:
    if place.url.get_backend_name() == "sqlite":
        engine = sql.create_engine(place.url)
        sql.event.listen(engine, "connect", _tune_sqlite)
        sql.event.listen(engine, "begin", _begin_sqlite)
        return engine
    # Without any password pg8000 breaks where a server asks for one.
    password = place.url.password or ""
    arguments: dict[str, object] = {
        "timeout": _SERVER_TIMEOUT_S, "ssl_context": tls_context(place.tls), "password": password
    }  # fmt: skip
    if place.socket:
        arguments["unix_sock"] = place.socket
    try:
        return sql.create_engine(place.url, connect_args=arguments, pool_pre_ping=True, pool_size=1)
    except ModuleNotFoundError:
        raise NotReady("records in PostgreSQL need pg8000; install edgewise[postgres]") from None


def _bring_up_to_date(connection: sql.Connection) -> None:
    """In one transaction: all of it happens, or nothing."""
    with connection.begin():
        if _version(connection) == HEAD:
            return
    with connection.execution_options(for_upgrade=True).begin():
        if connection.dialect.name == "postgresql":
            connection.execute(sql.select(sql.func.pg_advisory_xact_lock(_UPGRADING)))
        version = _version(connection)  # somebody may have been faster
        if version > HEAD:
            raise NotReady(
                f"the record database is of version {version}, which a newer edgewise made (this one has {HEAD}); "
                "update edgewise, or use another data directory or database"
            )
        if version < HEAD:
            _upgrade(connection)


def _version(connection: sql.Connection) -> str:
    """Empty for a new database, and for one from before versions were kept."""
    if not sql.inspect(connection).has_table("alembic_version"):
        return ""
    return connection.scalar(sql.text("SELECT version_num FROM alembic_version")) or ""


def _upgrade(connection: sql.Connection) -> None:
    from alembic import command
    from alembic.config import Config

    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells of its plugins
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    log.info("the tables of the record database are of version %s now", HEAD)


@contextmanager
def _waiting(connection: sql.Connection, briefly: bool) -> Iterator[None]:
    if not briefly or connection.dialect.name != "sqlite":
        yield
        return
    cursor = connection.connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_BRIEFLY_MS}")
    try:
        yield
    finally:
        cursor.execute(f"PRAGMA busy_timeout={_TIMEOUT_S * 1000:.0f}")
        cursor.close()


def _make_private(file: Path) -> None:
    """What was asked is nobody else's business; SQLite gives its other files the permissions of this one."""
    with suppress(OSError):  # SQLite says better what is wrong
        os.close(os.open(file, os.O_CREAT | os.O_CLOEXEC, 0o600))


def _tune_sqlite(connection: sqlite3.Connection, _: object) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
    cursor.execute("PRAGMA secure_delete=ON")
    cursor.execute(f"PRAGMA busy_timeout={_TIMEOUT_S * 1000:.0f}")
    cursor.close()


def _begin_sqlite(connection: sql.Connection) -> None:
    """The driver's own transactions leave changes of the schema out."""
    if connection.get_execution_options().get("for_upgrade"):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:  # takes no lock yet, so it cannot fail; by SQLAlchemy it would take a tenth of the time of a write
        connection.connection.cursor().execute("BEGIN")


def _kind(error: Fault) -> type[NotReady]:
    """What a fault means: this will not do, or the settings will not, or the database may be back later.

    PostgreSQL says so with the class of its SQLSTATE (its manual, appendix A).
    """
    state = _fields(error).get("C", "")[:2]
    if isinstance(error, _REFUSALS) or state in {"22", "23"}:
        return Refused
    return NotReady if isinstance(error, ssl.SSLError) or state in {"28", "3D"} else Gone


def _reason(error: Fault) -> str:
    """In one line."""
    cause = getattr(error, "orig", None) or error
    text = _fields(error).get("M") or str(cause)
    return next(iter(text.splitlines()), type(cause).__name__)


def _fields(error: Fault) -> dict[str, str]:
    """Of a message of a PostgreSQL server, as pg8000 raises them: `C` is the SQLSTATE, `M` the text."""
    arguments = getattr(getattr(error, "orig", None), "args", ())
    return arguments[0] if arguments and isinstance(arguments[0], dict) else {}


def _next(place: Place) -> str:
    if place.url.get_backend_name() == "sqlite":
        return "check the disk and the data directory"
    return f"check the server and router.records_url ({place.name})"
