"""The audit log: a row on the disk before anything is sent, or nothing is sent."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edgewise.errors import InvalidInput, NotReady
from edgewise.types import Privacy
from router.cli import app
from router.egress import AuditLog, Leaving, NotAudited, read_rows
from router.egress.audit import SEGMENT_BYTES, Ended
from router.egress.rows import HEAD, TORN, read_head, segments
from router.egress.verify import parse_head, verified

LEAVING = Leaving(
    destination="cloud", host="api.example.com", call="generate", label=Privacy.UNKNOWN, released="x", texts=2, size=40
)
TELEMETRY = LEAVING.model_copy(update={"destination": "telemetry", "call": "/v1/traces", "label": None})


@contextmanager
def audit(directory: Path, segment_bytes: int = SEGMENT_BYTES) -> Iterator[AuditLog]:
    log = AuditLog(directory, segment_bytes=segment_bytes)
    try:
        yield log
    finally:
        log.close()


def write(directory: Path, count: int = 1, segment_bytes: int = SEGMENT_BYTES) -> list[int]:
    with audit(directory, segment_bytes) as log:
        return [log.submit(LEAVING).result() for _ in range(count)]


def lines(directory: Path) -> list[bytes]:
    return (directory / "audit.jsonl").read_bytes().splitlines(keepends=True)


def put(directory: Path, *rows: bytes) -> None:
    (directory / "audit.jsonl").write_bytes(b"".join(rows))


def test_a_row_is_there_when_its_number_is_and_later_ones_follow_it(tmp_path: Path) -> None:
    with audit(tmp_path) as log:
        for expected in (1, 2, 3):
            assert log.submit(LEAVING).result() == expected
            assert [row.seq for row in read_rows(tmp_path)][-1] == expected
        log.end(Ended(of=2, outcome="failed", detail="UNAVAILABLE"))
    *tries, end = read_rows(tmp_path)
    assert [(row.event, row.host, row.label, row.size) for row in tries] == [
        ("try", "api.example.com", Privacy.UNKNOWN, 40)
    ] * 3
    assert (end.event, end.of, end.outcome, end.detail) == ("end", 2, "failed", "UNAVAILABLE")
    found = verified(tmp_path)
    assert (found.intact, found.rows, found.tries, found.ends, found.open) == (
        True, 4, {"cloud": 3}, {"failed": 1}, 2,
    )  # fmt: skip
    assert (found.last, found.head) == read_head(tmp_path) == parse_head(f"{found.last}:{found.head}")


def test_it_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    write(tmp_path)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_a_row_can_be_checked_by_hand(tmp_path: Path) -> None:
    write(tmp_path, 2)
    for line in lines(tmp_path):
        told = line[: line.index(b',"hash":')]
        assert hashlib.sha256(told).hexdigest() == json.loads(line)["hash"]
    first, second = map(json.loads, lines(tmp_path))
    assert (first["previous"], second["previous"]) == ("0" * 64, first["hash"])


def test_it_goes_on_after_a_restart_and_over_segments(tmp_path: Path) -> None:
    assert write(tmp_path, 5, segment_bytes=900) == [1, 2, 3, 4, 5]
    assert write(tmp_path, 5, segment_bytes=900) == [6, 7, 8, 9, 10]
    files = segments(tmp_path)
    assert len(files) > 2
    assert all(path.stat().st_size < 1800 for path in files)
    assert [row.seq for row in read_rows(tmp_path)] == [*range(1, 11)]
    assert verified(tmp_path).intact
    files[1].unlink()
    assert "missing" in verified(tmp_path).problems[0]


def test_calls_at_once_share_what_they_wait_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs, open_up, real = [], threading.Event(), os.fsync

    def slow(descriptor: int) -> None:
        syncs.append(descriptor)
        open_up.wait(10)
        real(descriptor)

    async def main() -> None:
        with audit(tmp_path) as log:
            log.submit(LEAVING).result()  # opens it
            monkeypatch.setattr(os, "fsync", slow)
            waiting = [asyncio.wrap_future(log.submit(LEAVING)) for _ in range(50)]
            await asyncio.sleep(0)
            open_up.set()
            assert sorted(await asyncio.gather(*waiting)) == [*range(2, 52)]
            monkeypatch.setattr(os, "fsync", real)

    asyncio.run(main())
    assert len(syncs) < 10
    assert verified(tmp_path).rows == 51


def test_one_that_left_before_its_row_was_written_leaves_none(tmp_path: Path) -> None:
    with audit(tmp_path) as log:
        blocked = threading.Event()
        log._thread.submit(blocked.wait)
        assert log.submit(LEAVING).cancel()
        kept = log.submit(TELEMETRY)
        blocked.set()
        assert kept.result() == 1
    assert [row.destination for row in read_rows(tmp_path)] == ["telemetry"]


# --- when it cannot be written ----------------------------------------------------------------------------------------


def failing(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, what, fail)


@pytest.mark.parametrize("what", ["write", "fsync", "pwrite", "open"])
def test_nothing_gets_a_number_while_the_disk_fails_and_all_is_well_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    with audit(tmp_path) as log:
        assert log.submit(LEAVING).result() == 1
        for name in (what, "fsync"):
            with monkeypatch.context() as broken:
                failing(name, broken)
                if name == "open":
                    log._thread.submit(log._chain.close).result()
                with pytest.raises(NotAudited, match="No space left on device"):
                    log.submit(LEAVING).result()
        assert log.submit(LEAVING).result() == 2
    assert verified(tmp_path).intact
    assert [row.seq for row in read_rows(tmp_path)] == [1, 2]


def test_a_write_that_broke_off_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, 2)
    torn = lines(tmp_path)[1][:100]
    with (tmp_path / "audit.jsonl").open("ab") as file:
        file.write(torn)
    before = verified(tmp_path)
    assert (before.intact, before.torn, before.rows) == (True, 100, 2)
    assert write(tmp_path) == [4]
    note = list(read_rows(tmp_path))[2]
    assert note.event == "note"
    assert "100 bytes" in note.detail
    assert (tmp_path / TORN).read_bytes() == torn + b"\n"
    assert verified(tmp_path).intact


def test_a_first_row_that_broke_off_is_set_aside(tmp_path: Path) -> None:
    put(tmp_path, b'{"seq":1,"at":"2026')
    assert write(tmp_path) == [2]
    assert verified(tmp_path).intact


Damage = Callable[[Path], None]


def changed_last(directory: Path) -> None:
    put(directory, *lines(directory)[:-1], lines(directory)[-1].replace(b'"size":40', b'"size":41'))


def cut_short(directory: Path) -> None:
    put(directory, *lines(directory)[:-1])


def cut_within(directory: Path) -> None:
    put(directory, *lines(directory)[:-1], lines(directory)[-1][:-20])


def emptied(directory: Path) -> None:
    put(directory)


def deleted(directory: Path) -> None:
    (directory / "audit.jsonl").unlink()


def garbage(directory: Path) -> None:
    with (directory / "audit.jsonl").open("ab") as file:
        file.write(b"\0" * 50 + b"\n")


def another_chain(directory: Path) -> None:
    os.truncate(directory / "audit.jsonl", 0)
    (directory / HEAD).rename(directory / "kept")
    write(directory, 4)
    (directory / "kept").rename(directory / HEAD)


def cut_with_its_head(directory: Path) -> None:
    cut_short(directory)
    (directory / HEAD).unlink()


def cut_with_a_damaged_head(directory: Path) -> None:
    cut_short(directory)
    (directory / HEAD).write_text("2")


DAMAGES = (
    changed_last, cut_short, cut_within, emptied, deleted, garbage, another_chain, cut_with_its_head,
    cut_with_a_damaged_head,
)  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_log_that_does_not_end_as_it_was_left_is_not_continued(tmp_path: Path, damage: Damage) -> None:
    write(tmp_path, 4)
    damage(tmp_path)
    with audit(tmp_path) as log, pytest.raises(NotAudited, match="audit verify"):
        log.submit(LEAVING).result()
    assert not verified(tmp_path).intact


@pytest.mark.parametrize("damage", [cut_short, cut_within, emptied, deleted, garbage])
def test_nor_is_one_that_was_damaged_while_it_was_in_use(tmp_path: Path, damage: Damage) -> None:
    with audit(tmp_path) as log:
        for _ in range(4):
            log.submit(LEAVING).result()
        damage(tmp_path)
        for _ in range(2):
            with pytest.raises(NotAudited, match="audit verify"):
                log.submit(LEAVING).result()
    assert not verified(tmp_path).intact


# --- verifying --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: [rows[0], rows[1].replace(b'"size":40', b'"size":41'), *rows[2:]], "line 2"),
        (lambda rows: [rows[0], *rows[2:]], "row 2 is missing"),
        (lambda rows: [*rows[:1], *rows[3:]], "rows 2 to 3 are missing"),
        (lambda rows: rows[1:], "row 1 is missing"),
        (lambda rows: [rows[1], rows[0], *rows[2:]], "order"),
        (lambda rows: [*rows[:2], rows[1], *rows[2:]], "twice"),
        (lambda rows: [rows[0], b"{}\n", *rows[1:]], "line 2"),
        (lambda rows: rows[:-1], "the last rows are missing"),
    ],
)
def test_what_was_done_to_rows_is_seen(tmp_path: Path, change: Callable[[list[bytes]], list[bytes]], said: str) -> None:
    write(tmp_path, 6)
    assert verified(tmp_path).intact
    put(tmp_path, *change(lines(tmp_path)))
    found = verified(tmp_path)
    assert not found.intact
    assert said in " ".join(found.problems)


def test_a_row_written_anew_with_a_hash_of_its_own_does_not_fit(tmp_path: Path) -> None:
    write(tmp_path, 3)
    rows = lines(tmp_path)
    told = rows[1][: rows[1].index(b',"hash":')].replace(b'"size":40', b'"size":41')
    digest = hashlib.sha256(told).hexdigest().encode()
    put(tmp_path, rows[0], told + b',"hash":"' + digest + b'"}\n', rows[2])
    assert "row 3 was not written after" in verified(tmp_path).problems[0]


def test_a_head_that_was_noted_shows_that_everything_was_written_anew(tmp_path: Path) -> None:
    write(tmp_path, 3)
    noted = read_head(tmp_path)
    assert noted
    for path in tmp_path.iterdir():
        path.unlink()
    write(tmp_path, 5)
    assert verified(tmp_path).intact
    assert verified(tmp_path, noted=noted).problems == ("row 3 is not the one that was written",)


def test_an_empty_directory_is_intact(tmp_path: Path) -> None:
    assert verified(tmp_path).intact
    assert verified(tmp_path).rows == 0


# --- a process that is killed -----------------------------------------------------------------------------------------

WRITES = """
import sys
from pathlib import Path
from router.egress import AuditLog, Leaving
log = AuditLog(Path(sys.argv[1]), segment_bytes=4000)
leaving = Leaving(destination="cloud", host="h", call="generate")
while True:
    print(log.submit(leaving).result(), flush=True)
