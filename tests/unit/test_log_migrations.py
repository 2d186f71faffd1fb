"""A database of any age becomes one of today, without loss; one of tomorrow is refused."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from zipfile import ZipFile

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from edgewise.errors import NotReady
from edgewise.types import Grade, Privacy
from router.log import Log, database
from router.log.database import HEAD
from router.log.tables import TABLES
from tests.logs import call, record
from tests.routers import log_url

ROOT = Path(__file__).resolve().parents[2]
# As Edgewise made its tables before it kept versions of them.
OF_BEFORE = """
CREATE TABLE records (
    seq INTEGER NOT NULL, record_id VARCHAR(64) NOT NULL, app VARCHAR(200) NOT NULL, request_id VARCHAR(200) NOT NULL,
    conversation_id VARCHAR(200) NOT NULL, mode VARCHAR(200) NOT NULL, error VARCHAR(40) NOT NULL,
    created_at VARCHAR(40) NOT NULL, value TEXT NOT NULL, PRIMARY KEY (seq), UNIQUE (record_id)
);
CREATE INDEX records_by_request ON records (app, request_id);
CREATE INDEX ix_records_conversation_id ON records (conversation_id);
CREATE INDEX ix_records_mode ON records (mode);
CREATE TABLE calls (
    seq INTEGER NOT NULL, record_id VARCHAR(64) NOT NULL, "key" VARCHAR(64) NOT NULL, side VARCHAR(10) NOT NULL,
    kind VARCHAR(20) NOT NULL, value TEXT NOT NULL, PRIMARY KEY (seq)
);
CREATE INDEX ix_calls_record_id ON calls (record_id);
CREATE INDEX ix_calls_key ON calls ("key");
CREATE TABLE grades (seq INTEGER NOT NULL, record_id VARCHAR(64) NOT NULL, value TEXT NOT NULL, PRIMARY KEY (seq));
CREATE INDEX ix_grades_record_id ON grades (record_id);
"""
FULL = record(
    "full", author="edge", privacy=Privacy.PRIVATE, cost_usd=0.25, total_s=2.5, first_kept_s=0.5, degraded=True,
    experiment="e", arm="b", shadow_of="plain", user_id="u", conversation_id="c", question="\0«ünï»",
)  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A database of before, with records, a side call and a grade in it."""
    path = tmp_path / "records.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(OF_BEFORE)
        into = "INSERT INTO records VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)"
        columns = ("record_id", "app", "request_id", "conversation_id", "mode", "error", "created_at")
        for one in (record("plain"), FULL):
            row = (*(getattr(one, name) for name in columns), one.model_dump_json())
            connection.execute(into, row)
        # Of a time when records had fewer fields, and one that nobody can read.
        short = '{"record_id": "short", "question": "q", "answer": "a", "mode": "agent"}'
        for name, value in (("short", short), ("broken", "{")):
            row = (name, "", "", "", "agent", "", "", value)
            connection.execute(into, row)
        made = call("k").model_dump_json()
        connection.execute("INSERT INTO calls VALUES (7, 'full', 'k', 'edge', 'score', ?)", (made,))
        graded = Grade(record_id="full", grader="me", score=0.5).model_dump_json()
        connection.execute("INSERT INTO grades VALUES (3, 'full', ?)", (graded,))
    return path


def opened(file: Path) -> None:
    async def main() -> None:
        log = await Log.open(log_url(file.parent))
        await log.close()

    asyncio.run(main())


