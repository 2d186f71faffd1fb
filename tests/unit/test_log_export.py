"""Records as tables for other programs, as files and by the command."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from edgewise.errors import InvalidInput, NotReady
from edgewise.types import Grade, Grounding, Privacy, Step, Tokens, Usage
from router.log import Log, export
from router.log.export import Format, Row, columns, opened, row_of
from tests.logs import call, record
from tests.routers import log_url
from tests.sides import passage
from tests.stack import environment

FULL = record(
    "full", author="cloud", question="\0«ünï»\n\u2028", answer="42", cost_usd=0.5, mode="auto", privacy=Privacy.PRIVATE,
    created_at="2026-11-30T12:00:00.250+00:00", grounding=Grounding.GROUNDED, degraded=True, cloud_calls=2,
    usage=Usage(edge=Tokens(prompt_tokens=3), cloud=Tokens(prompt_tokens=10, completion_tokens=4, cached_tokens=1)),
    steps=(Step(id="s", name="judge", detail="because", numbers={"trust": 0.5}),), citations=(passage("a fact"),),
    grades=(Grade(record_id="full", grader="a", score=1, comment="good"), Grade(record_id="full", grader="b", score=0)),
)  # fmt: skip
BARE = record("bare", created_at="")
FORMATS: Sequence[Format] = ("jsonl", "parquet")


def written(path: Path, file_format: Format, *, with_content: bool = True) -> list[dict[str, object]]:
    """Both records, written and read again."""
    with opened(path, file_format, columns(with_content=with_content)) as sink:
        sink([row_of(FULL, with_content=with_content)])
        sink([row_of(BARE, with_content=with_content)])
    return read(path, file_format)


def read(path: Path, file_format: Format) -> list[dict[str, object]]:
    if file_format == "parquet":
        rows: list[dict[str, object]] = parquet.read_table(path).to_pylist()
        return rows
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    every = dict.fromkeys(Row.model_fields, "")
    return [Row.model_validate({**every, **line}).model_dump(include=set(line)) for line in lines]


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_row_says_what_its_record_says(tmp_path: Path, file_format: Format) -> None:
    full, bare = written(tmp_path / "out", file_format)
    same = set(Row.model_fields) & set(type(FULL).model_fields) - {
        "created_at",
        "steps",
        "citations",
        "calls",
        "grades",
    }
    assert {name: full[name] for name in same} == FULL.model_dump(mode="json", include=same)
    assert full["created_at"] == datetime(2026, 11, 30, 12, 0, 0, 250_000, tzinfo=UTC)
    assert (full["edge_prompt_tokens"], full["cloud_completion_tokens"], full["cloud_cached_tokens"]) == (3, 4, 1)
    assert (full["grades_count"], full["grades_mean"]) == (2, 0.5)
    assert json.loads(str(full["steps"]))[0]["numbers"] == {"trust": 0.5}
    assert json.loads(str(full["citations"]))[0]["text"]["value"] == "a fact"
    unknown = ("created_at", "cost_usd", "author", "confidence", "grades_mean", "grounding", "first_kept_s")
    assert [bare[name] for name in unknown] == [None] * len(unknown)
    assert bare["degraded"] is False


@pytest.mark.parametrize("file_format", FORMATS)
def test_without_content_there_are_no_words(tmp_path: Path, file_format: Format) -> None:
    full, _ = written(tmp_path / "out", file_format, with_content=False)
    assert set(Row.model_fields) - set(full) == {"question", "answer", "reason", "error_message"}
    for words in ("ünï", "because", "a fact", "good"):
        assert words not in str(full)
    assert json.loads(str(full["steps"]))[0]["numbers"] == {"trust": 0.5}
    assert full["grades_mean"] == 0.5


def test_parquet_has_types_and_says_what_is_never_null(tmp_path: Path) -> None:
    written(tmp_path / "out", "parquet")
    schema = parquet.read_schema(tmp_path / "out")
    assert schema.names == list(Row.model_fields)
    assert schema.field("created_at").type == pyarrow.timestamp("ms", tz="UTC")
    assert schema.field("cost_usd") == pyarrow.field("cost_usd", pyarrow.float64(), nullable=True)
    assert schema.field("retractions") == pyarrow.field("retractions", pyarrow.int64(), nullable=False)
    assert schema.field("degraded").type == pyarrow.bool_()


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_file_without_records_is_a_table_without_rows(tmp_path: Path, file_format: Format) -> None:
    with opened(tmp_path / "out", file_format, columns(with_content=True)):
        pass
    assert read(tmp_path / "out", file_format) == []


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_file_is_written_whole_or_not_at_all_and_for_nobody_else(tmp_path: Path, file_format: Format) -> None:
    path = tmp_path / "out"
    path.write_text("of before")

    def broken_off() -> None:
        with opened(path, file_format, columns(with_content=True)) as sink:
            sink([row_of(FULL)])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken_off()
    assert path.read_text() == "of before"
    assert list(tmp_path.iterdir()) == [path]
    written(path, file_format)
    assert list(tmp_path.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_place_of_no_use_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a pipe")
    for path in (tmp_path, tmp_path / "nowhere" / "out", tmp_path / "a pipe"):
        with pytest.raises(InvalidInput, match="name a file in a directory"), opened(path, "jsonl", ()):
            raise AssertionError
    with pytest.raises(NotReady, match=r"cannot be written .*check the disk"), opened(Path("/proc/out"), "jsonl", ()):
        raise AssertionError


def test_many_bytes_are_several_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "_ROW_GROUP_BYTES", 10_000)
    rows = [row_of(record(f"r{place}", answer="x" * 1000)) for place in range(50)]
    with opened(tmp_path / "out", "parquet", columns(with_content=True)) as sink:
        for row in rows:
            sink([row])
    assert parquet.ParquetFile(tmp_path / "out").num_row_groups > 3
    assert [row["record_id"] for row in read(tmp_path / "out", "parquet")] == [row.record_id for row in rows]


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(NotReady, match=r"install edgewise\[parquet\]"), opened(tmp_path / "out", "parquet", ()):
        raise AssertionError
    assert list(tmp_path.iterdir()) == []


# --- the command, without a daemon ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With 450 records in it, one a minute: more than two pages."""
    directory = tmp_path_factory.mktemp("log") / "data"
    directory.mkdir()

    async def main() -> None:
        log = await Log.open(log_url(directory))
        for place in range(450):
            moment = f"2026-11-30T{place // 60:02}:{place % 60:02}:00.000+00:00"
            mode = "auto" if place % 2 else "agent"
            await log.write(record(f"r{place}", created_at=moment, mode=mode), (call("k"),))
        await log.grade(Grade(record_id="r449", grader="g", score=0.5))
        await log.close()

    asyncio.run(main())
    return directory