"""


def test_what_was_acknowledged_outlives_a_kill(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITES, str(tmp_path)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        said = [writer.stdout.readline() for _ in range(50)]
        writer.kill()
        said += writer.stdout.read().splitlines(keepends=True)
    last = max(int(line) for line in said if line.endswith(b"\n"))
    found = verified(tmp_path)
    assert found.intact
    assert found.rows >= last >= 50
    assert write(tmp_path)[0] > last
    assert verified(tmp_path).intact


# --- the command line -------------------------------------------------------------------------------------------------


def told(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["audit", *arguments])


def test_the_command_line_says_whether_it_is_intact(tmp_path: Path) -> None:
    place = ("--data-dir", str(tmp_path))
    nothing = told("verify", *place)
    assert (nothing.exit_code, "nothing was let out" in nothing.output) == (0, True)
    write(tmp_path, 3)
    found = json.loads(told("verify", "--json", *place).output)
    assert (found["intact"], found["rows"], found["tries"]) == (True, 3, {"cloud": 3})
    head = f"{found['last']}:{found['head']}"
    assert f"head: {head}" in told("verify", *place, "--head", head).output
    shown = told("show", "--limit", "2", *place).output.splitlines()
    assert sum("api.example.com" in line for line in shown) == 2
    assert all(len(line) <= 80 for line in shown)
    assert [json.loads(line)["seq"] for line in told("show", "--json", *place).output.splitlines()] == [1, 2, 3]
    put(tmp_path, *lines(tmp_path)[1:])
    wrong = told("verify", *place)
    assert (wrong.exit_code, "NOT INTACT" in wrong.output, "row 1 is missing" in wrong.output) == (1, True, True)
    assert not json.loads(told("verify", "--json", *place).output)["intact"]


def test_the_command_line_says_what_is_no_head(tmp_path: Path) -> None:
    for head in ("7", "\N{SUPERSCRIPT TWO}:" + "0" * 64, "1" * 5000 + ":" + "0" * 64):
        assert isinstance(told("verify", "--head", head, "--data-dir", str(tmp_path)).exception, InvalidInput)
    put(tmp_path, b"garbage\n")
    assert isinstance(told("show", "--data-dir", str(tmp_path)).exception, NotReady)
