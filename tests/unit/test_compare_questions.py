from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgewise.errors import InvalidInput, NotFound
from edgewise.types import Grounding, Privacy
from router import demo
from router.compare.questions import Graded, fingerprint, question_lines, read_questions


def write(path: Path, *lines: object) -> Path:
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), encoding="utf-8")
    return path


def read_one(tmp_path: Path, **fields: object) -> Graded:
    (question,) = read_questions(write(tmp_path / "q.jsonl", fields))
    return question


def test_a_question_becomes_a_request(tmp_path: Path) -> None:
    graded = read_one(tmp_path, id="a", question="Who?", answers=["Ilka"], private=True, group="crew", source="ours")
    asked = graded.asked("agent", "r1")
    assert (asked.text, asked.mode, asked.request_id, asked.privacy) == ("Who?", "agent", "r1", Privacy.PRIVATE)
    assert graded.group == "crew"


def test_privacy_is_unknown_unless_stated(tmp_path: Path) -> None:
    assert read_one(tmp_path, question="Who?", answers=[]).asked("auto", "").privacy is Privacy.UNKNOWN
    assert read_one(tmp_path, question="Who?", answers=[], private=False).asked("auto", "").privacy is Privacy.PUBLIC


def test_turns_are_history_and_a_question(tmp_path: Path) -> None:
    turns = ["Who steers?", {"role": "assistant", "text": "Ilka"}, "And who cooks?"]
    asked = read_one(tmp_path, id="a", turns=turns, answers=["Bettina"]).asked("edge_only", "")
    assert asked.text == "And who cooks?"
    assert [(turn.role, turn.text.value) for turn in asked.history] == [("user", "Who steers?"), ("assistant", "Ilka")]


def test_choices_are_asked_with_their_letters_once(tmp_path: Path) -> None:
    fields = {"answers": ["B"], "choices": ["bow", "stern"], "scorer": "choice"}
    assert read_one(tmp_path, question="Where?", **fields).text == "Where?\nA. bow\nB. stern"
    assert read_one(tmp_path, question="At the bow or the stern?", **fields).text == "At the bow or the stern?"


def test_an_id_defaults_to_the_line_and_may_be_a_number(tmp_path: Path) -> None:
    path = write(
        tmp_path / "q.jsonl", "", {"question": "a?", "answers": []}, {"id": 7, "question": "b?", "answers": []}
    )
    assert [question.id for question in read_questions(path)] == ["2", "7"]


def test_unanswerable_is_right_exactly_when_abstained(tmp_path: Path) -> None:
    graded = read_one(tmp_path, question="Which cat?", answers=[])
    assert graded.score("none", Grounding.ABSTAINED) == graded.f1("none", Grounding.ABSTAINED) == 1
    assert graded.score("none", Grounding.GROUNDED) == graded.score("none", None) == 0


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("nonsense", "not a JSON object"),
        ("[1]", "not a JSON object"),
        ({"id": "a", "answers": []}, "either `question` or `turns`"),
        ({"id": "a", "question": "x?"}, "answers: missing"),
        ({"id": "a", "question": "x?", "answers": "y"}, "answers"),
        ({"id": "a", "question": "x?", "answers": ["..."]}, "no word"),
        ({"id": "a", "question": "", "answers": []}, "question: it is empty"),
        ({"id": "a", "question": "  ", "answers": []}, "question of the user"),
        ({"id": "a", "turns": [{"role": "assistant", "text": "x"}], "answers": []}, "question of the user"),
        ({"id": "a", "question": "x?", "answers": ["y"], "scorer": "magic"}, "scorer: there is no such scorer"),
        ({"id": "a", "question": "x?", "answers": None}, "accepted strings"),
        ({"id": "a", "question": "x?", "answers": ["y"], "scorer": "numeric"}, "no number"),
        ({"id": "a", "question": "x?", "answers": ["y"], "scorer": "choice"}, "two `choices`"),
        ({"id": "a", "question": "x?", "answers": ["y"], "scorer": "choice", "choices": ["p", "q"]}, "none of the"),
        ('{"id": "a", "question": "\\ud800", "answers": []}', "turns.0.text"),
    ],
)
def test_a_malformed_line_is_refused_with_number_and_reason(tmp_path: Path, line: object, reason: str) -> None:
    path = write(tmp_path / "q.jsonl", {"id": "fine", "question": "x?", "answers": ["y"]}, line)
    with pytest.raises(InvalidInput, match="line 2") as raised:
        read_questions(path)
    assert reason in raised.value.message


