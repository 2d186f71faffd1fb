"""The benchmark of routers, whole, on small files of our own: what was learned from one is scored on the other."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.bench.router import __main__ as bench


def graded(path: Path, seed: int) -> Path:
    """The cloud is better at sums, and knows no more of birds."""
    chance = np.random.default_rng(seed)
    lines = []
    for number in range(80):
        is_sum = bool(chance.random() < 0.5)
        prompt = f"What is {number} + {number * 7}?" if is_sum else f"Which bird sings in the {number}th night?"
        weak, strong = chance.random() < (0.1 if is_sum else 0.7), chance.random() < (0.9 if is_sum else 0.7)
        lines.append(json.dumps({"prompt": prompt, "weak": bool(weak), "strong": bool(strong)}))
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


def test_nothing_to_measure_is_said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["router", "--train", "x.csv"])
    with pytest.raises(SystemExit):
        bench.main()
    assert "give --data, or --train and --test" in capsys.readouterr().err
