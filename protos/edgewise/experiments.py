"""Experiments on live questions: how they are set up, and what is known of them so far."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from edgewise.knowledge import CostBasis
from edgewise.texts import Value


class Arm(Value):
    """A mode or variant, and the share of the questions that it gets."""

    mode: str = Field(max_length=200)
    weight: float = Field(gt=0.0, le=1.0)


class Experiment(Value):
    """Who answers questions that name no mode, by lot; the first arm is the control.

    All questions of one `unit` get the same arm. `shadow` is a mode that is asked beside the control's answers, for
    `shadow_usd` in all. It stops by itself when an arm is shown to be worse than the control by more than `harm`, and
    then `held` says that the control still answers. Only grades of `grader` count; of everybody, if that is empty.
    """

    name: str = Field(max_length=60)
    arms: tuple[Arm, ...]
    unit: Literal["conversation", "user", "question"] = "conversation"
    shadow: str = Field(default="", max_length=200)
    shadow_usd: float | None = Field(default=None, ge=0.0, allow_inf_nan=False)
    harm: float = Field(default=0.0, ge=0.0, le=1.0)
    grader: str = Field(default="", max_length=200)
    started_at: str = ""
    stopped_at: str = ""
    stopped_because: str = ""
    held: bool = False

    @field_validator("unit", mode="before")
    @classmethod
    def _unset_is_conversation(cls, unit: object) -> object:
        return unit or "conversation"


class ArmFigures(Value):
    """What an arm did, or a shadow.

    `graded` are the units that count, and `grade` is their mean. `cost_usd` is the mean over the `priced` answers whose
    cost is known, on the weakest `cost_basis` of them, `total_s` the mean time of an answer; answers that failed are in
    `errors` and nowhere else.
    """

    mode: str
    answers: int = 0
    errors: int = 0
    graded: int = 0
    grade: float | None = None
    priced: int = 0
    cost_usd: float | None = None
    total_s: float | None = None
    cost_basis: CostBasis | None = None


class ArmDifference(Value):
    """How much better than the control an arm is graded: the mean over `units`, the graded ones of these two arms.

    `lo` to `hi` holds at every moment together, with 95 % over all arms; so does `p_value`. `units_needed` is a rough
    guess of how many would decide if it goes on like this. `remark` says what throws doubt on the comparison.
    """

    arm: str
    units: int = 0
    difference: float | None = None
    lo: float = -1.0
    hi: float = 1.0
    p_value: float = 1.0
    units_needed: int | None = None
    remark: str = ""


class Skipped(Value):
    """Why questions were not asked in the shadow mode as well, and how many."""

    reason: str
    count: int = 0


class ExperimentStatus(Value):
    """An experiment so far, or as it was when it was stopped."""

    experiment: Experiment
    arms: tuple[ArmFigures, ...] = ()
    differences: tuple[ArmDifference, ...] = ()
    shadow: ArmFigures | None = None
    shadow_spent_usd: float = 0.0
    shadow_skipped: tuple[Skipped, ...] = ()
