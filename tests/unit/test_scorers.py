from __future__ import annotations

import pytest

from router.compare.scorers import Key, choice, contains, exact, f1, number_of, numeric, tokens


@pytest.mark.parametrize(
    ("accepted", "answer", "score"),
    [
        ("Paris", "It is PARIS.", 1),
        ("Paris", "Comparison", 0),
        ("48", "It carries 48 passengers", 1),
        ("48", "It carries 480 passengers", 0),
        ("4", "It costs 4.50", 0),
        ("1,500", "about 1500 people", 1),
        ("Maren", "Maren's boat", 1),
        ("harbour master", "the harbour-master", 1),
        ("the Heron", "a Heron", 1),
        ("A", "B", 0),
        ("A", "A", 1),
        ("北京", "首都是北京。", 1),
        ("上海", "首都是北京。", 0),
        ("H₂O", "h2o", 1),
    ],
)
def test_contains_finds_whole_words(accepted: str, answer: str, score: float) -> None:
    assert contains(answer, Key((accepted,))) == score


def test_any_accepted_string_is_enough() -> None:
    assert contains("three times", Key(("3", "three"))) == 1
    assert contains("four times", Key(("3", "three"))) == 0


def test_exact_ignores_case_punctuation_and_articles_only() -> None:
    assert exact("The Heron!", Key(("heron",))) == 1
    assert exact("It is the Heron", Key(("heron",))) == 0


@pytest.mark.parametrize(
    ("accepted", "answer", "score"),
    [
        ("Oda Fenwick", "the harbour master Oda Fenwick", 2 * 2 / (2 + 4)),
        ("Oda Fenwick", "nobody", 0.0),
        ("well-known", "wellknown", 1.0),
        ("北京市", "北京", 2 * 2 / (3 + 2)),
        ("yes", "", 0.0),
    ],
)
def test_f1_is_the_overlap_of_tokens(accepted: str, answer: str, score: float) -> None:
    assert f1(answer, Key((accepted,))) == pytest.approx(score)


def test_f1_takes_the_nearest_accepted_string() -> None:
    assert f1("Fenwick", Key(("Oda Fenwick", "Fenwick"))) == 1


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("42", 42),
        ("It is 42.", 42),
        ("12 bowls at 3 crowns are 36 crowns", 36),
        ("So 3 * 4 = 12 crowns for 3 bowls", 12),
        ("The answer is 7, because 3 + 4 are 7 and not 8", 7),
        ("first 5, then\n#### 1,250", 1250),
        ("-3.5 degrees", -3.5),
        ("\u22123", -3),
        ("2010-1987", 1987),
        ("1e3", 1000),
        ("none", None),
    ],
)
def test_the_number_that_an_answer_ends_on(text: str, number: float | None) -> None:
    assert number_of(text) == number


def test_numeric_has_a_relative_tolerance() -> None:
    assert numeric("3.1416", Key(("3.14159",))) == 0
    assert numeric("3.1416", Key(("3.14159",), tolerance=1e-4)) == 1
    assert numeric("0", Key(("0",))) == 1
    assert numeric("I do not know", Key(("0",))) == 0


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        ("B", 1),
        ("(b)", 1),
        ("B. the stern", 1),
        ("The answer is B", 1),
        ("the answer: (B)", 1),
        ("At the stern.", 1),
        ("stern bench", 1),
        ("A", 0),
        ("A boat has a stern", 1),
        ("the bow or the stern", 0),
        ("I would take C.", 0),
        ("", 0),
    ],
)
def test_choice_reads_a_letter_or_the_words(answer: str, score: float) -> None:
    assert choice(answer, Key(("the stern",), choices=("the bow", "the stern", "the stern lantern"))) == score
    assert choice(answer, Key(("B",), choices=("the bow", "the stern", "the stern lantern"))) == score


def test_the_longer_choice_wins_over_one_inside_it() -> None:
    key = Key(("C",), choices=("the bow", "the stern", "the stern lantern"))
    assert choice("the stern lantern", key) == 1


def test_cjk_is_taken_by_character_and_other_words_whole() -> None:
    assert tokens("住在 Berlin 的 12:30") == ["住", "在", "berlin", "的", "12:30"]
