"""Features of passages by hand, and the two models that weigh them."""

from __future__ import annotations

import json
import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.embedder import EMBEDDERS
from edge.ranking.features import NAMES, Asked, Found, features
from edge.ranking.models import (
    GATE_NAMES,
    WEIGHTS,
    WITHOUT_VECTORS,
    Logistic,
    gate_features,
    models,
    probability,
)
from edge.terms import terms
from edgewise.types import Passage, Text

PLAIN = Logistic(tuple(float(name == "coverage") for name in NAMES), 0.0)


def asked(text: str, frequencies: dict[str, int] | None = None, passages: int = 10) -> Asked:
    return Asked(text, terms(text), frequencies or {}, passages)


def found(text: str, title: str = "", cosine: float | None = None, lexical: int | None = None) -> Found:
    return Found(Passage(id="a:0", text=Text(value=text), source="a", title=title), cosine, lexical, None)


def feature(name: str, one: Found, of: Asked) -> float:
    (row,) = features(of, [one])
    return dict(zip(NAMES, row, strict=True))[name]


# --- features ---------------------------------------------------------------------------------------------------------


def test_a_passage_that_has_nothing_of_the_query() -> None:
    (row,) = features(asked("When was the bridge built?"), [found("Nothing.")])
    values = dict(zip(NAMES, row, strict=True))
    assert values == {
        **dict.fromkeys(NAMES, 0.0),
        "lexical_rank": 1 / 210,
        "dense_rank": 1 / 210,
        "length": math.log(2),
    }


def test_ranks_and_cosine() -> None:
    one = Found(found("x").passage, 0.5, 0, 90)
    (row,) = features(asked("bridge"), [one])
    assert row[:3] == (0.5, 1 / 10, 1 / 100)


def test_rare_words_count_for_more() -> None:
    query = asked("old bridge", {"old": 9, "bridg": 1})
    old, bridge = (math.log1p((10 - n + 0.5) / (n + 0.5)) for n in (9, 1))
    assert feature("coverage", found("An old town. Old!"), query) == pytest.approx(old / (old + bridge))
    under = found("A town.", title="Guide > The bridge")
    assert feature("coverage", under, query) == pytest.approx(bridge / (old + bridge)), "its headings count"
    assert feature("coverage", found("A town.", title="The bridge"), query) == 0, "the name of the file does not"
    assert feature("coverage", found("Old bridges."), query) == pytest.approx(1)


def test_words_in_one_sentence_or_near_each_other() -> None:
    query = asked("old bridge")
    apart = found("An old town. It has a bridge.")
    assert feature("sentence_coverage", apart, query) == pytest.approx(0.5)
    assert feature("window_coverage", apart, query) == pytest.approx(1)
    far = found("An old town" + ", so" * 25 + ", with a bridge.")
    assert feature("sentence_coverage", far, query) == pytest.approx(1)
    assert feature("window_coverage", far, query) == pytest.approx(0.5)
    at_the_edge = found("Old" + " so" * 23 + " bridge")
    assert feature("window_coverage", at_the_edge, query) == pytest.approx(1)
    beyond_it = found("Old" + " so" * 24 + " bridge")
    assert feature("window_coverage", beyond_it, query) == pytest.approx(0.5)


def test_neighbours() -> None:
    query = asked("old stone bridge")
    assert feature("pairs", found("The old stone house; a bridge."), query) == 0.5
    assert feature("pairs", found("An old, stone, bridge."), query) == 1
    assert feature("pairs", found("bridge stone old"), query) == 0
    assert feature("pairs", found("bridge"), asked("bridge")) == 0, "there are none to be"


@pytest.mark.parametrize(
    ("question", "having", "lacking"),
    [
        ("How many arches has the bridge?", "The bridge has seven arches.", "The bridge has arches."),
        ("When was the bridge built?", "The bridge is of 1874.", "The bridge is of stone."),
        ("Who built the bridge?", "The bridge is by Anna Stone.", "The bridge is of stone."),
        ("这座桥是什么时候建的？", "这座桥建于1874年。", "bridge of stone"),
    ],
)
def test_the_kind_of_thing_that_is_asked_for(question: str, having: str, lacking: str) -> None:
    assert feature("kind", found(having), asked(question)) == 1
    assert feature("kind", found(lacking), asked(question)) == 0
    assert feature("kind", found(lacking), asked("Describe the bridge.")) == 1, "nothing of a kind is asked for"


def test_documents_that_are_mentioned() -> None:
    query = asked("Where is Anna Stone from?")
    rows = features(
        query,
        [
            found("The bridge is by Anna Stone, who drew ships."),
            found("x", title="Ships > Of old"),
            found("x", title="Another"),
            found("x", title="Anna Stone (engineer) > Life"),
            found("x", title="SHIPS"),
            found("x", title="Town"),
            found("x", title="who"),
        ],
    )
    linked, named = NAMES.index("linked"), NAMES.index("named")
    assert [row[linked] for row in rows] == [0, 0, 0, 1, 1, 0, 0], "by one of the first three, which are not linked"
    assert [row[named] for row in rows] == [0, 0, 0, 1, 0, 0, 0]


