"""Files of graded questions: both layouts, what is optional, and everything that can be wrong with them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgewise.errors import InvalidInput, NotFound
from router.arbiter.labels import Labels, learnable, read_labels
from router.arbiter.metrics import Outcomes

ROWS = [
    {"prompt": "Who, then?", "weak": 0, "strong": 1, "cost_weak": 0.0, "cost_strong": 0.01, "group": "people"},
    {"prompt": 'A "quoted"\nline', "weak": 1, "strong": 0.5, "cost_weak": 0.0, "cost_strong": 0.02, "group": "lines"},
]


def written(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def json_lines(*rows: object) -> str:
    return "\n".join(json.dumps(row) for row in rows)


def refusal(path: Path) -> str:
    with pytest.raises(InvalidInput) as refused:
        read_labels([path])
    return refused.value.message


def test_json_lines(tmp_path: Path) -> None:
    labels = read_labels([written(tmp_path / "a.jsonl", json_lines(*ROWS) + "\n\n")])
    assert labels.prompts == ("Who, then?", 'A "quoted"\nline')
    assert labels.outcomes.weak.tolist() == [0, 1]
    assert labels.outcomes.strong.tolist() == [1, 0.5]
    assert labels.outcomes.strong_usd is not None
    assert labels.outcomes.strong_usd.tolist() == [0.01, 0.02]
    assert labels.groups == ("people", "lines")
    assert labels.answers == ()


def test_csv_says_the_same(tmp_path: Path) -> None:
    text = 'prompt,weak,strong,cost_weak,cost_strong,group,other\n"Who, then?",False,TRUE,0,0.01,people,x\n'
    text += '"A ""quoted""\nline",1,.5,0,0.02,lines,y\n'
    from_csv = read_labels([written(tmp_path / "a.csv", "\ufeff" + text)])
    from_json = read_labels([written(tmp_path / "a.jsonl", json_lines(*ROWS))])
    assert from_csv.prompts == from_json.prompts
    assert from_csv.outcomes.weak.tolist() == from_json.outcomes.weak.tolist()
    assert from_csv.groups == from_json.groups
    assert from_csv.digest != from_json.digest


@pytest.mark.parametrize("char", ["\u2028", "\x0b", "\x85"])
def test_only_line_ends_end_lines(tmp_path: Path, char: str) -> None:
    prompt = f"one{char}two"
    for name, text in (
        ("a.csv", f"prompt,weak,strong\r\n{prompt},1,0\r\n"),
        ("a.jsonl", json.dumps({"prompt": prompt, "weak": 1, "strong": 0}, ensure_ascii=False)),
    ):
        assert read_labels([written(tmp_path / name, text)]).prompts == (prompt,)


def test_several_files_are_one_set(tmp_path: Path) -> None:
    first = written(tmp_path / "a.jsonl", json_lines(ROWS[0]))
    second = written(tmp_path / "b.jsonl", json_lines({"prompt": "x", "weak": 1, "strong": 1}))
    labels = read_labels([first, second])
    assert len(labels) == 2
    assert labels.groups == ()
    assert labels.outcomes.strong_usd is None  # of one question it is not known


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.csv", "prompt,weak\nx,1\n", "a.csv:1: has no column strong; its header says prompt, weak"),
        ("a.csv", "", "has no column prompt, weak, strong; its header says nothing"),
        ("a.csv", 'prompt,weak,strong\n"x,1,1\n', "is not CSV"),
        ("a.jsonl", json_lines(ROWS[0], {"weak": 1, "strong": 1}), "a.jsonl:2: has no prompt"),
        ("a.jsonl", '{"prompt": "x", "weak": NaN, "strong": 1}', "weak is nan"),
        ("a.csv", "prompt,weak,strong\nx,nan,1\n", "weak is 'nan', and must be from 0 to 1"),
        ("a.csv", "prompt,weak,strong\nx,1\n", "strong is None"),
        ("a.jsonl", json_lines({"prompt": "x", "weak": 2, "strong": 1}), "weak is 2"),
        ("a.jsonl", json_lines({"prompt": "x", "weak": 10**400, "strong": 1}), "weak is 1000"),
        ("a.jsonl", json_lines({"prompt": "x", "weak": 1, "strong": [1]}), r"strong is \[1\]"),
        ("a.jsonl", json_lines(dict(ROWS[0], cost_strong=-1)), "cost_strong is -1"),
        ("a.jsonl", json_lines(dict(ROWS[0], prompt="\ud800")), "lone surrogate"),
        ("a.jsonl", "[1]", "is not a JSON object"),
        ("a.jsonl", "[" * 100_000, "is not a JSON object"),
        ("a.jsonl", b"\xff\xfe", "is not UTF-8"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, name: str, text: str | bytes, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        read_labels([written(tmp_path / name, text)])


def test_of_many_faults_five_are_shown(tmp_path: Path) -> None:
    message = refusal(written(tmp_path / "a.jsonl", json_lines(*[{}] * 12)))
    assert message.count("has no prompt") == 5
    assert message.endswith("... and 7 more")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no file of labels at"):
        read_labels([tmp_path / "none.csv"])
    assert "cannot read the labels" in refusal(tmp_path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(data=st.binary(max_size=80), suffix=st.sampled_from([".csv", ".jsonl"]))
def test_any_bytes_are_labels_or_refused(tmp_path: Path, data: bytes, suffix: str) -> None:
    for start in (b"", b"prompt,weak,strong\n", b'{"prompt": "x", "weak": 1, "strong": 1}\n'):
        try:
            labels = read_labels([written(tmp_path / f"any{suffix}", start + data)])
        except InvalidInput:
            continue
        assert all(0 <= value <= 1 for value in (*labels.outcomes.weak, *labels.outcomes.strong))


def some(count: int, weak: list[int]) -> Labels:

    values = np.resize(np.array(weak, np.float64), count)
    return Labels(tuple(map(str, range(count))), Outcomes(values, np.ones(count)))


def test_what_nothing_can_be_learned_from() -> None:
    with pytest.raises(InvalidInput, match="10 graded questions are too few"):
        learnable(some(10, [0, 1]))
    for weak in ([0], [1]):
        with pytest.raises(InvalidInput, match="nothing to learn"):
            learnable(some(100, weak))
    labels = some(100, [0, 1])
    assert learnable(labels) is labels
    assert math.isclose(labels.take(np.arange(50)).outcomes.weak.mean(), 0.5)
