"""What is seen of an answer: its form, its tokens, what supports it, and whether samples agree with it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.arbiter.answers import Answer, groups_of, names_of, seen
from router.arbiter.features import surface

EVERY = ("form", "logprobs", "spread", "support", "samples")
TOKENS = Answer(
    "q?", "a", logprobs=(-0.02, -3.0, -0.5, -1.0), entropies=(0.5, 2.0, 1.0, 0.5), margins=(0.9, 0.1, 0.5, 0.5)
)
HERON = Answer(
    "What colour is the heron?", "Grey", facts=("Boats sail. The heron is grey.", "A gull is white. Ferries sail too.")
)


def of(answer: Answer, *groups: str) -> dict[str, float]:
    found = seen(answer, groups)
    assert found is not None
    return dict(zip(names_of(groups), found, strict=True))


def form(question: str, text: str) -> dict[str, float]:
    return of(Answer(question, text), "form")


# --- groups -----------------------------------------------------------------------------------------------------------


def test_groups_are_those_that_every_answer_has() -> None:
    sampled = replace(TOKENS, samples=("b",))
    assert groups_of([Answer("q?", "a")]) == ("form", "support")
    assert groups_of([TOKENS]) == ("form", "logprobs", "spread", "support")
    assert groups_of([sampled]) == EVERY
    assert groups_of([sampled, TOKENS]) == ("form", "logprobs", "spread", "support")
    assert groups_of([sampled, Answer("q?", "a", samples=("b",))]) == ("form", "support", "samples")
    assert groups_of([replace(TOKENS, margins=())]) == ("form", "logprobs", "support")


@pytest.mark.parametrize("group", ["logprobs", "spread", "samples"])
def test_an_answer_without_a_group_is_not_seen(group: str) -> None:
    assert seen(HERON, ("form", group)) is None
    assert seen(HERON, ("form",)) is not None


def test_the_question_is_always_seen() -> None:
    assert seen(HERON, ()) == surface(HERON.question)
    assert of(HERON, "form")["question words"] == pytest.approx(math.log1p(5))
    assert of(HERON, "form")["answer words"] == pytest.approx(math.log1p(1))


def test_names_differ_and_follow_the_groups() -> None:
    names = names_of(EVERY)
    assert len(names) == len(set(names)) == len(seen(replace(TOKENS, samples=("b",)), EVERY) or ())
    assert set(names_of(("logprobs",))) < set(names)
    assert names_of(("form", "logprobs"))[-7:] == names_of(("logprobs",))[-7:]


# --- form -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "right", "wrong"),
    [
        ("2 + 3 = 5", 1, 0),
        ("2 + 3 = 6", 0, 1),
        ("She has 3 x 4 = $12, then 12 - 2 = 11.", 1, 1),
        ("1,000 * 2 = 2,000", 1, 0),
        ("10 / 3 = 3.33", 1, 0),  # within a hundredth
        ("10 / 3 = 3.5", 0, 1),
        ("2 + 3 = <<2+3=5>>5", 2, 0),
        ("<<48/2=24>> and <<48/2=25>>", 2, 2),  # as a sum, and as one that was marked
        ("1/0 = 2", 0, 1),
        ("<<two+two=4>>", 0, 1),
        ("there are 5 eggs", 0, 0),
    ],
)
def test_sums_are_worked_out(text: str, right: int, wrong: int) -> None:
    found = form("How many?", text)
    assert found["sums right"] == pytest.approx(math.log1p(right))
    assert found["sums wrong"] == pytest.approx(math.log1p(wrong))


def test_what_stands_behind_the_mark_is_the_final_answer() -> None:
    found = form("How many eggs are 3 boxes of 4?", "3 x 4 = 12\n#### 12")
    assert found["says its answer"] == found["final is whole"] == found["final was worked out"] == 1.0
    assert found["final number"] == pytest.approx(math.log1p(12))
    assert found["given numbers used"] == 1.0
    assert found["says it again"] == 0.0
    assert form("q?", "The answer is -2.5")["final number"] == pytest.approx(-math.log1p(2.5))
    assert form("q?", "The answer is -2.5")["final is whole"] == 0.0


def test_of_several_marks_the_last_counts() -> None:
    found = form("q?", "answer: 3. No, the answer is 4")
    assert found["says it again"] == pytest.approx(math.log1p(1))
    assert found["final number"] == pytest.approx(math.log1p(4))


def test_without_a_mark_there_is_no_final_answer() -> None:
    found = form("How many eggs are 3 boxes of 4?", "12")
    assert found["says its answer"] == found["final is whole"] == found["final was worked out"] == 0.0
    assert found["final number"] == -1.0
    assert found["given numbers used"] == 0.0


@pytest.mark.parametrize("text", ["I don't know.", "As an AI I have none.", "Perhaps Paris", "It is not mentioned."])
def test_hedges_are_seen(text: str) -> None:
    assert form("Where?", text)["hedges"] == 1.0
    assert form("Where?", "In Paris.")["hedges"] == 0.0


def test_how_an_answer_stands_to_its_question() -> None:
    found = form("Which heron stands?", "heron heron grey reeds")
    assert found["adds"] == pytest.approx(math.log1p(2))
    assert found["question said again"] == pytest.approx(1 / 2)
    assert found["repeats itself"] == pytest.approx(1 / 4)
    assert found["to question"] == pytest.approx(math.log(23 / 20))
    assert found["finished"] == 1.0
    assert of(Answer("q?", "a", finished=False), "form")["finished"] == 0.0


@pytest.mark.parametrize(
    ("question", "text", "number", "name", "missing"),
    [
        ("How many eggs?", "12", 1.0, 0.0, 0.0),
        ("How many eggs?", "several", 0.0, 0.0, 1.0),
        ("In which year?", "in 1812 or so", 1 / 4, 0.0, 0.0),
        ("Who sails?", "Ilka", 0.0, 1.0, 0.0),
        ("Who sails?", "some captain", 0.0, 0.0, 1.0),
        ("Who sails?", "Ilka 12", -1 / 2, 1 / 2, 0.0),
        ("Why?", "because", 0.0, 0.0, 0.0),
    ],
)
def test_the_kind_that_is_asked_for(question: str, text: str, number: float, name: float, missing: float) -> None:
    found = form(question, text)
    assert found["number where wanted"] == pytest.approx(number)
    assert found["name where wanted"] == pytest.approx(name)
    assert found["wanted kind is missing"] == missing


# --- tokens -----------------------------------------------------------------------------------------------------------


def test_tokens_by_hand() -> None:
    found = of(TOKENS, "logprobs") | of(TOKENS, "spread")
    assert found["mean logprob"] == pytest.approx(-4.52 / 4)
    assert found["least logprob"] == found["low logprobs"] == -3.0
    assert found["sum of logprobs"] == pytest.approx(-math.log1p(4.52))
    assert found["first logprob"] == -0.02
    assert found["sure tokens"] == 1 / 4
    assert (found["mean entropy"], found["greatest entropy"], found["first entropy"]) == (1.0, 2.0, 0.5)
    assert (found["first margin"], found["least margin"], found["mean margin"]) == (0.9, 0.1, 0.5)
    assert found["tokens"] == pytest.approx(math.log1p(4))
    eight = replace(TOKENS, logprobs=(-1.0, -2.0, -3.0, -4.0) * 2)
    assert of(eight, "logprobs")["low logprobs"] == -4.0


# --- support ----------------------------------------------------------------------------------------------------------


def test_an_answer_from_its_facts_is_grounded() -> None:
    found = of(HERON, "support")
    assert found["has facts"] == found["groundedness"] == found["words in facts"] == found["cited whole"] == 1.0
    assert found["length of facts"] == pytest.approx(math.log1p(sum(map(len, HERON.facts))))
    other = of(replace(HERON, text="Grey or blue"), "support")
    assert other["groundedness"] == pytest.approx(1 / 2)
    assert other["cited whole"] == 0.0


def test_the_longest_run_stands_in_one_fact_in_the_same_row() -> None:
    found = of(replace(HERON, text="a white gull sails; ferries sail too"), "support")
    assert found["longest run"] == pytest.approx(3 / 6)
    assert of(replace(HERON, text="reeds"), "support")["longest run"] == 0.0


def test_the_sentence_that_supports_it_is_the_one_that_is_asked_about() -> None:
    found = of(HERON, "support")
    assert found["best fit"] == found["fit of its source"] == pytest.approx(1 / 2)
    assert found["fit below the best"] == 0.0
    assert found["found in the best"] == found["found in one"] == 1.0
    assert found["rivals"] == pytest.approx(math.log1p(1))


def test_a_sentence_about_something_else_supports_it_less() -> None:
    found = of(replace(HERON, text="White"), "support")
    assert found["best fit"] == pytest.approx(1 / 2)
    assert found["fit of its source"] == 0.0
    assert found["fit below the best"] == pytest.approx(1 / 2)
    assert (found["found in the best"], found["found in one"]) == (0.0, 1.0)
    assert found["rivals"] == pytest.approx(math.log1p(4))


def test_without_facts_nothing_supports_it() -> None:
    found = of(replace(HERON, facts=()), "support")
    assert {name for name in names_of(("support",)) if found[name]} & set(names_of(("support",))[-12:]) == {"rivals"}


# --- samples ----------------------------------------------------------------------------------------------------------


def test_samples_agree_or_not() -> None:
    found = of(replace(HERON, samples=("Grey.", "grey heron", "blue")), "samples")
    assert found["mean agreement"] == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert found["least agreement"] == 0.0
    assert found["mean agreement in what is new"] == pytest.approx(2 / 3)
    assert found["least agreement in what is new"] == 0.0
    alike = of(replace(HERON, samples=("Grey", "grey heron")), "samples")
    assert alike["least agreement"] == pytest.approx(2 / 3)
    assert alike["least agreement in what is new"] == 1.0


# --- any text ---------------------------------------------------------------------------------------------------------

TEXTS = st.text(max_size=120) | st.text("0123456789.,+-*/x=<>#()$% \nAn'", max_size=120)


@given(TEXTS, TEXTS, st.lists(TEXTS, max_size=2), st.lists(TEXTS, min_size=1, max_size=2))
def test_of_any_texts_all_numbers_are_finite(question: str, text: str, facts: list[str], samples: list[str]) -> None:
    answer = replace(TOKENS, question=question, text=text, facts=tuple(facts), samples=tuple(samples))
    found = seen(answer, EVERY)
    assert found is not None
    assert len(found) == len(names_of(EVERY))
    assert all(map(math.isfinite, found))


LONG = (
    " " * 100_000, "a" * 100_000, "_" * 100_000, "a'" * 50_000, "<<a" * 30_000, "<<" + "-" * 20_000 + "1=3>>",
    "<<" + "1+" * 20_000 + "1=3>>", "{" * 100_000, "[" * 100_000, ")" * 1_000, "(" * 1_000, "9" * 300, "<<1\0+2=3>>",
    "<<0x" + "f" * 10_000 + "=1>>", "<<9**9**9=1>>", "#### " * 10_000, "\ud800", "<<1or 2=3>>", "#### -,", "1/0 = 2",
)  # fmt: skip


@pytest.mark.parametrize("text", LONG, ids=range(len(LONG)))
def test_what_a_model_may_write_stops_nothing(text: str) -> None:
    found = seen(Answer("How many?", text, facts=("Some fact.",)), ("form", "support"))
    assert found is not None
    assert all(map(math.isfinite, found))
