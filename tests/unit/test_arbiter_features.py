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
