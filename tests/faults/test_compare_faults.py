"""Comparisons that are killed, or run out of disk: nothing answered is lost, asked twice, or without its calls."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from router.compare.rows import Row
from router.trace import Trace
from tests.bench.compare.recordings import MODES, write
from tests.stack import environment

COUNT = 40


# The size of files that Bash lets a command write, in KiB; beyond it writing fails, and kills nobody.
LITTLE_ROOM = ("bash", "-c", 'trap "" XFSZ; ulimit -f 400; exec "$0" "$@"')


def command(directory: Path, *before: str) -> subprocess.Popen[str]:
    files = {name: str(directory / f"{name}.jsonl") for name in ("questions", "edge", "cloud")}
    settings = {
        "EDGEWISE_EDGE__ENGINE": "replay", "EDGEWISE_EDGE__REPLAY_FILE": files["edge"],
        "EDGEWISE_CLOUD__BACKEND": "replay", "EDGEWISE_CLOUD__REPLAY_FILE": files["cloud"],
    }  # fmt: skip
    arguments = ("compare", "--questions", files["questions"], "--modes", ",".join(MODES), "--out", directory / "out")
    return subprocess.Popen(
        [*before, sys.executable, "-m", "router", *map(str, arguments)],
        env=environment(settings), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def lines(directory: Path) -> list[bytes]:
    path = directory / "out" / "records.jsonl"
    data = path.read_bytes() if path.exists() else b""
    return data[: data.rfind(b"\n") + 1].splitlines(keepends=True)


def kill_after(process: subprocess.Popen[str], directory: Path, count: int) -> None:
    """kill -9, to the command and to its children, when so many answers are there."""
    end = time.monotonic() + 60
    while len(lines(directory)) < count and process.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def check_whole(directory: Path) -> None:
    rows = [Row.model_validate_json(line) for line in lines(directory)]
    assert len(rows) == len({(row.id, row.mode) for row in rows}) == COUNT * len(MODES)
    assert not any(row.error for row in rows)
    trace = Trace.read(directory / "out")
    assert {key: answered.row for key, answered in trace.answers.items()} == {(row.id, row.mode): row for row in rows}
    assert all(trace.find(key, *pair) for pair, answered in trace.answers.items() for key in answered.calls)
    summary = json.loads((directory / "out" / "summary.json").read_text())
    assert {mode: found["n"] for mode, found in summary["modes"].items()} == dict.fromkeys(MODES, COUNT)


def test_a_comparison_that_is_killed_again_and_again_ends_whole(tmp_path: Path) -> None:
    write(tmp_path, COUNT)
    for count in (1, 50, 90):
        before = lines(tmp_path)
        kill_after(command(tmp_path), tmp_path, count)
        assert lines(tmp_path)[: len(before)] == before
    last = command(tmp_path)
    _, said = last.communicate(timeout=100)
    assert last.returncode == 0, said
    check_whole(tmp_path)


def test_a_disk_that_is_full_ends_it_with_a_word_and_loses_nothing(tmp_path: Path) -> None:
    write(tmp_path, COUNT)
    first = command(tmp_path, *LITTLE_ROOM)
    _, said = first.communicate(timeout=100)
    assert first.returncode == 1, said
    assert said.strip().splitlines()[-1].startswith("error: ")
    assert "Traceback" not in said
    answered = lines(tmp_path)
    assert 0 < len(answered) < COUNT * len(MODES)
    last = command(tmp_path)
    _, said = last.communicate(timeout=100)
    assert last.returncode == 0, said
    assert lines(tmp_path)[: len(answered)] == answered
    check_whole(tmp_path)
