"""Who gets which arm: by the weights, the same for ever, and independently in every experiment."""

from __future__ import annotations

import math

import pytest

from edgewise.types import Arm, Experiment, Question, Record
from router.experiments.assignment import drawn, share, unit_of

MANY = 100_000
THREE = Experiment(
    name="three", arms=tuple(Arm(mode=mode, weight=weight) for mode, weight in
                             (("edge_only", 0.5), ("auto", 0.2), ("cloud_only", 0.3))),
)  # fmt: skip


def test_arms_get_their_shares_and_a_unit_keeps_its_arm() -> None:
    units = [f"user\x1f{place}" for place in range(MANY)]
    given = [drawn(THREE, unit).mode for unit in units]
    for arm in THREE.arms:
        error = math.sqrt(arm.weight * (1 - arm.weight) / MANY)
        assert abs(given.count(arm.mode) / MANY - arm.weight) < 4 * error
    assert [drawn(THREE, unit).mode for unit in reversed(units)] == given[::-1]


def test_lots_are_the_same_on_every_machine() -> None:
    """Pinned: another hash would deal a running experiment anew."""
    pinned = [0.330951, 0.1567, 0.664427]
    units = ("conversation\x1fa", "user\x1fа日", "question\x1f")
    assert [round(share("pilot", unit), 6) for unit in units] == pinned


def test_another_experiment_is_another_lot() -> None:
    pairs = [(share("one", str(place)) < 0.5, share("two", str(place)) < 0.5) for place in range(MANY)]
    both = sum(first and second for first, second in pairs) / MANY
    assert abs(both - 0.25) < 4 * math.sqrt(0.25 * 0.75 / MANY)


def test_a_share_is_never_one_and_rounded_weights_leave_no_gap() -> None:
    thirds = Experiment(name="thirds", arms=tuple(Arm(mode=mode, weight=0.333333) for mode in ("a", "b", "c")))
    assert all(0 <= share("x", str(place)) < 1 for place in range(1000))
    highest = max(range(MANY), key=lambda place: share("thirds", str(place)))
    assert drawn(thirds, str(highest)).mode == "c"


@pytest.mark.parametrize(
    ("unit", "given", "expected"),
    [
        ("conversation", {"conversation_id": "c", "user_id": "u", "request_id": "r"}, "conversation\x1fc"),
        ("user", {"conversation_id": "c", "user_id": "u", "request_id": "r"}, "user\x1fu"),
        ("question", {"conversation_id": "c", "user_id": "u", "request_id": "r"}, "question\x1fr"),
        ("conversation", {"user_id": "u", "request_id": "r"}, "question\x1fr"),
        ("user", {"conversation_id": "c"}, "question\x1fown"),
    ],
)
def test_the_unit_is_what_was_wanted_or_the_question(unit: str, given: dict[str, str], expected: str) -> None:
    experiment = THREE.model_copy(update={"unit": unit})
    assert unit_of(experiment, Question.model_validate({"text": "x", **given}), "own") == expected
    assert unit_of(experiment, Record.model_validate({"record_id": "own", **given}), "own") == expected
