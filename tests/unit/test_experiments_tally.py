"""What is known of an experiment: the same from the log as kept up with, each unit once, and shadows apart."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from edgewise.types import Arm, ArmDifference, Experiment, Grade, Record
from router.experiments.tally import Tally, is_of
from router.log import Log, now
from tests.routers import log_url

CONTROL, ARM, THIRD = "edge_only", "auto", "cloud_only"
PILOT = Experiment(
    name="pilot", arms=(Arm(mode=CONTROL, weight=0.5), Arm(mode=ARM, weight=0.5)), shadow=ARM, shadow_usd=1.0
)


def record(name: str, arm: str, unit: str = "", **given: object) -> Record:
    return Record.model_validate(
        {"record_id": name, "experiment": "pilot", "arm": arm, "mode": arm, "conversation_id": unit or name,
         "created_at": now(), "total_s": 1.0, **given}
    )  # fmt: skip


def grade(name: str, score: float, grader: str = "ada") -> Grade:
    return Grade(record_id=name, grader=grader, score=score, created_at=now())


def told(tally: Tally, one: Record, *scores: float, grader: str = "ada") -> None:
    tally.answered(one)
    for score in scores:
        tally.graded([(one, grade(one.record_id, score, grader))])


def only(tally: Tally) -> ArmDifference:
    [difference] = tally.differences
    return difference


def test_a_unit_counts_once_by_its_first_grade() -> None:
    tally = Tally(PILOT)
    told(tally, record("a", ARM, "talk"), 1.0, 0.0)
    told(tally, record("b", ARM, "talk"), 0.0)
    told(tally, record("c", CONTROL, "other"), 0.5)
    assert [(arm.answers, arm.graded, arm.grade) for arm in tally.arms] == [(1, 1, 0.5), (2, 1, 1.0)]
    assert only(tally).units == 2


def test_only_the_wanted_grader_counts() -> None:
    tally = Tally(PILOT.model_copy(update={"grader": "ada"}))
    told(tally, record("a", ARM), 0.0, grader="bob")
    assert only(tally).units == 0
    tally.graded([(record("a", ARM), grade("a", 1.0))])
    assert [arm.grade for arm in tally.arms] == [None, 1.0]


def test_means_are_of_what_is_known() -> None:
    tally = Tally(PILOT)
    for name, given in (("a", {"cost_usd": 0.5, "total_s": 2.0}), ("b", {"cost_usd": None, "total_s": 4.0})):
        told(tally, record(name, ARM, **given))
    told(tally, record("c", ARM, error="UNAVAILABLE", cost_usd=9.0, total_s=99.0))
    control, arm = tally.arms
    assert (arm.answers, arm.errors, arm.priced, arm.cost_usd, arm.total_s) == (2, 1, 1, 0.5, 3.0)
    assert (control.cost_usd, control.total_s, control.grade) == (None, None, None)


def test_a_shadow_is_in_no_contest_even_if_its_mode_is_an_arm() -> None:
    tally = Tally(PILOT)
    for place in range(50):
        told(tally, record(f"s{place}", ARM, shadow_of="a", conversation_id="", cost_usd=0.1), 1.0)
    assert tally.shadow is not None
    assert (tally.shadow.mode, tally.shadow.answers, tally.shadow.graded) == (ARM, 50, 50)
    assert only(tally) == ArmDifference(arm=ARM)
    assert [arm.answers for arm in tally.arms] == [0, 0]


def test_harm_is_seen_and_only_harm() -> None:
    for better, harmed in ((CONTROL, True), (ARM, False)):
        tally = Tally(PILOT)
        for place in range(100):
            arm = (CONTROL, ARM)[place % 2]
            told(tally, record(str(place), arm), float(arm == better))
        found = tally.harmed
        assert (found is not None) is harmed
        assert found is None or found.hi < 0


@pytest.mark.parametrize(("harm", "harmed"), [(0.0, True), (0.2, True), (0.9, False)])
def test_harm_has_a_size(harm: float, harmed: bool) -> None:
    tally = Tally(PILOT.model_copy(update={"harm": harm}))
    rng = random.Random(0)
    for place in range(600):
        arm = rng.choice((CONTROL, ARM))
        told(tally, record(str(place), arm), float(rng.random() < (0.8 if arm == CONTROL else 0.2)))
    assert (tally.harmed is not None) is harmed


def test_every_arm_is_held_against_the_control_and_p_is_for_all_of_them() -> None:
    arms = tuple(Arm(mode=mode, weight=weight) for mode, weight in ((CONTROL, 0.5), (ARM, 0.25), (THIRD, 0.25)))
    tally, alone = Tally(PILOT.model_copy(update={"arms": arms})), Tally(PILOT)
    rng = random.Random(1)
    for place in range(900):
        [arm] = rng.choices((CONTROL, ARM, THIRD), (0.5, 0.25, 0.25))
        told(tally, record(str(place), arm), float(rng.random() < {CONTROL: 0.5, ARM: 0.5, THIRD: 0.9}[arm]))
    same, better = tally.differences
    assert (same.arm, better.arm) == (ARM, THIRD)
    assert same.lo < 0 < same.hi
    assert 0 < better.lo < 0.4 < better.hi
    assert better.p_value < 0.05 < same.p_value
    assert same.units + better.units == 900 + tally.arms[0].graded
    assert alone.differences[0].units == 0


def test_who_grades_one_arm_only_is_told_of() -> None:
    tally = Tally(PILOT)
    for place in range(60):
        told(tally, record(str(place), ARM if place % 6 else CONTROL), 1.0)
    assert "50 graded of auto and 10 of edge_only" in only(tally).remark


@pytest.mark.parametrize(
    "given", [{"experiment": "other"}, {"created_at": "2000-01-01T00:00:00.000+00:00"}, {"arm": THIRD}, {"arm": ""}]
)
def test_records_of_another_experiment_are_none_of_this_one_whatever_its_name(given: dict[str, str]) -> None:
    experiment = PILOT.model_copy(update={"started_at": now()})
    assert is_of(experiment, record("a", ARM))
    assert is_of(experiment, record("a", "agent", shadow_of="b"))
    assert not is_of(experiment, record("a", ARM).model_copy(update=given))


def test_from_the_log_it_is_what_it_was(tmp_path: Path) -> None:
    """Several pages of records, of which not all are of the experiment."""

    async def main() -> None:
        log = await Log.open(log_url(tmp_path))
        experiment, rng = PILOT.model_copy(update={"started_at": now()}), random.Random(0)
        kept = Tally(experiment)
        for place in range(500):
            arm = rng.choice((CONTROL, ARM))
            one = record(f"r{place}", arm, f"c{rng.randrange(300)}", error="CANCELLED" if place % 50 == 0 else "")
            if place % 7 == 0:
                one = one.model_copy(update={"experiment": "", "arm": ""})
            elif place % 11 == 0:
                one = one.model_copy(update={"shadow_of": f"r{place - 1}", "arm": ARM, "conversation_id": ""})
            await log.write(one, ())
            if one.experiment:
                kept.answered(one)
            if place % 3 == 0:
                given = await log.grade(grade(one.record_id, rng.random()))
                await asyncio.sleep(0.0015)  # so that no two grades are of one millisecond
                if one.experiment:
                    kept.graded([(one, given)])
        again = await Tally.of(experiment, log)
        await log.close()
        assert again.arms == kept.arms
        assert again.shadow == kept.shadow
        assert only(again).units == only(kept).units > 80
        for name in ("difference", "lo", "hi", "p_value"):
            assert getattr(only(again), name) == pytest.approx(getattr(only(kept), name), abs=1e-9)

    asyncio.run(main())
