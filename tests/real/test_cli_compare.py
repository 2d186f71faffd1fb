"""`compare` and `report` as a user runs them, on questions and documents that are not ours."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.stack import ABOUT_LIGHTHOUSE, ABOUT_NOTHING, ABOUT_WORKSHOP, LIGHTHOUSE, WORKSHOP, edgewise

MODES = ("edge_only", "cloud_only", "cloud_info_edge_rag")
QUESTIONS = (
    {"id": "head", "question": ABOUT_WORKSHOP, "answers": ["Odile Varga"], "group": "device"},
    {"id": "year", "question": ABOUT_LIGHTHOUSE, "answers": ["1871"], "scorer": "numeric", "group": "cloud"},
    {"id": "horse", "question": ABOUT_NOTHING, "answers": []},
    {"id": "rome", "question": "What is the capital of Italy?", "answers": ["Rome"], "scorer": "f1", "private": True},
    {"id": "left out", "question": "What is the capital of France?", "answers": ["Paris"]},
)
ROW = {
    "id", "mode", "answer", "author", "score", "cost_usd", "edge_tokens", "cloud_tokens", "flops", "first_shown_s",
    "first_kept_s", "total_s", "cloud_calls", "retractions", "confidence", "grounding", "cost_basis", "f1", "group",
    "private", "degraded", "error",
}  # fmt: skip
MODE = {
    "n", "errors", "accuracy", "f1", "cost_usd", "latency_s", "first_kept_s", "cloud_calls_per_question",
    "escalation_rate", "retraction_rate", "flops",
}  # fmt: skip
PAIR = {"a", "b", "metric", "n", "diff", "lo", "hi", "p", "p_holm", "n_needed"}


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    path = tmp_path / "q.jsonl"
    path.write_text("".join(json.dumps(question) + "\n" for question in QUESTIONS))
    return path


def test_a_comparison_of_ones_own_questions(tmp_path: Path, questions: Path) -> None:
    for name, text in (("docs/workshop.md", WORKSHOP), ("info/lighthouse.txt", LIGHTHOUSE)):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)
    out, home = tmp_path / "out", tmp_path / "home"
    done = edgewise(
        "compare", "--questions", questions, "--modes", ",".join(MODES), "--limit", "4", "--seed", "7",
        "--docs", tmp_path / "docs", "--info-docs", tmp_path / "info", "--embedded-cloud", "--out", out, data_dir=home,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "stand-in" in done.stdout
    assert not home.exists(), "a comparison leaves the user's data alone"

    rows = {(row["id"], row["mode"]): row for row in map(json.loads, (out / "records.jsonl").read_text().splitlines())}
    assert len(rows) == 3 + 3 + 1 + 3
    assert all(set(row) >= ROW for row in rows.values())
    informed = {key: rows[key, "cloud_info_edge_rag"] for key in ("head", "year", "horse", "rome")}
    assert informed["head"]["score"] == informed["year"]["score"] == informed["horse"]["score"] == 1
    assert informed["year"]["cloud_calls"] == 1
    assert informed["horse"]["grounding"] == "ABSTAINED"
    assert rows["rome", "cloud_only"]["error"] == "FAILED_PRECONDITION"
    assert rows["rome", "cloud_only"]["score"] == 0
    assert informed["rome"]["private"]
    assert informed["rome"]["cloud_calls"] == 0

    summary = json.loads((out / "summary.json").read_text())
    assert set(summary["modes"]) == set(MODES)
    for found in summary["modes"].values():
        assert set(found) >= MODE
        assert set(found["accuracy"]) >= {"mean", "lo", "hi"}
        assert set(found["latency_s"]) >= {"p50", "p95"}
    assert summary["modes"]["cloud_only"]["errors"] == 1
    assert all(set(pair) >= PAIR for pair in summary["pairs"])
    assert set(summary["groups"]) >= {"device", "cloud"}
    assert len(summary["environment"]["question_set"]) == 64

    report = (out / "report.html").read_text()
    assert "http://" not in report.replace("http://www.w3.org", "")
    (out / "report.html").unlink()
    (out / "summary.json").unlink()
    again = edgewise("report", out, data_dir=home)
    assert (again.returncode, again.stdout) == (0, done.stdout)
    assert json.loads((out / "summary.json").read_text()) == summary
    assert (out / "report.html").read_text() == report


def test_a_judge_a_warm_pass_and_a_replay_of_it_all(tmp_path: Path) -> None:
    lines = [
        json.dumps({"id": "head", "question": ABOUT_WORKSHOP, "answers": ["Odile Varga"]}),
        "nonsense",
        json.dumps({"id": "rome", "question": "What is the capital of Italy?", "answers": ["Rome"], "scorer": "judge"}),
    ]
    (tmp_path / "q.jsonl").write_text("\n".join(lines))
    (tmp_path / "workshop.md").write_text(WORKSHOP)
    out, home = tmp_path / "out", tmp_path / "home"
    alone = ("compare", "--questions", tmp_path / "q.jsonl", "--modes", "edge_only", "--skip-bad", "--judge", "cloud")
    refused = edgewise(*alone, "--out", tmp_path / "alone", data_dir=home)
    assert (refused.returncode, "the cloud cannot judge" in refused.stderr) == (1, True), refused.stderr
    asked = (
        "compare", "--questions", tmp_path / "q.jsonl", "--modes", "edge_only,cloud_info_edge_rag", "--docs",
        tmp_path / "workshop.md", "--embedded-cloud", "--warm", "--out", out,
    )  # fmt: skip
    refused = edgewise(*asked, "--judge", "edge", data_dir=home)
    assert (refused.returncode, "line 2" in refused.stderr) == (2, True)
    refused = edgewise(*asked, "--skip-bad", data_dir=home)
    assert (refused.returncode, "--judge" in refused.stderr) == (2, True)
    done = edgewise(*asked, "--skip-bad", "--judge", "edge", "--concurrency", "2", data_dir=home)
    assert done.returncode == 0, done.stderr
    assert "left out: line 2" in done.stderr

    rows = {(row["id"], row["mode"]): row for row in map(json.loads, (out / "records.jsonl").read_text().splitlines())}
    modes = ("edge_only", "cloud_info_edge_rag", "edge_only (warm)", "cloud_info_edge_rag (warm)")
    assert set(rows) == {(name, mode) for name in ("head", "rome") for mode in modes}
    assert rows["head", "cloud_info_edge_rag (warm)"]["score"] == 1
    assert all(rows["rome", mode]["judged"] == rows["rome", mode]["score"] for mode in modes)
    summary = json.loads((out / "summary.json").read_text())
    environment = summary["environment"]
    assert (environment["skipped"], environment["warm"], environment["concurrency"]) == (1, True, 2)
    assert environment["judging"]["side"] == "edge"
    assert environment["judging"]["agreement"]["n"] == 2, "the answers that were scored without a judge, too"

    again = edgewise("replay", out, "--mode", "all", "--out", tmp_path / "again", "--json", data_dir=home)
    assert again.returncode == 0, again.stderr
    replayed = json.loads(again.stdout)
    assert (replayed["modes"], replayed["pairs"]) == (summary["modes"], summary["pairs"])
    assert (tmp_path / "again" / "missing.jsonl").read_text() == ""
    assert not home.exists(), "neither touches the user's data"
    for arguments, word in ((("--out", out), "choose another --out"), (("--threshold", "0.3"), "--policy FILE.toml")):
        refused = edgewise("replay", out, "--mode", "edge_only", *arguments, data_dir=home)
        assert (refused.returncode != 0, word in refused.stderr) == (True, True), refused.stderr
    partly = edgewise("replay", out, "--mode", "cloud_only", data_dir=home)
    assert (partly.returncode, "2 calls are missing" in partly.stderr) == (1, True)


def test_what_cannot_be_compared_is_said_at_once(tmp_path: Path, questions: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"id": "a", "question": "x", "answers": ["y"]}\n{"id": "b"}\nnonsense\n')
    out = tmp_path / "out"
    refusals: tuple[tuple[int, tuple[str, ...], tuple[str | Path, ...]], ...] = (
        (2, ("line 2", "line 3"), ("--questions", bad)),
        (2, ("no mode `best`", "edge_only"), ("--questions", questions, "--modes", "edge_only,best")),
        (2, ("missing does not exist",), ("--questions", questions, "--docs", tmp_path / "missing")),
        (2, ("read as documents", "another --out"), ("--questions", questions, "--docs", tmp_path)),
    )
    for code, words, arguments in refusals:
        done = edgewise("compare", *arguments, "--out", out)
        assert (done.returncode, done.stdout) == (code, ""), done.stderr
        assert all(word in done.stderr for word in words)
        assert not out.exists()
    nothing = edgewise("report", tmp_path)
    assert (nothing.returncode, nothing.stdout) == (1, "")
    assert "holds no comparison" in nothing.stderr
