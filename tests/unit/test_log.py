"""The log on a real SQLite file: what holds of every log, and what is of SQLite alone."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from edgewise.errors import InvalidInput, NotReady
from edgewise.types import Grade
from router.log import Backlog, Keep, Log, parse_grade, parse_moment, place_of
from tests.log_contract import LogContract
from tests.log_subjects import TODAY, Subject, caught_up, ids
from tests.logs import call, record
from tests.routers import log_url


class OnSqlite(Subject):
    def __init__(self, directory: Path) -> None:
        super().__init__(place_of(log_url(directory)), directory)
        self.file = directory / "records.db"

    @contextmanager
    def gone(self) -> Iterator[None]:
        self.run("ALTER TABLE records RENAME TO lost")
        yield
        self.run("ALTER TABLE lost RENAME TO records")

    def run(self, *statements: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(self.file)) as connection, connection:
            return [row for statement in statements for row in connection.execute(statement)]


@pytest.fixture
def subject(tmp_path: Path) -> OnSqlite:
    return OnSqlite(tmp_path)


class TestOnSqlite(LogContract):
    """All that holds of every log."""


# --- the file ---------------------------------------------------------------------------------------------------------


def test_a_file_that_is_deleted_meanwhile_is_made_anew_and_nothing_is_lost_in_it(subject: OnSqlite) -> None:
    async def work(log: Log) -> None:
        await log.write(record("before"), ())
        subject.file.unlink()
        await log.write(record("a"), ())
        assert log.backlog.count == 1
        assert "moved or deleted" in log.backlog.reason
        await caught_up(log)
        assert await ids(log) == ["a"]
        assert subject.file.stat().st_mode & 0o777 == 0o600
        assert subject.run("SELECT record_id FROM records") == [("a",)]

    subject.with_log(work)


def test_a_file_that_another_program_never_lets_go_of_keeps_nobody_waiting_twice(subject: OnSqlite) -> None:
    async def work(log: Log) -> None:
        await log.write(record("before"), ())
        with closing(sqlite3.connect(subject.file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            for place in range(20):
                await log.write(record(f"r{place}"), ())
            assert log.backlog.count == 20
            assert "locked" in log.backlog.reason
            assert len(await log.newest(limit=100)) == 21  # reading goes on
            other.execute("COMMIT")
        await caught_up(log)
        assert await ids(log) == [f"r{place}" for place in reversed(range(20))] + ["before"]

    subject.with_log(work)


def test_a_line_that_the_database_refuses_holds_nothing_up(subject: OnSqlite, caplog: pytest.LogCaptureFixture) -> None:
    async def work(log: Log) -> None:
        await log.write(record("before"), ())
        subject.run(
            "CREATE TRIGGER picky BEFORE INSERT ON records WHEN NEW.record_id = 'bad' "
            "BEGIN SELECT RAISE(ABORT, 'not this one'); END"
        )
        with subject.gone():
            for name in ("a", "bad", "b"):
                await log.write(record(name), ())
        await caught_up(log)
        assert await ids(log) == ["b", "a", "before"]
        assert '"bad"' in (subject.directory / "backlog.bad.jsonl").read_text()
        assert "not this one" in caplog.text

    subject.with_log(work)


def test_a_file_of_what_waits_that_somebody_deletes_is_missed_and_the_next_record_waits(
    subject: OnSqlite, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(log: Log) -> None:
        await log.write(record("before"), ())
        with subject.gone():
            await log.write(record("lost"), ())
            subject.backlog.unlink()
            await log.write(record("a"), ())
        await caught_up(log)
        assert await ids(log) == ["a", "before"]
        assert "changed by another program" in caplog.text

    subject.with_log(work)


def test_what_was_removed_is_gone_from_the_disk(subject: OnSqlite) -> None:
    secret = "a very secret question"

    async def work(log: Log) -> None:
        await log.write(record("old", question=secret), (call("k", request=secret),))
        await log.grade(Grade(record_id="old", grader="g", score=1, comment=secret))
        await log.write(record("new"), ())
        assert await log.expire() == 1
        left = [path for path in subject.directory.iterdir() if secret.encode() in path.read_bytes()]
        assert left == []

    subject.with_log(work, keep=Keep(records=1))


def test_what_may_not_leave_is_nowhere_in_a_database_on_another_machine(subject: OnSqlite) -> None:
    async def work(log: Log) -> None:
        await log.write(record("a", question="SECRET"), (call("SECRET", request="SECRET", response="SECRET"),))
        await log.grade(Grade(record_id="a", grader="g", score=1, comment="SECRET"))

    subject.with_log(work, elsewhere=True)
    assert subject.run("SELECT count(*) FROM calls") == [(1,)]
    assert [path for path in subject.directory.iterdir() if b"SECRET" in path.read_bytes()] == []


def test_what_becomes_too_old_while_the_log_is_open_is_removed(subject: OnSqlite) -> None:
    today = [TODAY]

    async def main() -> None:
        log = await Log.open(subject.place, keep=Keep(days=1), clock=lambda: today[0], expire_s=0.05)
        await log.write(record("a", created_at=TODAY.isoformat(timespec="milliseconds")), ())
        await asyncio.sleep(0.1)
        assert await ids(log) == ["a"]
        today[0] += timedelta(days=2)
        async with asyncio.timeout(10):
            while await log.newest(limit=9):  # noqa: ASYNC110 - of things that tell nobody
                await asyncio.sleep(0.01)
        await log.close()

    asyncio.run(main())


def test_a_file_that_cannot_be_opened_is_refused_although_something_could_wait(subject: OnSqlite) -> None:
    subject.file.write_bytes(b"this is no database, whatever its name says" * 100)

    async def work(_: Log) -> None:
        raise AssertionError

    with pytest.raises(NotReady, match="not a database"):
        subject.with_log(work)


def refusal(url: str) -> str:
    with pytest.raises(NotReady) as caught:
        asyncio.run(Log.open(url))
    return caught.value.message


def test_a_missing_directory_is_refused_in_words(tmp_path: Path) -> None:
    assert "data directory" in refusal(log_url(tmp_path / "nowhere"))


def test_a_database_that_may_not_be_written_is_refused_in_words(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "records.db").close()
    assert "readonly" in refusal(f"sqlite:///file:{tmp_path / 'records.db'}?mode=ro&uri=true")


def test_a_record_of_another_version_is_refused_in_words(subject: OnSqlite) -> None:
    async def work(log: Log) -> None:
        await log.write(record("a", request_id="1"), ())
        subject.run("""UPDATE records SET value = '{"record_id": "a", "of_tomorrow": 1}'""")
        for look in (log.get("a"), log.of_request("", "1"), log.newest(limit=1)):
            with pytest.raises(NotReady, match="of_tomorrow"):
                await look
        assert log.backlog == Backlog()

    subject.with_log(work)


# --- words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("word", "score"), [("up", 1.0), ("down", 0.0), ("0.25", 0.25), ("1", 1.0)])
def test_a_grade_in_words(word: str, score: float) -> None:
    assert parse_grade(word) == score


@pytest.mark.parametrize("word", ["", "good", "1.1", "-0.1", "nan", "inf", "x" * 5000])
def test_what_is_no_grade(word: str) -> None:
    with pytest.raises(InvalidInput, match="from 0 to 1") as caught:
        parse_grade(word)
    assert len(caught.value.message) < 200


def test_moments_are_utc_in_milliseconds() -> None:
    assert parse_moment("") == ""
    assert parse_moment("2026-11-30T18:00:00+01:00") == "2026-11-30T17:00:00.000+00:00"
    assert parse_moment("2026-11-30T17:00:00.0009Z") == "2026-11-30T17:00:00.000+00:00"
    assert len(parse_moment("2026-11-30")) == len("2026-11-30T17:00:00.000+00:00")


@pytest.mark.parametrize("word", ["yesterday", "30.11.2026", "2026-13-01", "0001-01-01T00:00:00+14:00", "x" * 5000])
def test_what_is_no_moment(word: str) -> None:
    with pytest.raises(InvalidInput, match="is no date; write 2026-11-30") as caught:
        parse_moment(word)
    assert len(caught.value.message) < 200
