"""How far to trust an answer, whether two say the same, and whether sources support one."""

from __future__ import annotations

import pytest

from router.arbiter.trust import TrustModel, agreement, content_words, groundedness


def test_trust_rises_with_the_mean_log_probability() -> None:
    trust = [TrustModel().of("Who wrote Hamlet?", "Shakespeare", [mean] * 3) for mean in (-3.0, -0.53, -0.01)]
    assert trust == [pytest.approx(value, abs=1e-3) for value in (0.0, 0.5, 0.933)]


@pytest.mark.parametrize(
    ("question", "answer", "logprobs"),
    [
        ("Who wrote Hamlet?", "Shakespeare", []),
        ("谁写了《哈姆雷特》？", "莎士比亚", [-0.01]),
        ("谁写了《哈姆雷特》？", "42", [-0.01]),
        ("Как называется столица?", "Москва", [-0.01]),
    ],
)
def test_nothing_is_known_without_log_probabilities_or_in_another_script(
    question: str, answer: str, logprobs: list[float]
) -> None:
    assert TrustModel().of(question, answer, logprobs) is None


def test_a_number_is_in_any_script() -> None:
    assert TrustModel().of("How many days has a week?", "7", [-0.01])


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
