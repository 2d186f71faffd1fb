"""Whether two answers say the same, and whether sources support one."""

from __future__ import annotations

import pytest

from router.arbiter.overlap import agreement, content_words, groundedness


def test_agreement_is_of_the_words_that_count() -> None:
    assert agreement("It was the red heron.", "The red heron") == 1.0
    assert agreement("red heron", "grey heron") == pytest.approx(0.5)
    assert agreement("the", "the") == 0.0


@pytest.mark.parametrize(
    ("answer", "share"),
    [
        ("The heron is grey.", 1.0),
        ("The heron is a blue gull.", pytest.approx(0.0)),
        ("The heron?", 0.0),
        ('{"colour": "grey"}', 1.0),
    ],
)
def test_supported_is_what_an_answer_adds_to_its_question(answer: str, share: float) -> None:
    assert groundedness(answer, "What colour is the heron?", ["A grey heron stands in the reeds."]) == share


def test_of_json_the_values_are_said() -> None:
    assert content_words('{"name": ["Ilka", {"of": "Marsh"}]}') == ["ilka", "marsh"]
    assert content_words('{"broken') == ["broken"]
    assert content_words("十二 boats") == ["十", "二", "boats"]
