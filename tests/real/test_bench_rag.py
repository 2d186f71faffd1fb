"""The benchmark of the edge's knowledge, whole, on tiny sets in the layouts that it takes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.bench.rag import __main__ as bench
from tests.bench.rag import report
from tests.bench.rag.sets import squad
from tests.bench.rag.shown import contradictions, findings

_HARBOUR = {
    "The lighthouse of Tirvale was built in 1871 from grey granite.": ("When was the lighthouse built?", "1871"),
    "The keeper of the Tirvale light, Odile Marchetti, counted passing ships.": (
        "Who counted passing ships?",
        "Odile Marchetti",
    ),
}
_ORCHARD = {
    "The orchards of Sennbach were planted in 1794 by monks.": ("When were the orchards planted?", "1794"),
    "A frost in Sennbach was survived by a single tree, which Ansgar Holm grafted.": (
        "Who grafted the tree that survived the frost?",
        "Ansgar Holm",
    ),
}


@pytest.fixture
def squad_file(tmp_path: Path) -> Path:
    def article(title: str, facts: dict[str, tuple[str, str]]) -> dict[str, Any]:
        return {
            "title": title,
            "paragraphs": [
                {
                    "context": text,
                    "qas": [{"question": asked, "answers": [{"text": said, "answer_start": text.index(said)}]}],
                }
                for text, (asked, said) in facts.items()
            ],
        }

    path = tmp_path / "small.json"
    path.write_text(json.dumps({"data": [article("Tirvale", _HARBOUR), article("Sennbach", _ORCHARD)]}))
    return path


@pytest.fixture
def hops(tmp_path: Path) -> tuple[Path, Path]:
    questions, corpus = tmp_path / "hops.json", tmp_path / "hops_corpus.json"
    first = {
        "_id": "one",
        "question": "In which town was the keeper of the light of Tirvale born?",
        "answer": "Vesoul",
        "supporting_facts": [["Tirvale", 0], ["Odile Marchetti", 0]],
    }
    questions.write_text(json.dumps([first]))
    corpus.write_text(
        json.dumps(
            {
                "Tirvale": ["The keeper of the light of Tirvale was Odile Marchetti."],
                "Odile Marchetti": ["Odile Marchetti was born in Vesoul.", " She died at sea."],
                "Sennbach": ["The orchards of Sennbach were planted by monks."],
            }
        )
    )
    return questions, corpus


def _run(monkeypatch: pytest.MonkeyPatch, out: Path, *arguments: object) -> dict[str, Any]:
    monkeypatch.setattr(sys, "argv", ["rag", "--out", str(out), *map(str, arguments)])
    bench.main()
    result: dict[str, Any] = json.loads(out.read_text())
    return result


def _row(result: dict[str, Any], **fields: object) -> dict[str, Any]:
    (row,) = [row for row in result["rows"] if all(row.get(name) == value for name, value in fields.items())]
    found: dict[str, Any] = row
    return found


def test_a_squad_file_is_measured_in_every_arm(
    squad_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = _run(monkeypatch, tmp_path / "out.json", "--squad", squad_file)
    row = _row(result, measured="retrieval", order="edgewise")
    assert row["recall5"] == row["allgold5"] == 1.0
    assert row["weights"] == "shipped"
    assert 0.5 < row["ndcg10"] <= 1.0
    assert {row["without"] for row in result["rows"] if row["measured"] == "noanswer"} == {
        "article_gone",
        "passage_gone",
    }
    arms = {row["arm"]: row for row in result["rows"] if row["measured"] == "answers"}
    assert set(arms) == {"closed", "oracle", "retrieved", "noisy", "unanswerable", "counterfactual"}
    assert arms["oracle"]["n"] == arms["unanswerable"]["n"] == 4
    assert arms["oracle"]["contained"] >= 0.5
    assert arms["closed"]["contained"] == 0.0
    assert arms["unanswerable"]["refused"] >= 0.5
    assert arms["counterfactual"]["contained"] > arms["counterfactual"]["remembered"]
    assert result["summary"].keys() == report.TARGETS.keys()
    assert result["summary"]["ingest_passages_per_s"] is None
    told = report.markdown(result)
    assert "| `ingest_passages_per_s` | >= 25 a core | not measured |" in told
    assert all(what in told for arm, what in report._ARMS.items() if arm in arms)


def test_a_multihop_file_is_measured_with_both_passages_and_with_one(
    hops: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = _run(monkeypatch, tmp_path / "out.json", "--multihop", *hops, "--arm", "retrieval", "--arm", "answers")
    assert _row(result, measured="retrieval", order="edgewise")["allgold5"] == 1.0
    assert {row["arm"] for row in result["rows"] if row["measured"] == "answers"} == {
        "closed", "oracle", "half", "retrieved", "noisy",
    }  # fmt: skip


def test_a_contradicting_passage_says_something_else_of_the_same_shape(squad_file: Path) -> None:
    questions = squad(squad_file)
    changed = contradictions(questions.passages, questions.asked)
    assert [(one.true, one.asked.answers) for one in changed] == [
        (("1871",), ("1794",)),
        (("Odile Marchetti",), ("Ansgar Holm",)),
        (("1794",), ("1871",)),
        (("Ansgar Holm",), ("Odile Marchetti",)),
    ]
    assert changed[0].passage.text == "The lighthouse of Tirvale was built in 1794 from grey granite."


def test_noise_comes_before_the_right_passage_and_from_the_same_article_first(squad_file: Path) -> None:
    questions = squad(squad_file)
    shown = findings("noisy", questions.passages, questions.asked[0]).passages
    assert [passage.source for passage in shown] == ["Tirvale", "Sennbach", "Sennbach", "Tirvale"]
    assert shown[-1].text.value == questions.passages[0].text


def test_nothing_to_measure_is_said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["rag"])
    with pytest.raises(SystemExit):
        bench.main()
    assert "give --data, --squad or --multihop" in capsys.readouterr().err
