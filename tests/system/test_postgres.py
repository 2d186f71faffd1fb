"""The log on a real PostgreSQL server, which is started here; it wants Debian's package `postgresql`, or the same."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgewise.errors import NotReady
from router.log import Log, Place, place_of
from router.log.places import Tls
from tests.boundaries import ALLOWING
from tests.log_contract import LogContract
from tests.log_subjects import Subject, caught_up, ids
from tests.logs import record
from tests.postgres import PASSWORD, USER, Server, give, server
from tests.routers import until
from tests.stack import edgewise, up

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with server() as started:
        yield started


class OnPostgres(Subject):
    def __init__(self, running: Server, directory: Path) -> None:
        self.server = running
        self.database = running.database()
        super().__init__(place_of(running.url(self.database), PASSWORD), directory)

    @contextmanager
    def gone(self) -> Iterator[None]:
        self.server.stop()
        try:
            yield
        finally:
            self.server.start()


@pytest.fixture
def subject(running: Server, tmp_path: Path) -> OnPostgres:
    return OnPostgres(running, tmp_path)


class TestOnPostgres(LogContract):
    """All that holds of every log."""


# --- getting there ----------------------------------------------------------------------------------------------------


def at(place: Place) -> None:
    """Writes a record there, and reads it."""

    async def main() -> None:
        log = await Log.open(place)
        try:
            await log.write(record("a"), ())
            assert await ids(log) == ["a"]
        finally:
            await log.close()

    asyncio.run(main())


def refusal(place: Place, backlog: Path | None = None) -> str:
    with pytest.raises(NotReady) as caught:
        asyncio.run(Log.open(place, backlog=backlog, boundary=ALLOWING))
    assert PASSWORD not in caught.value.message
    return caught.value.message


def test_over_a_socket_without_a_password(running: Server) -> None:
    place = place_of(running.socket_url(running.database()), environment={})
    assert not place.elsewhere
    at(place)


def test_the_password_may_come_from_the_environment_or_the_url(running: Server) -> None:
    at(place_of(running.url(running.database()), environment={"PGPASSWORD": PASSWORD}))
    in_it = running.url(running.database()).replace("@", ":for%20the%20tests%3A%20100%20%25%20secret%40%2F@")
    at(place_of(in_it, environment={}))


@pytest.mark.parametrize("password", ["", "wrong"])
def test_a_wrong_password_is_refused_at_start_although_records_could_wait(
    running: Server, tmp_path: Path, password: str
) -> None:
    place = place_of(running.url(running.database()), password, environment={})
    assert "password authentication failed" in refusal(place, tmp_path / "backlog.jsonl")


def test_a_database_that_is_not_there_is_refused_at_start(running: Server, tmp_path: Path) -> None:
    assert '"nowhere" does not exist' in refusal(place_of(running.url("nowhere"), PASSWORD), tmp_path / "backlog.jsonl")


def test_two_logs_make_one_new_database_at_once(running: Server) -> None:
    place = place_of(running.url(running.database()), PASSWORD)

    async def main() -> None:
        logs = await asyncio.gather(*(Log.open(place) for _ in range(4)))
        await asyncio.gather(*(log.write(record(f"r{number}"), ()) for number, log in enumerate(logs)))
        assert sorted(await ids(logs[0])) == ["r0", "r1", "r2", "r3"]
        await asyncio.gather(*(log.close() for log in logs))

    asyncio.run(main())


def test_a_database_of_a_newer_edgewise_is_refused(subject: OnPostgres) -> None:
    at(subject.place)
    subject.server.run("UPDATE alembic_version SET version_num = '9999'", subject.database)
    assert "a newer edgewise" in refusal(subject.place)


# --- coming and going -------------------------------------------------------------------------------------------------


def test_a_server_that_is_down_at_the_start_is_waited_for(subject: OnPostgres) -> None:
    async def work(log: Log) -> None:
        assert "check the server" in log.backlog.reason
        await log.write(record("a"), ())
        assert log.backlog.count == 1
        subject.server.start()
        await caught_up(log)
        assert await ids(log) == ["a"]

    subject.server.stop()
    subject.with_log(work)


def test_a_server_that_is_down_at_the_start_is_an_error_where_nothing_can_wait(subject: OnPostgres) -> None:
    with subject.gone():
        assert "check the server" in refusal(subject.place)


def test_a_server_that_was_started_again_meanwhile_is_used_as_if_nothing_had_been(subject: OnPostgres) -> None:
    async def work(log: Log) -> None:
        await log.write(record("a"), ())
        with subject.gone():
            pass
        await log.write(record("b"), ())
        assert await ids(log) == ["b", "a"]

    subject.with_log(work, waits=False)


def test_a_database_that_is_dropped_meanwhile_makes_records_wait(subject: OnPostgres) -> None:
    async def work(log: Log) -> None:
        await log.write(record("lost"), ())
        subject.server.run(f"DROP DATABASE {subject.database} WITH (FORCE)")
        await log.write(record("a"), ())
        assert log.backlog.count == 1
        subject.server.run(f"CREATE DATABASE {subject.database}")
        await caught_up(log)
        assert await ids(log) == ["a"]

    subject.with_log(work)


# --- privately --------------------------------------------------------------------------------------------------------


@pytest.fixture
def certificate(running: Server, tmp_path: Path) -> Path:
    """The server speaks TLS from now on, with a certificate that it signed itself."""
    key, made = running.data / "server.key", running.data / "server.crt"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    extension = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(made)]
    subprocess.run([*command, *extension], check=True, capture_output=True)
    for path in (key, made):
        path.chmod(0o600)
        give(path)
    running.stop()
    with (running.data / "postgresql.conf").open("a") as settings:
        settings.write("ssl = on\n")
    running.start()
    copy = tmp_path / "root.crt"
    copy.write_bytes(made.read_bytes())
    return copy


def test_tls_that_is_verified_merely_encrypted_or_refused(running: Server, certificate: Path) -> None:
    def place(tls: Tls) -> Place:
        given = place_of(running.url(running.database(), "localhost"), PASSWORD)
        return Place(given.url, given.elsewhere, tls)

    at(place(Tls("verify-full", certificate)))
    at(place(Tls("require")))
    assert "certificate verify failed" in refusal(place(Tls("verify-full")))
    by_address = place_of(running.url(running.database()), PASSWORD)
    assert "certificate" in refusal(Place(by_address.url, by_address.elsewhere, Tls("verify-full", certificate)))


def test_a_certificate_that_is_none_is_named(running: Server, tmp_path: Path) -> None:
    (tmp_path / "none.crt").write_text("no certificate")
    for name in ("none.crt", "missing.crt"):
        url = f"postgresql://{USER}@db.example.org/x?sslrootcert={tmp_path / name}"
        assert name in refusal(place_of(url))


# --- a daemon ---------------------------------------------------------------------------------------------------------


def test_a_daemon_answers_while_its_server_is_killed_and_started_again(subject: OnPostgres, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(PASSWORD)
    settings = {
        "EDGEWISE_ROUTER__RECORDS_URL": subject.server.url(subject.database),
        "EDGEWISE_ROUTER__RECORDS_PASSWORD_FILE": str(tmp_path / "password"),
    }
    data_dir = tmp_path / "data"
    with up(data_dir, settings=settings) as daemon:
        assert edgewise("ask", "One?", "--mode", "edge_only", data_dir=data_dir).returncode == 0
        with subject.gone():
            done = edgewise("ask", "Two?", "--mode", "edge_only", "--json", data_dir=data_dir)
            assert done.returncode == 0, done.stderr
            assert edgewise("grade", json.loads(done.stdout)["record_id"], "up", data_dir=data_dir).returncode == 0
            assert len((data_dir / "backlog.jsonl").read_text().splitlines()) == 2
            failed = edgewise("log", data_dir=data_dir)
            assert (failed.returncode, failed.stdout) == (1, "")
            assert "check the server" in failed.stderr
        asyncio.run(until(lambda: not (data_dir / "backlog.jsonl").exists()))
        told = daemon.log.read_text()
    assert "records: PostgreSQL" in told
    assert PASSWORD not in told
    assert not (data_dir / "records.db").exists()
    done = edgewise("log", "--export", "jsonl", data_dir=data_dir, settings=settings)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(row["question"], row["grades_mean"]) for row in rows] == [("Two?", 1.0), ("One?", None)]
