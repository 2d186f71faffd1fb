"""The demo on three of its questions, as a stranger would run it; all of them are `make demo`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from router import demo
from router.compare.comparison import ALL_MODES
from router.compare.questions import read_questions


@pytest.mark.timeout(300)
def test_the_demo_measures_every_mode(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "router", "demo", "--limit", "3", "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "stand-in" in ran.stdout
    assert "notional" in ran.stdout
    assert all(mode.partition("+")[0] in ran.stdout for mode in ALL_MODES)
    assert "predicted" in ran.stdout
    rows = [json.loads(line) for line in (tmp_path / "records.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {(row["id"], row["mode"]) for row in rows} == {
        (question.id, mode) for question in read_questions(demo.questions())[:3] for mode in ALL_MODES
    }
    assert not [row["error"] for row in rows if row["error"]]
    grounded = [row for row in rows if row["mode"] == "cloud_info_edge_rag"]
    assert {row["grounding"] for row in grounded} == {"GROUNDED"}
    summary = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert set(summary["modes"]) == set(ALL_MODES)
    assert (tmp_path / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_questions_cover_every_group() -> None:
    questions = read_questions(demo.questions())
    assert len(questions) >= 24
    assert {question.group for question in questions} == {"device", "cloud", "general", "steps", "unanswerable"}
    assert all(question.answerable == (question.group != "unanswerable") for question in questions)
