"""What the verdict claims, and what it must not claim."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest

from router.compare.rows import Row
from router.compare.summary import summarise
from router.compare.verdict import headline, verdict
from tests.unit.test_compare_report import environment, row

Right = Callable[[int], bool]
MODES = (
    "edge_only",
    "cloud_only",
    "post_arbitration",
    "agent",
    "auto",
    "pre_arbitration",
    "cloud_info_edge_rag",
    "a+b",
)


def answers(
    right: dict[str, Right],
    questions: int,
    cost: Mapping[str, float | None] | None = None,
    group: Callable[[int], str] | None = None,
) -> list[Row]:
    prices: dict[str, float | None] = {"cloud_only": 0.005, **(cost or {})}
    return [
        row(n, mode, score=float(is_right(n)), cost_usd=prices.get(mode, 0.001), group=group(n) if group else "")
        for mode, is_right in right.items()
        for n in range(questions)
    ]


def always(number: int) -> bool:
    return number >= 0


def said(rows: Sequence[Row], questions: int) -> str:
    modes = list(dict.fromkeys(each.mode for each in rows))
    seen = environment().model_copy(update={"questions": questions})
    sentences = verdict(summarise(rows, modes, seen))
    assert all(sentence[0].isupper() or sentence.startswith("post") for sentence in sentences)
    assert all(
        sentence.endswith(".") and "None " not in sentence.removeprefix("None of") and "  " not in sentence
        for sentence in sentences
    )
    return " ".join(sentences)


def test_nothing_one_mode_and_only_failures() -> None:
    assert verdict(summarise([], MODES, environment())) == ["Nothing has been asked yet."]
    assert "Only agent was asked: 100 % (84–100) right on its 20 questions" in said(answers({"agent": always}, 20), 20)
    failed = [row(n, mode, score=0.0, error="UNAVAILABLE") for n in range(5) for mode in MODES[:2]]
    assert "Every answer failed" in said(failed, 5)


def test_a_clear_difference_is_called_one() -> None:
    text = said(answers({"edge_only": lambda n: n < 5, "cloud_only": lambda n: n < 15}, 20), 20)
    assert "Most accurate on its 20 questions: cloud_only, 75 %" in text
    assert "On these 20 questions, edge_only is less accurate than cloud_only (difference -50.0 points, 95 % -" in text
    assert "at 20 % (20 to 20 %) of the cost" in text


def test_as_accurate_needs_the_whole_interval_within_the_margin() -> None:
    close: dict[str, Right] = {"edge_only": lambda n: n % 10 < 7 and n != 0, "cloud_only": lambda n: n % 10 < 7}
    many = said(answers(close, 400), 400)
    assert "edge_only is as accurate as cloud_only, within 5 points (difference -0.2 points, 95 % -" in many
    few = said(answers(close, 20), 20)
    assert "cannot be told apart in accuracy" in few
    assert "more questions would settle a difference of this size" in few
    assert "as accurate as cloud_only" not in few


def test_a_small_but_sure_difference_is_called_less_and_little() -> None:
    sure: dict[str, Right] = {"edge_only": lambda n: n % 50 != 0, "cloud_only": always}
    assert "is less accurate than cloud_only, but by less than 5 points" in said(answers(sure, 1000), 1000)


def test_what_many_pairs_may_show_by_chance_is_not_claimed() -> None:
    right: dict[str, Right] = {mode: lambda n: n < 30 for mode in MODES}
    right["edge_only"] = lambda n: n < 23
    right["cloud_only"] = lambda n: n < 30 and n != 29
    rows = answers(right, 40, cost=dict.fromkeys(MODES, 0.002) | {"edge_only": 0.001})
    text = said(rows, 40)
    assert "edge_only is less accurate" not in text
    assert "tie for the most accurate" in text


def test_all_right_and_all_wrong() -> None:
    everything = said(answers(dict.fromkeys(MODES, always), 30), 30)
    assert "All 8 modes got every question right" in everything
    nothing = said(answers(dict.fromkeys(MODES[:2], lambda n: n < 0), 30), 30)
    assert "None of the 2 modes got a single question right" in nothing
    assert "told apart in accuracy" not in nothing


def test_unknown_costs_are_said_and_not_guessed() -> None:
    right: dict[str, Right] = {"edge_only": lambda n: n % 2 == 0, "cloud_only": always, "agent": lambda n: n % 3 > 0}
    text = said(answers(right, 30, cost={"agent": None}), 30)
    assert "What agent costs is unknown" in text
    two = said(answers({"edge_only": lambda n: n % 2 == 0, "cloud_only": always}, 30, {"cloud_only": None}), 30)
    assert "; what cloud_only costs is unknown" in two
    free = said(answers({"edge_only": lambda n: n % 2 == 0, "cloud_only": always}, 30, {"edge_only": 0.0}), 30)
    assert "; edge_only costs nothing" in free


def test_the_cheapest_that_may_be_as_good_is_held_against_the_cloud() -> None:
    right: dict[str, Right] = {
        "edge_only": lambda n: n % 10 < 3,
        "cloud_only": lambda n: n % 10 < 8,
        "post_arbitration": lambda n: n % 10 < 8 and n != 17,
        "agent": lambda n: n % 10 < 8 and n != 27,
    }
    rows = answers(right, 200, {"edge_only": 0.0001, "post_arbitration": 0.001, "agent": 0.003})
    text = said(rows, 200)
    assert "post_arbitration is as accurate as cloud_only, within 5 points" in text
    assert (
        "Of the 3 modes that may be as accurate as the best, by their intervals, post_arbitration is the cheapest"
        in text
    )
    assert "from cheap to dear: edge_only, post_arbitration and cloud_only" in text
    pair = headline(summarise(rows, list(right), environment()))
    assert pair is not None
    assert (pair.a, pair.b) == ("post_arbitration", "cloud_only")


def test_nobody_is_called_cheapest_or_cheaper_among_equals() -> None:
    right: dict[str, Right] = {"edge_only": lambda n: n % 2 == 0, "agent": lambda n: n % 2 == 0}
    right["auto"] = lambda n: n % 4 == 0
    text = said(answers(right, 40, dict.fromkeys(right, 0.0)), 40)
    assert "none is cheaper than edge_only" in text
    assert "no mode is cheaper or more accurate than edge_only and agent" in text
    assert "is the cheapest" not in text
    assert "cheap to dear" not in text
    paid = said(answers({"edge_only": always, "cloud_only": always}, 40, {"edge_only": 0.01, "cloud_only": 0.01}), 40)
    assert "at the same cost" in paid


def test_without_a_cloud_the_best_is_what_others_are_held_against() -> None:
    right: dict[str, Right] = {"edge_only": lambda n: n % 4 == 0, "edge_only+rag": lambda n: n % 4 > 0}
    assert "edge_only is less accurate than edge_only+rag" in said(answers(right, 80), 80)


def test_a_group_in_which_it_turns_around_is_named_with_its_size() -> None:
    """Ahead by far on 160 questions, behind on 40."""
    right: dict[str, Right] = {
        "edge_only": lambda n: n % 5 == 0 or n % 10 < 2,
        "cloud_only": lambda n: n % 5 > 0,
        "agent": lambda n: n % 2 == 0,
    }
    text = said(answers(right, 200, group=lambda n: "rare" if n % 5 == 0 else "common"), 200)
    assert "In the group rare it is the other way round: edge_only is ahead of cloud_only (+100.0 points" in text
    assert "there it had only 40 questions" in text


@pytest.mark.parametrize("count", range(1, 9))
def test_the_sentences_read_for_any_number_of_modes(count: int) -> None:
    right: dict[str, Right] = {mode: lambda n, at=at: n % 9 < at + 1 for at, mode in enumerate(MODES[:count])}  # type: ignore[misc]
    text = said(answers(right, 45), 45)
    assert "{" not in text


def test_modes_that_nobody_graded_are_in_no_claim_of_accuracy() -> None:
    def ungraded(rows: Sequence[Row], *modes: str) -> list[Row]:
        nothing = {"score": None, "f1": None}
        return [each.model_copy(update=nothing) if each.mode in modes else each for each in rows]

    asked = answers({"edge_only": always, "agent": always}, 20)
    one = said(ungraded(asked, "agent"), 20)
    assert "Right in edge_only: 100 % (84–100) of its 20 questions." in one
    assert "No answer of agent is graded, so nothing is known of how right they are." in one
    none = said(ungraded(asked, "agent", "edge_only"), 20)
    assert none.startswith("No answer of edge_only and agent is graded")
    assert "accurate" not in none
