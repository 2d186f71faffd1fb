"""The benchmark of routers, whole, on small files of our own: what was learned from one is scored on the other."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from edgewise.errors import InvalidInput
from router.arbiter.answers import groups_of
from tests.bench.router import __main__ as bench
from tests.bench.router import record
from tests.bench.router.record import make, recorded


def graded(path: Path, seed: int, *, answers: bool = False) -> Path:
    """The cloud is better at sums, and knows no more of birds; who is right is brief."""
    chance = np.random.default_rng(seed)
    lines = []
    for number in range(80):
        is_sum = bool(chance.random() < 0.5)
        prompt = f"What is {number} + {number * 7}?" if is_sum else f"Which bird sings in the {number}th night?"
        weak, strong = chance.random() < (0.1 if is_sum else 0.7), chance.random() < (0.9 if is_sum else 0.7)
        row: dict[str, object] = {"prompt": prompt, "weak": bool(weak), "strong": bool(strong)}
        if answers:
            row["weak_answer"] = f"It is {number}." if weak else "It depends on many things, which I cannot know."
        lines.append(json.dumps(row))
    path.write_text("\n".join(lines))
    return path


def test_what_is_learned_from_one_file_is_scored_on_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)  # embeddings are kept where it runs
    files = [str(graded(tmp_path / f"{seed}.jsonl", seed)) for seed in (1, 2)]
    monkeypatch.setattr(sys, "argv", ["router", "--train", files[0], "--test", files[1], "--resamples", "50"])
    bench.main()
    rows = {row["router"]: row for row in json.loads(capsys.readouterr().out)}
    assert set(rows) == {"random", "oracle", "length", "tfidf", "embedding", "ours"}
    assert all(row["n"] == 80 for row in rows.values())
    assert rows["oracle"]["apgr"]["value"] > rows["ours"]["apgr"]["value"] > 0.65


def test_answers_are_judged_by_what_was_learned_from_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    files = [str(graded(tmp_path / f"{seed}.jsonl", seed, answers=True)) for seed in (1, 2)]
    monkeypatch.setattr(sys, "argv", ["router", "--post", "--train", files[0], "--test", files[1], "--resamples", "50"])
    bench.main()
    rows = {row["router"]: row for row in json.loads(capsys.readouterr().out)}
    assert set(rows) == {"random", "oracle", "length", "tfidf", "embedding", "format", "ours"}
    assert rows["ours"]["apgr"]["value"] > 0.75
    assert rows["ours"]["difference"]["lo"] > -0.1


def test_without_answers_there_is_nothing_to_judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [str(graded(tmp_path / f"{seed}.jsonl", seed)) for seed in (1, 2)]
    monkeypatch.setattr(sys, "argv", ["router", "--post", "--train", files[0], "--test", files[1]])
    with pytest.raises(InvalidInput, match="has no weak_answer"):
        bench.main()


def test_a_record_is_of_real_answers_and_can_be_learned_from(tmp_path: Path) -> None:
    """It goes on where it broke off, and has all that trust looks at."""
    passage = "The lighthouse of Osk was built of granite in 1871."
    asked = {"question": "When was the lighthouse built?", "answers": [{"text": "1871", "answer_start": 45}]}
    article = {"title": "Osk", "paragraphs": [{"context": passage, "qas": [asked]}]}
    (tmp_path / "xquad_en.json").write_text(json.dumps({"data": [article]}))
    (tmp_path / "nq_open.jsonl").write_text(json.dumps({"question": "who wrote hamlet", "answer": ["Shakespeare"]}))
    out = tmp_path / "record.jsonl"
    make(tmp_path, out, samples=1, limit=1)
    first = recorded(out)
    assert {row["set"] for row in first} == {"facts", "xquad", "nq"}
    assert next(row for row in first if row["set"] == "xquad")["facts"] == [passage]
    make(tmp_path, out, samples=1, limit=2)
    assert recorded(out)[: len(first)] == first
    assert len(recorded(out)) == len(first) + 1
    labels = record.graded(out)
    assert groups_of(labels.answers) == ("form", "logprobs", "spread", "support", "samples")
    assert all(prompt == prompt.lower() for prompt in labels.prompts)


def test_nothing_to_measure_is_said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["router", "--train", "x.csv"])
    with pytest.raises(SystemExit):
        bench.main()
    assert "give --data, or --train and --test" in capsys.readouterr().err