def rows(file: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(query).fetchall()


def schema(file: Path) -> set[tuple[object, ...]]:
    return set(rows(file, "SELECT type, name, tbl_name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"))


def test_a_database_of_before_is_brought_up_to_date_without_loss(file: Path) -> None:
    async def main() -> None:
        log = await Log.open(log_url(file.parent))
        full = await log.get("full")
        assert full.model_copy(update={"grades": ()}) == FULL
        assert [(grade.grader, grade.score) for grade in full.grades] == [("me", 0.5)]
        assert await log.calls("full") == (call("k"),)
        assert (await log.get("short")).answer == "a"
        with pytest.raises(NotReady, match="another version"):
            await log.get("broken")
        await log.grade(Grade(record_id="full", grader="you", score=1))
        await log.write(record("new"), (call("k"),))
        assert await log.newest(limit=1) == (await log.get("new"),)
        assert [(one.mode, one.n, one.graded) for one in await log.tally()] == [("agent", 4, 0)], "without the shadow"
        await log.close()

    asyncio.run(main())
    assert rows(file, "SELECT grader, score FROM grades ORDER BY seq") == [("me", 0.5), ("you", 1.0)]
    columns = "author, privacy, cost_usd, total_s, first_kept_s, degraded, experiment, arm, shadow_of, user_id"
    assert rows(file, f"SELECT {columns} FROM records WHERE record_id = 'full'") == [
        ("edge", "PRIVATE", 0.25, 2.5, 0.5, 1, "e", "b", "plain", "u")
    ]
    assert (
        rows(file, f"SELECT {columns} FROM records WHERE record_id IN ('short', 'broken')")
        == [(None, "UNKNOWN", None, 0.0, None, 0, "", "", "", "")] * 2
    )
    assert rows(file, "SELECT record_id FROM records ORDER BY seq") == [
        (name,) for name in ("plain", "full", "short", "broken", "new")
    ]
    assert rows(file, "SELECT grader, score FROM grades ORDER BY seq") == [("me", 0.5), ("you", 1.0)]


def test_an_old_and_a_new_database_end_up_the_same(file: Path, tmp_path: Path) -> None:
    new = tmp_path / "new" / "records.db"
    new.parent.mkdir()
    opened(new)
    opened(file)
    assert schema(file) == schema(new)
    assert rows(new, "SELECT version_num FROM alembic_version") == [(HEAD,)]


def test_the_tables_are_what_the_code_takes_them_for(tmp_path: Path) -> None:
    file = tmp_path / "records.db"
    opened(file)
    for table in TABLES.tables.values():
        found = rows(file, f"SELECT name, \"notnull\" FROM pragma_table_info('{table.name}')")
        assert set(found) == {(column.name, int(not column.nullable)) for column in table.columns}


def test_a_database_that_was_only_begun_is_finished(tmp_path: Path) -> None:
    file, whole = tmp_path / "records.db", tmp_path / "whole" / "records.db"
    whole.parent.mkdir()
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(OF_BEFORE[: OF_BEFORE.index("CREATE INDEX")])
    opened(file)
    opened(whole)
    assert schema(file) == schema(whole)


def test_an_upgrade_that_fails_changes_nothing(file: Path) -> None:
    before = rows(file, "SELECT * FROM sqlite_master"), rows(file, "SELECT * FROM records")
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE grades_by_id (x)")  # the name of an index, made at the very end
    with pytest.raises(NotReady, match="grades_by_id"):
        opened(file)
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("DROP TABLE grades_by_id")
    assert (rows(file, "SELECT * FROM sqlite_master"), rows(file, "SELECT * FROM records")) == before
    opened(file)


def test_opening_a_database_of_today_changes_nothing(file: Path) -> None:
    opened(file)
    before = file.read_bytes()
    opened(file)
    assert file.read_bytes() == before


def test_a_database_of_a_newer_edgewise_is_refused(file: Path) -> None:
    opened(file)
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(NotReady, match=r"version 9999, which a newer edgewise made .* update edgewise"):
        opened(file)


def test_the_head_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_a_wheel_has_the_migrations(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    packed = set(ZipFile(wheel).namelist())
    migrations = [path.relative_to(ROOT) for path in (ROOT / "router/log/migrations").rglob("*.py")]
    assert len(migrations) >= 3
    assert {str(path) for path in migrations} <= packed


def test_what_is_looked_up_by_says_what_the_value_says(tmp_path: Path) -> None:
    """For every column that has the name of a field."""

    async def main() -> None:
        log = await Log.open(log_url(tmp_path))
        await log.write(FULL, ())
        await log.close()

    asyncio.run(main())
    with closing(sqlite3.connect(tmp_path / "records.db")) as connection:
        connection.row_factory = sqlite3.Row
        [row] = connection.execute("SELECT * FROM records")
    value = json.loads(row["value"])
    shared = set(row.keys()) & set(value)
    assert len(shared) == len(row.keys()) - 3
    assert {name: row[name] for name in shared} == {name: value[name] for name in shared}