@given(st.text(), st.text(), st.text(), st.floats(-1, 1) | st.none())
def test_any_text_has_features_within_bounds(question: str, text: str, title: str, cosine: float | None) -> None:
    (row,) = features(asked(question), [found(text, title, cosine)])
    assert len(row) == len(NAMES)
    for name, value in zip(NAMES, row, strict=True):
        assert math.isfinite(value)
        if name not in {"cosine", "length"}:
            assert 0 <= value <= 1 + 1e-9, name


def test_a_very_long_query_takes_bounded_time() -> None:
    query = asked(" ".join(f"word{n}" for n in range(2000)))
    passages = [found(" ".join(f"word{n}" for n in range(start, start + 250))) for start in range(20)]
    started = time.monotonic()
    features(query, passages)
    assert time.monotonic() - started < 2


# --- models -----------------------------------------------------------------------------------------------------------


def test_probabilities() -> None:
    assert probability(0) == 0.5
    assert probability(3) == pytest.approx(1 - probability(-3))
    assert (probability(-1e6), probability(1e6)) == (0, 1)
    assert Logistic((2.0, -1.0), 0.5).logit((1, 3)) == -0.5


def row(coverage: float, linked: float = 0.0) -> tuple[float, ...]:
    return tuple({"coverage": coverage, "linked": linked}.get(name, 0.0) for name in NAMES)


def gate(rows: list[tuple[float, ...]], cosines: list[float], scores: list[float]) -> dict[str, float]:
    return dict(zip(GATE_NAMES, gate_features(rows, PLAIN, cosines, scores), strict=True))


def test_the_gate_looks_at_the_best_passage() -> None:
    values = gate([row(0.25), row(0.75, linked=1), row(0.5)], [], [])
    assert values == {
        **dict.fromkeys(GATE_NAMES, 0.0),
        **dict.fromkeys(("best_coverage", "highest_coverage", "relevance"), 0.75),
        "lead": 0.25,
        **dict.fromkeys(("is_nearest", "is_first_by_words"), 1.0),
    }
    assert gate([row(0.5)], [0.5], [3.0])["lead"] == 1, "it is the only one"


def test_the_gate_knows_whether_another_passage_leads_a_search() -> None:
    def one(**values: float) -> tuple[float, ...]:
        return tuple(values.get(name, 0.0) for name in NAMES)

    best, other = one(coverage=0.5, lexical_rank=0.1), one(coverage=0.25, dense_rank=0.1, cosine=0.75)
    values = gate([other, best], [0.75] * 5, [2.0] * 150)
    assert (values["is_nearest"], values["is_first_by_words"]) == (0, 1)
    assert (values["best_cosine"], values["highest_cosine"]) == (0, 0.75)
    assert (values["cosine_crowd"], values["lexical_crowd"]) == (0.05, 1)


def test_the_gate_looks_at_how_the_best_stands_out() -> None:
    tail = [0.2, 0.4] * 10
    values = gate([row(0.5)], [0.9, 0.8, 0.7, 0.6, 0.5, *[0.45] * 5, *tail], [8.0, 4.0, 4.0, 4.0, 2.0])
    assert values["cosine_lead"] == pytest.approx(0.4)
    assert values["lexical_lead"] == pytest.approx(0.75)
    assert values["cosine_outlier"] == pytest.approx((0.9 - 0.3) / (0.1 + 1e-3))
    assert values["lexical_outlier"] == 0, "there are too few to stand out from"


@given(st.lists(st.floats(-1, 1), max_size=130), st.lists(st.floats(1e-6, 50), max_size=130))
def test_the_gate_takes_lists_of_any_length(cosines: list[float], scores: list[float]) -> None:
    values = gate([row(0.5)], sorted(cosines, reverse=True), sorted(scores, reverse=True))
    assert all(map(math.isfinite, values.values()))


@pytest.mark.skipif(not WEIGHTS.exists(), reason="there are no fitted weights")
@pytest.mark.parametrize("embedder", [*EMBEDDERS, WITHOUT_VECTORS])
def test_there_are_weights_for_every_embedder(embedder: str) -> None:
    kept = json.loads(WEIGHTS.read_text(encoding="utf-8"))["models"]
    assert embedder in kept
    chosen = models(embedder)
    assert (len(chosen.relevance.weights), len(chosen.gate.weights)) == (len(NAMES), len(GATE_NAMES))
    assert all(map(math.isfinite, (*chosen.relevance.weights, *chosen.gate.weights, chosen.gate.bias)))
    if embedder == WITHOUT_VECTORS:
        assert models("another") == chosen