def log_command(data_dir: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "router", "log", *map(str, arguments), "--data-dir", str(data_dir)]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=100, check=False)


def test_everything_goes_to_standard_output(data_dir: Path) -> None:
    done = log_command(data_dir, "--export", "jsonl")
    assert (done.returncode, done.stderr) == (0, "")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["record_id"] for row in rows] == [f"r{place}" for place in reversed(range(450))]
    assert (rows[0]["grades_count"], rows[0]["question"]) == (1, "why?")


def test_a_part_goes_to_a_file(data_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    wanted = ("--mode", "auto", "--since", "2026-11-30T01:00:00Z", "--limit", "201", "--without-content")
    done = log_command(data_dir, "--export", "parquet", "--out", out, *wanted)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    rows = read(out, "parquet")
    assert len(rows) == 195  # from 60 to 449, every other one
    assert {row["mode"] for row in rows} == {"auto"}
    assert rows[-1]["record_id"] == "r61"
    assert "question" not in rows[0]


def test_a_list_can_be_of_a_mode_and_a_time(data_dir: Path) -> None:
    done = log_command(data_dir, "--since", "2026-11-30T07:27:00Z", "--mode", "auto")
    assert [line.split()[0] for line in done.stdout.splitlines()[:-1:2]] == ["r449", "r447"]
    done = log_command(data_dir, "--json", "--limit", "250")
    assert len(json.loads(done.stdout)) == 250
    assert len(json.loads(log_command(data_dir, "--json").stdout)) == 20


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--export", "parquet"), 2, "--out FILE"),
        (("--export", "csv"), 2, "csv"),
        (("--out", "x"), 2, "add --export"),
        (("--without-content",), 2, "add --export"),
        (("r1", "--export", "jsonl"), 2, "leave the record"),
        (("--since", "yesterday"), 2, "write 2026-11-30"),
        (("--export", "jsonl", "--out", "/proc/x"), 1, "/proc/x cannot be written"),
        (("--limit", "0"), 2, "--limit"),
    ],
)
def test_what_makes_no_sense_is_refused(data_dir: Path, arguments: Sequence[str], code: int, words: str) -> None:
    done = log_command(data_dir, *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr
