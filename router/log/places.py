"""Where records are kept: a database as a URL names it, and whether that is on this machine."""

from __future__ import annotations

import getpass
import ipaddress
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import sqlalchemy as sql
from sqlalchemy.exc import ArgumentError

from edgewise.errors import InvalidInput, NotReady
from edgewise.place import read_secret
from router.config import RouterSettings

_POSTGRES = frozenset({"postgresql", "postgres", "postgresql+pg8000"})
_OPTIONS = ("host", "sslmode", "sslrootcert")
TlsMode = Literal["disable", "require", "verify-full"]


@dataclass(frozen=True, slots=True)
class Tls:
    """How a server on another machine is spoken to; `require` encrypts without asking who answers."""

    mode: TlsMode
    root_certificate: Path | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A database. What is `elsewhere` gets no content of records that are not public (`egress.py`)."""

    url: sql.URL = field(repr=False)
    elsewhere: bool = False
    tls: Tls = Tls("disable")
    socket: str = ""

    @property
    def name(self) -> str:
        """For people: never with a password."""
        if self.url.get_backend_name() == "sqlite":
            return f"SQLite in {self.url.database or 'memory'}"
        at = self.socket or f"{self.url.host}:{self.url.port}"
        return f"PostgreSQL, database {self.url.database} at {at}"

    @property
    def host(self) -> str:
        """Whose machine it is on; empty for this one."""
        return (self.url.host or "another machine") if self.elsewhere else ""

    @property
    def in_words(self) -> str:
        return self.name + (", on another machine: content of public records only" if self.elsewhere else "")

    @property
    def file(self) -> Path | None:
        """The file of a SQLite database."""
        path = self.url.database if self.url.get_backend_name() == "sqlite" else None
        return Path(path) if path and not path.startswith((":memory:", "file:")) else None


def place_in(data_dir: Path, settings: RouterSettings) -> Place:
    """The database that the settings name; without, a file in the data directory."""
    if not settings.records_url:
        return place_of(f"sqlite:///{data_dir / 'records.db'}")
    return place_of(settings.records_url, read_secret(settings.records_password_file, "router.records_password_file"))


def place_of(url: str, password: str = "", environment: Mapping[str, str] | None = None) -> Place:
    """The database behind a URL, as libpq reads it; InvalidInput never repeats the URL, which may hold a password.

    The password is the one that is given, else that of the URL, else PGPASSWORD.
    """
    given = os.environ if environment is None else environment
    try:
        parsed = sql.make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, ValueError):
        raise InvalidInput("router.records_url is no URL; write postgresql://USER@HOST/DATABASE") from None
    if backend == "sqlite":
        return Place(parsed)
    if parsed.drivername not in _POSTGRES:
        raise InvalidInput(
            f"router.records_url has the scheme `{parsed.drivername[:40]}`; there are postgresql://USER@HOST/DATABASE "
            "and sqlite:////PATH"
        )
    options = _options(parsed)
    host, port = options.get("host") or parsed.host or "localhost", parsed.port or 5432
    user = parsed.username or given.get("PGUSER") or getpass.getuser()
    full = sql.URL.create(
        "postgresql+pg8000",
        username=user,
        password=password or parsed.password or given.get("PGPASSWORD") or None,
        host=None if host.startswith("/") else host,
        port=None if host.startswith("/") else port,
        database=parsed.database or user,
    )
    if host.startswith("/"):
        return Place(full, socket=f"{host}/.s.PGSQL.{port}")
    elsewhere = not is_here(host)
    root = options.get("sslrootcert")
    mode = _tls_mode(options.get("sslmode") or ("verify-full" if elsewhere else "disable"))
    return Place(full, elsewhere, Tls(mode, Path(root).expanduser() if root else None))


def is_here(host: str) -> bool:
    """Whether a host is this machine for certain. Names are not looked up: whoever answers them could be anywhere."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def tls_context(tls: Tls) -> ssl.SSLContext | Literal[False]:
    """What pg8000 takes as its `ssl_context`."""
    if tls.mode == "disable":
        return False
    try:
        context = ssl.create_default_context(cafile=tls.root_certificate)
    except OSError as error:
        what = f"router.records_url: sslrootcert {tls.root_certificate} cannot be used ({error.strerror or error})"
        raise NotReady(f"{what}; name a file of PEM certificates") from None
    if tls.mode == "require":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _tls_mode(given: str) -> TlsMode:
    for mode in get_args(TlsMode):
        if mode == given:
            known: TlsMode = mode
            return known
    raise InvalidInput(f"router.records_url: sslmode is one of {', '.join(get_args(TlsMode))}")


def _options(url: sql.URL) -> dict[str, str]:
    options: dict[str, str] = {}
    for name, value in url.query.items():
        if name not in _OPTIONS or not isinstance(value, str):
            raise InvalidInput(f"router.records_url has the option `{name[:40]}`; there are {', '.join(_OPTIONS)}")
        options[name] = value
    return options
