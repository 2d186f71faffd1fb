"""What is seen of a question."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.arbiter.features import NAMES, surface


def seen(question: str) -> dict[str, float]:
    return dict(zip(NAMES, surface(question), strict=True))


def test_choices_are_seen() -> None:
    found = seen("Which of these is not a mammal?\nA. whale\nB. shark or ray\nC. bat")
    assert found["choices"] == pytest.approx(math.log1p(3))
    assert found["longest choice"] == pytest.approx(math.log1p(len("shark or ray")))
    assert found["choices differ"] == pytest.approx(math.log1p(12) - math.log1p(3))
    assert found["ends as a question"] == found["negation"] == found["asks which"] == 1.0
    assert found["lines"] == pytest.approx(math.log1p(3))
    assert found["asks who"] == found["code"] == 0.0


@pytest.mark.parametrize(
    "question",
    [
        "Which is a bird?\nA. grey heron\nB) a whale\n(C) Bats",
        "Which is a bird? (A) grey heron, (B) a whale, (C) Bats",
        "Which is a bird?\nOption 1: grey heron\nOption 2: a whale\nOption 3: Bats",
    ],
)
def test_choices_are_seen_in_whichever_way_they_are_written(question: str) -> None:
    found = seen(question)
    assert found["choices"] == pytest.approx(math.log1p(3))
    assert found["longest choice"] == pytest.approx(math.log1p(len("grey heron")))
    assert found["mean choice"] == pytest.approx(math.log1p((10 + 7 + 4) / 3))
    assert found["choices with a capital"] == pytest.approx(1 / 3)
    assert found["words of a choice"] == pytest.approx(math.log1p(4 / 3))
    assert found["choices of numbers"] == found["choices alike"] == 0.0
    assert 0 < found["before the choices"] < 0.7


def test_choices_alike_and_of_numbers() -> None:
    found = seen("How long is the red ferry? (A) 12 red feet, (B) 14 red feet, (C) 16 red feet")
    assert found["choices alike"] == pytest.approx(2 / 4)
    assert found["choices in the question"] == pytest.approx(1 / 3)
    assert found["choices begin alike"] == 0.0
    assert seen("How long? (A) 12 km, (B) $1,400, (C) far")["choices of numbers"] == pytest.approx(2 / 3)
    assert seen("Is it? (A) it is, (B) it may be")["choices begin alike"] == 1.0


def test_without_choices_all_stands_before_them() -> None:
    found = seen("Is this (as I said) a question?")
    assert found["choices"] == found["mean choice"] == found["choices differ"] == 0.0
    assert found["before the choices"] == 1.0


def test_names_are_capitals_where_no_sentence_begins() -> None:
    assert seen("Did Ilka meet Jan? No. She sails.")["names"] == pytest.approx(math.log1p(2))
    assert seen("Sails. Boats? Ferries! All: Of (them) They")["names"] == 0.0


def test_what_is_said_again_can_be_compressed() -> None:
    once, often = "The ferry sails at noon", "The ferry sails at noon " * 20
    assert seen(often)["compressed"] < 0.2 < seen(once)["compressed"]
    assert seen("")["compressed"] > 0


def test_words_are_counted_by_what_they_are() -> None:
    found = seen("the ferry the extraordinary, heron")
    assert found["different words"] == pytest.approx(4 / 5)
    assert found["common words"] == pytest.approx(2 / 5)
    assert found["long words"] == pytest.approx(1 / 5)
    assert found["commas"] == pytest.approx(1 / 5)
    assert found["longest word"] == pytest.approx(math.log1p(len("extraordinary")))


def test_numbers_are_read_with_their_commas() -> None:
    found = seen("from 1,200 to 7.5 and 7.5")
    assert found["greatest number"] == pytest.approx(math.log1p(1200))
    assert found["numbers"] == pytest.approx(math.log1p(2))


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("How many eggs does she sell?", "how much"),
        ("Why is the sky blue?", "explain"),
        ("def area(r): return 3.14", "code"),
        ("Solve x^2 = 4.", "formulas"),
        ("Who was king in 1812?", "years"),
        ("The capital of France is ____.", "blank"),
        ("Which river is the longest?", "superlative"),
        ("She doesn't swim.", "negation"),
        ("Half of it is 1/2.", "fractions"),
        ("It is 12 km to the isle.", "units"),
        ("Is it true that boats sail?", "true or false"),
        ("Is neither of them a boat?", "all or none"),
        ("List three boats.", "a task"),
        ("It costs $4.", "money"),
        ("One is red and the other blue, respectively.", "several parts"),
        ("“Sail”, she said.", "quotes"),
        ("法国的首都是哪里？", "outside latin"),
        ("法国的首都是哪里？", "ends as a question"),
    ],
)
def test_each_is_seen_where_it_is(question: str, name: str) -> None:
    assert seen(question)[name] > 0
    assert seen("Ferries sail at noon")[name] == 0


@given(st.text(max_size=200))
def test_of_any_text_all_numbers_are_finite(text: str) -> None:
    assert len(surface(text)) == len(NAMES)
    assert all(map(math.isfinite, surface(text)))
