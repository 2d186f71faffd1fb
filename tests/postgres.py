"""A PostgreSQL server of our own, from the Debian package: in a temporary directory, on loopback and a Unix socket."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pg8000.native

USER = "edgewise"
PASSWORD = "for the tests: 100 % secret@/"
_OTHER_USERS = ("postgres", "nobody")
_INSTALL = "there is no PostgreSQL server here; install Debian's package `postgresql` (or put its initdb on the PATH)"


def programs() -> Path:
    """The directory of initdb and postgres."""
    places = [Path(found).parent for found in (shutil.which("initdb"),) if found]
    if shutil.which("pg_config"):
        told = subprocess.run(["pg_config", "--bindir"], capture_output=True, text=True, check=True)
        places.append(Path(told.stdout.strip()))
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for place in places:
        if (place / "initdb").exists() and (place / "postgres").exists():
            return place
    raise AssertionError(_INSTALL)


@dataclass(slots=True)
class Server:
    """Asks for the password over TCP, and for none at the socket."""

    directory: Path
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def url(self, database: str, host: str = "127.0.0.1") -> str:
        return f"postgresql://{USER}@{host}:{self.port}/{database}"

    def socket_url(self, database: str) -> str:
        return f"postgresql://{USER}@:{self.port}/{database}?host={self.directory}"

    def start(self) -> None:
        """Returns when it answers."""
        options = ("-D", self.data, "-k", self.directory, "-h", "127.0.0.1", "-p", self.port, "-F")
        command = [*_as_somebody(), str(programs() / "postgres"), *map(str, options)]
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=self.directory, stdout=log, stderr=log)
        limit = time.monotonic() + 60
        while True:
            try:
                self.run("SELECT 1")
                return
            except pg8000.native.Error:
                assert self.process.poll() is None, (self.directory / "log").read_text()
                assert time.monotonic() < limit, (self.directory / "log").read_text()
                time.sleep(0.05)

    def stop(self) -> None:
        """At once, as after a fault: connections are cut."""
        if self.process is not None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(30)
            self.process = None

    def database(self) -> str:
        """A new, empty one."""
        name = f"d{uuid.uuid4().hex}"
        self.run(f"CREATE DATABASE {name}")
        return name

    def run(self, statement: str, database: str = "postgres") -> list[list[object]]:
        connection = pg8000.native.Connection(
            USER, unix_sock=f"{self.directory}/.s.PGSQL.{self.port}", database=database
        )
        try:
            rows: list[list[object]] | None = connection.run(statement)
            return rows or []
        finally:
            connection.close()

    @property
    def data(self) -> Path:
        return self.directory / "data"


@contextmanager
def server() -> Iterator[Server]:
    """Its directory is short and everybody's to enter: a socket's path is limited, and root may not own a server."""
    binaries = programs()
    with tempfile.TemporaryDirectory(prefix="edgewise-pg-", dir="/tmp") as made:
        directory = Path(made)
        (directory / "password").write_text(PASSWORD + "\n")
        for path in (directory, directory / "password"):
            give(path)
        options = ("-D", directory / "data", "-U", USER, "-E", "UTF8", "--locale=C", "--no-sync", "--auth-local=trust")
        more = ("--auth-host=scram-sha-256", f"--pwfile={directory / 'password'}")
        command = [*_as_somebody(), str(binaries / "initdb"), *map(str, options + more)]
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        started = Server(directory, _free_port())
        try:
            started.start()
            yield started
        finally:
            started.stop()


def give(path: Path) -> None:
    """To whom the server runs as."""
    if os.geteuid() == 0:
        shutil.chown(path, _somebody())


def _somebody() -> str:
    known = {user.pw_name for user in pwd.getpwall()}
    return next(name for name in _OTHER_USERS if name in known)


def _as_somebody() -> list[str]:
    return ["setpriv", f"--reuid={_somebody()}", "--clear-groups"] if os.geteuid() == 0 else []


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
