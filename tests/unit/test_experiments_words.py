"""What `edgewise experiment` says: what is known, what is not yet, and nothing wider than a terminal."""

from __future__ import annotations

import pytest

from edgewise.errors import InvalidInput
from edgewise.types import Arm, ArmDifference, ArmFigures, CostBasis, Experiment, ExperimentStatus, Skipped
from router.cli.experiment import arms_of, lines_of

PILOT = Experiment(
    name="pilot",
    arms=(Arm(mode="edge_only+rag+long_context", weight=0.5), Arm(mode="cloud_info_edge_rag", weight=0.5)),
    started_at="2026-11-25T15:00:00.000+00:00",
)
FIGURES = (
    ArmFigures(mode="edge_only+rag+long_context", answers=123_456, errors=10_000, graded=9_999, grade=0.61,
               priced=1, cost_usd=0.012345, total_s=12.5),
    ArmFigures(mode="cloud_info_edge_rag"),
)  # fmt: skip


def said(**given: object) -> str:
    difference = ArmDifference.model_validate({"arm": "cloud_info_edge_rag", **given})
    lines = lines_of(ExperimentStatus(experiment=PILOT, arms=FIGURES, differences=(difference,)))
    assert all(len(line) <= 80 for line in lines)
    assert [line.split()[0] for line in lines[-3:]] == ["arm", *(arm.mode for arm in PILOT.arms)]
    return " ".join(" ".join(lines).split())


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "no graded conversation of cloud_info_edge_rag or edge_only+rag+long_context yet"),
        (
            {"units": 412, "difference": 0.12, "lo": 0.03, "hi": 0.21, "p_value": 0.0},
            "cloud_info_edge_rag is better than edge_only+rag+long_context by 0.12 (0.03 to 0.21 at any time), p = 0",
        ),
        (
            {"units": 412, "difference": -0.12, "lo": -0.21, "hi": -0.03, "p_value": 0.001},
            "is worse than edge_only+rag+long_context by 0.12 (0.03 to 0.21 at any time)",
        ),
        (
            {"units": 40, "difference": 0.5, "lo": -0.1, "hi": 1.0, "units_needed": 1234},
            "+0.50 (-0.10 to +1.00 at any time); if it goes on like this, some 1,234 would decide",
        ),
        ({"units": 412, "difference": 0.12, "lo": 0.03, "hi": 0.21}, "after 412 graded conversations: "),
        ({"units": 1, "difference": 0.5, "hi": 0.9}, "after 1 graded conversation it is open whether"),
        ({"units": 4, "difference": -0.29, "units_needed": 81}, "after 4 graded conversations nothing can be said yet"),
        ({"units": 9, "difference": 0.0, "remark": "somebody chose"}, "but somebody chose"),
    ],
)
def test_what_is_known_is_said_in_words(given: dict[str, object], words: str) -> None:
    assert words in said(**given)


def test_unknown_is_not_zero() -> None:
    lines = lines_of(ExperimentStatus(experiment=PILOT, arms=FIGURES))
    assert lines[-1].split()[1:] == ["0.50", "0", "0", "0", "-", "-", "-"]
    unpriced = FIGURES[0].model_copy(update={"priced": 0, "cost_usd": None})
    assert "unknown" in lines_of(ExperimentStatus(experiment=PILOT, arms=(unpriced,)))[-1]


def test_a_stop_and_a_shadow_are_told_of() -> None:
    stopped = PILOT.model_copy(
        update={"stopped_at": "2026-11-26T08:00:00.000+00:00", "stopped_because": "it did harm", "held": True,
                "shadow": "auto", "shadow_usd": 0.5}
    )  # fmt: skip
    status = ExperimentStatus(
        experiment=stopped, arms=FIGURES, shadow=ArmFigures(mode="auto", answers=3), shadow_spent_usd=0.1,
        shadow_skipped=(Skipped(reason="others waited", count=1200),),
    )  # fmt: skip
    text = "\n".join(lines_of(status))
    assert "because: it did harm" in text
    assert "`edgewise experiment stop pilot`" in text
    assert "spent $0.100000 of $0.5" in text
    assert "1,200 left out: others waited" in text


def test_arms_are_read_with_all_weights_or_none() -> None:
    assert arms_of(["edge_only=0.3", "edge_only+rag=0.7"]) == (
        Arm(mode="edge_only", weight=0.3), Arm(mode="edge_only+rag", weight=0.7)
    )  # fmt: skip
    assert [arm.weight for arm in arms_of(["edge_only", "auto", "agent"])] == [1 / 3] * 3
    for given, words in ((["edge_only=0.5", "auto"], "all arms a weight"), (["auto=half", "agent=half"], "a number")):
        with pytest.raises(InvalidInput, match=words):
            arms_of(given)


def test_money_that_nobody_was_billed_is_called_so() -> None:
    notional = FIGURES[0].model_copy(update={"cost_basis": CostBasis.NOTIONAL})
    status = ExperimentStatus(experiment=PILOT, arms=(notional,), shadow=notional, shadow_spent_usd=0.5)
    lines = lines_of(status)
    assert "$ each is notional: nobody was billed so much" in lines
    assert any("has spent $0.500000 (notional) of" in line for line in lines)
    billed = FIGURES[0].model_copy(update={"cost_basis": CostBasis.BILLED})
    assert not any("billed" in line for line in lines_of(ExperimentStatus(experiment=PILOT, arms=(billed,))))
