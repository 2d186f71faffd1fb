"""Files of graded questions: both layouts, what is optional, and everything that can be wrong with them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgewise.errors import InvalidInput, NotFound
from router.arbiter.answers import Answer
from router.arbiter.labels import FOR_GAIN, FOR_TRUST, Labels, learnable, learnable_answers, read_labels
from router.arbiter.metrics import Floats, Outcomes

ROWS = [
    {"prompt": "Who, then?", "weak": 0, "strong": 1, "cost_weak": 0.0, "cost_strong": 0.01, "group": "people"},
    {"prompt": 'A "quoted"\nline', "weak": 1, "strong": 0.5, "cost_weak": 0.0, "cost_strong": 0.02, "group": "lines"},
]


def written(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def json_lines(*rows: object) -> str:
    return "\n".join(json.dumps(row) for row in rows)


def refusal(path: Path, needed: Sequence[str] = FOR_GAIN) -> str:
    with pytest.raises(InvalidInput) as refused:
        read_labels([path], needed)
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
        ("a.csv", "prompt,weak,strong\nx,1\n", "has no strong"),
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


# --- answers ----------------------------------------------------------------------------------------------------------

ANSWERED = {
    "prompt": "Who, then?",
    "weak": True,
    "weak_answer": "Ilka",
    "logprobs": [-0.5, -1],
    "entropies": [0.1, 0.2],
    "margins": [0.9, 0.8],
    "facts": ["Ilka sails."],
    "samples": ["Ilka", "Jan"],
    "finished": False,
    "group": 7,
}


def test_all_that_is_known_of_an_answer_is_read(tmp_path: Path) -> None:
    labels = read_labels([written(tmp_path / "a.jsonl", json_lines(ANSWERED))], FOR_TRUST)
    assert labels.answers == (
        Answer(
            "Who, then?", "Ilka", facts=("Ilka sails.",), logprobs=(-0.5, -1), entropies=(0.1, 0.2),
            margins=(0.9, 0.8), samples=("Ilka", "Jan"), finished=False,
        ),
    )  # fmt: skip
    assert labels.groups == ("7",)
    assert labels.outcomes.weak.tolist() == [1.0]
    assert np.isnan(labels.outcomes.strong).all()


def test_an_answer_alone_is_enough_for_trust(tmp_path: Path) -> None:
    row = {"prompt": "x", "weak": 0, "weak_answer": "", "facts": None, "logprobs": None, "strong": None}
    labels = read_labels([written(tmp_path / "a.jsonl", json_lines(row))], FOR_TRUST)
    assert labels.answers == (Answer("x", ""),)
    text = "prompt,weak,weak_answer,strong\nx,0,It is y,\n"
    assert read_labels([written(tmp_path / "a.csv", text)], FOR_TRUST).answers == (Answer("x", "It is y"),)


def test_answers_and_groups_are_of_all_rows_or_none(tmp_path: Path) -> None:
    rows = [dict(ANSWERED, strong=1), {"prompt": "x", "weak": 1, "strong": 1}]
    labels = read_labels([written(tmp_path / "a.jsonl", json_lines(*rows))])
    assert labels.answers == ()
    assert labels.groups == ()
    assert len(labels) == 2


def test_some_labels_keep_their_answers(tmp_path: Path) -> None:
    rows = [dict(ANSWERED, prompt=str(number), group=str(number)) for number in range(4)]
    labels = read_labels([written(tmp_path / "a.jsonl", json_lines(*rows))], FOR_TRUST)
    some = labels.take(np.array([3, 1]))
    assert [answer.question for answer in some.answers] == [*some.prompts] == [*some.groups] == ["3", "1"]
    assert some.digest == labels.digest


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"weak_answer": None}, "has no weak_answer"),
        ({"weak_answer": 7}, "has no weak_answer"),
        ({"weak": None}, "has no weak"),
        ({"strong": 2}, "strong is 2"),
        ({"logprobs": "-0.5"}, "logprobs must be a list of numbers, one a token"),
        ({"logprobs": [-0.5, "-0.5"]}, "logprobs must be a list of numbers"),
        ({"logprobs": [-0.5, math.nan]}, "logprobs must be a list of numbers"),
        ({"entropies": [math.inf]}, "entropies must be a list of numbers"),
        ({"margins": [None]}, "margins must be a list of numbers"),
        ({"margins": {"a": 1}}, "margins must be a list of numbers"),
        ({"margins": [10**400]}, "margins must be a list of numbers"),
        ({"logprobs": [0.5]}, "logprobs must not be above 0"),
        ({"entropies": [-0.5]}, "entropies must not be below 0"),
        ({"weak_answer": "half \ud800"}, "has a weak_answer with half of a character"),
        ({"samples": ["half \ud800"]}, "samples must be a list of texts of whole characters"),
        ({"facts": "one"}, "facts must be a list of texts"),
        ({"samples": ["one", 2]}, "samples must be a list of texts"),
    ],
)
def test_what_is_wrong_with_an_answer_is_said_with_its_line(
    tmp_path: Path, changed: dict[str, object], says: str
) -> None:
    path = written(tmp_path / "a.jsonl", json_lines(ANSWERED, ANSWERED | changed, ANSWERED))
    assert f"a.jsonl:2: {says}" in refusal(path, FOR_TRUST)


def test_without_the_column_of_answers_there_is_no_trust(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "prompt,weak,strong\nx,1,1\n")
    assert "has no column weak_answer; its header says prompt, weak, strong" in refusal(path, FOR_TRUST)
    assert len(read_labels([path])) == 1


def answered(right: Floats) -> Labels:
    answers = tuple(Answer("why?", "so") for _ in right)
    return Labels(("why?",) * len(right), Outcomes(right, np.full(len(right), np.nan)), answers)


@pytest.mark.parametrize(
    ("right", "says"),
    [
        (np.resize([0.0, 1.0], 49), "49 graded answers are too few to learn from; grade at least 50"),
        (np.resize([0.0, 0.5, 1.0], 60), "grades of 0 or 1, nothing between"),
        (np.full(60, np.nan), "grades of 0 or 1"),
        (np.ones(60), "all 60 answers are right"),
        (np.zeros(60), "all 60 answers are wrong"),
    ],
)
def test_answers_that_nothing_can_be_learned_from(right: Floats, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        learnable_answers(answered(right))


def test_right_and_wrong_answers_can_be_learned_from() -> None:
    learnable_answers(answered(np.resize([0.0, 1.0], 50)))


def test_without_answers_there_is_nothing_to_trust() -> None:
    with pytest.raises(InvalidInput, match="weak_answer"):
        learnable_answers(replace(answered(np.resize([0.0, 1.0], 50)), answers=()))


def test_without_the_cloud_s_grades_there_is_no_gain() -> None:
    with pytest.raises(InvalidInput, match="`strong` is known"):
        learnable(answered(np.resize([0.0, 1.0], 50)))
