"""`edgewise experiment`, from start to stop: with a daemon, and on the same data without one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.stack import Daemon, edgewise, up

QUESTION = "What is the capital of France?"
ARMS = ("--arm", "edge_only=0.5", "--arm", "edge_only+cot=0.5")


def told(*arguments: str, data_dir: Path) -> str:
    done = edgewise("experiment", *arguments, data_dir=data_dir)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def asked(data_dir: Path, conversation: str, *more: str) -> dict[str, Any]:
    done = edgewise("ask", QUESTION, "--conversation", conversation, "--json", *more, data_dir=data_dir)
    assert done.returncode == 0, done.stderr
    record = edgewise("log", json.loads(done.stdout)["record_id"], data_dir=data_dir)
    found: dict[str, Any] = json.loads(record.stdout)
    return found


def refused(code: int, words: str, *arguments: str, data_dir: Path) -> None:
    done = edgewise("experiment", *arguments, data_dir=data_dir)
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_an_experiment_from_start_to_stop(tmp_path: Path) -> None:
    place = tmp_path / "data"
    with up(place) as daemon:
        refused_ones(daemon)
        assert "pilot: running" in told("start", "pilot", *ARMS, "--unit", "conversation", data_dir=place)
        refused(1, "pilot is running", "start", "second", *ARMS, data_dir=place)
        records = [asked(place, f"c{number}") for number in range(6)]
        assert {record["experiment"] for record in records} == {"pilot"}
        assert {record["mode"] for record in records} == {"edge_only", "edge_only+cot"}
        assert asked(place, "c0", "--mode", "edge_only")["experiment"] == ""
        for record in records:
            assert edgewise("grade", record["record_id"], "up", data_dir=place).returncode == 0
        text = told("status", data_dir=place)
        assert "after 6 graded conversations nothing can be said yet of edge_only+cot" in " ".join(text.split())
        assert all(len(line) <= 80 for line in text.splitlines())
        before = json.loads(told("status", "pilot", "--json", data_dir=place))
        assert [one["units"] for one in before["differences"]] == [6]
    # The daemon is gone; its data is not.
    assert json.loads(told("status", "--json", data_dir=place))["differences"] == before["differences"]
    assert asked(place, "c1")["arm"] == records[1]["arm"]
    assert "because: stopped by hand" in told("stop", "pilot", data_dir=place)
    assert "pilot: stopped" in told("status", data_dir=place)
    refused(2, "stopped already", "stop", "pilot", data_dir=place)
    refused(1, "new name", "start", "pilot", *ARMS, data_dir=place)


def refused_ones(daemon: Daemon) -> None:
    place = daemon.data_dir
    refused(1, "no experiments yet", "status", data_dir=place)
    refused(1, "no experiment is running", "stop", data_dir=place)
    refused(2, "no mode `best`", "start", "x", "--arm", "edge_only=0.5", "--arm", "best=0.5", data_dir=place)
    refused(2, "add up to 0.9", "start", "x", "--arm", "edge_only=0.5", "--arm", "auto=0.4", data_dir=place)
    refused(2, "harm", "start", "x", *ARMS, "--harm", "7", data_dir=place)
    refused(2, "no name", "start", "X y", *ARMS, data_dir=place)
    refused(2, "needs shadow_usd", "start", "x", *ARMS, "--shadow", "auto", data_dir=place)
    refused(2, "cannot be the shadow", "start", "x", *ARMS, "--shadow", "auto", "--shadow-usd", "1", data_dir=place)
    refused(2, "--unit", "start", "x", *ARMS, "--unit", "planet", data_dir=place)