def test_a_duplicate_id_names_both_lines(tmp_path: Path) -> None:
    line = {"id": "a", "question": "x?", "answers": []}
    with pytest.raises(InvalidInput, match="line 3: the id 'a' is taken by line 1"):
        read_questions(write(tmp_path / "q.jsonl", line, "", line))


def test_many_faults_are_counted_and_not_all_repeated(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"and 15 more.*\n.*--skip-bad"):
        read_questions(write(tmp_path / "q.jsonl", *["x" * 1000] * 20))


def test_a_file_that_is_missing_empty_or_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_questions(tmp_path / "none.jsonl")
    with pytest.raises(InvalidInput, match="no question"):
        read_questions(write(tmp_path / "q.jsonl", ""))
    (tmp_path / "q.jsonl").write_bytes(b'{"question": "\xff"}')
    with pytest.raises(InvalidInput, match="line 1: this is not UTF-8"):
        read_questions(tmp_path / "q.jsonl")
    with pytest.raises(InvalidInput, match="cannot read"):
        read_questions(tmp_path)


def test_the_fingerprint_is_of_the_questions_and_not_of_the_file(tmp_path: Path) -> None:
    question = read_questions(write(tmp_path / "a.jsonl", '{"id": "a",   "question": "x?", "answers": ["y"]}'))
    same = read_questions(write(tmp_path / "b.jsonl", '{"answers": ["y"], "id": "a", "turns": ["x?"]}', ""))
    other = read_questions(write(tmp_path / "c.jsonl", '{"answers": ["z"], "id": "a", "turns": ["x?"]}'))
    assert fingerprint(question) == fingerprint(same) != fingerprint(other)


def test_canonical_lines_read_back_the_same(tmp_path: Path) -> None:
    questions = read_questions(demo.questions())
    assert read_questions(write(tmp_path / "q.jsonl", *question_lines(questions))) == questions


def test_the_demo_has_questions_of_every_kind_and_their_documents() -> None:
    questions = read_questions(demo.questions())
    groups = [question.group for question in questions]
    assert len(questions) >= 24
    assert set(groups) == {"device", "cloud", "general", "steps", "unanswerable"}
    assert [question.group for question in questions if not question.answerable] == ["unanswerable"] * 4
    assert sum(1 for question in questions if question.private) == 2
    device = " ".join(path.read_text(encoding="utf-8") for path in demo.device_documents().iterdir())
    cloud = " ".join(path.read_text(encoding="utf-8") for path in demo.cloud_documents().iterdir())
    for question in questions:
        if question.group in {"device", "cloud"}:
            own, other = (device, cloud) if question.group == "device" else (cloud, device)
            assert question.answers
            assert question.score(own, None) == 1, question.id
            if not question.answers[0].isdecimal() and question.answers[0] != "three":
                assert question.score(other, None) == 0, question.id


def test_lines_at_fault_are_left_out_where_that_is_wanted(tmp_path: Path) -> None:
    good = {"id": "a", "question": "x?", "answers": ["y"]}
    path = write(tmp_path / "q.jsonl", good, "nonsense", good, {"id": "b", "question": "z?", "answers": ["y"]})
    faults = list[str]()
    assert [question.id for question in read_questions(path, faults.append)] == ["a", "b"]
    assert [fault.partition(":")[0] for fault in faults] == ["line 2", "line 3"]
    with pytest.raises(InvalidInput, match="has no question"):
        read_questions(write(tmp_path / "bad.jsonl", "nonsense"), faults.append)


def test_what_only_a_judge_can_score_has_no_score_without_one() -> None:
    question = Graded.model_validate({"id": "a", "turns": [{"text": "x?"}], "answers": ["y"], "scorer": "judge"})
    assert question.is_judged
    assert question.score("y", None) is None
    assert question.f1("y", None) == 1
    nobody_knows = question.model_copy(update={"answers": None, "scorer": "contains"})
    assert (nobody_knows.score("y", None), nobody_knows.f1("y", None), nobody_knows.answerable) == (None, None, True)
