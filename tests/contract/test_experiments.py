"""Experiments on a real router with a real log, in process and over gRPC: lots, grades, stopping, restarts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal

import pytest

from edgewise.errors import Conflict, InvalidInput, NotFound
from edgewise.types import Arm, ExperimentStatus, Grade, Privacy, Question, Record
from router.answering import Origin
from router.config import RouterSettings
from tests.experiments import CONTROL, OTHER, PILOT, ask, asked, get, start, stop
from tests.routers import ASKED, Place, Trying, a_cloud, an_edge, place

DEFAULT = RouterSettings(default_mode="cloud_only")


async def graded(place: Place, record: Record, score: float) -> None:
    await place.door.grade(Grade(record_id=record.record_id, grader="ada", score=score))


# --- who takes part ---------------------------------------------------------------------------------------------------


def test_questions_without_a_mode_are_dealt_and_their_records_say_so(tried: Trying) -> None:
    async def work(place: Place) -> None:
        await start(place, PILOT)
        records = [await ask(place, conversation_id=f"c{number}") for number in range(24)]
        again = [await ask(place, conversation_id=f"c{number}") for number in range(24)]
        assert {record.arm for record in records} == {CONTROL, OTHER}
        assert [record.arm for record in again] == [record.arm for record in records]
        for record in records:
            assert (record.mode, record.experiment, record.propensity) == (record.arm, "pilot", 0.5)
            assert record.mode_asked == "cloud_only"
            assert record.author == ("edge" if record.arm == CONTROL else "cloud")
        status = await get(place)
        assert [arm.answers for arm in status.arms] == [
            2 * [record.arm for record in records].count(mode) for mode in (CONTROL, OTHER)
        ]

    tried(work, settings=DEFAULT)


def test_who_names_a_mode_gets_it(tried: Trying) -> None:
    async def work(place: Place) -> None:
        await start(place, PILOT)
        for mode in ("cloud_only", "edge_only", "auto"):
            record = await ask(place, mode=mode, conversation_id="c")
            assert (record.mode_asked, record.experiment, record.arm, record.propensity) == (mode, "", "", 1.0)

    tried(work, settings=DEFAULT)


@pytest.mark.parametrize(
    ("given", "unknown"),
    [
        ({"privacy": Privacy.PRIVATE}, "allow"),
        ({"text": "May I pay with 4111 1111 1111 1111?"}, "allow"),
        ({}, "hold"),
    ],
)
def test_what_may_not_leave_takes_no_part(tried: Trying, given: dict[str, object], unknown: str) -> None:
    held: Literal["allow", "hold"] = "hold" if unknown == "hold" else "allow"

    async def work(place: Place) -> None:
        await start(place, PILOT)
        for number in range(8):
            record = await ask(place, **{"conversation_id": f"c{number}", **given})
            assert (record.experiment, record.arm, record.mode_asked) == ("", "", "edge_only")
        assert place.cloud.saw_nothing

    tried(work, settings=RouterSettings(default_mode="edge_only"), unknown=held)


def test_a_conversation_with_a_private_turn_takes_no_part(tried: Trying) -> None:
    async def work(place: Place) -> None:
        await start(place, PILOT)
        for number in range(8):
            talk = f"c{number}"
            await ask(place, mode="edge_only", conversation_id=talk, text="My salary is low", privacy=Privacy.PRIVATE)
            assert (await ask(place, conversation_id=talk)).experiment == ""
        assert place.cloud.saw_nothing

    tried(work, settings=RouterSettings(default_mode="edge_only"))


def test_comparisons_take_no_part(tmp_path: Path) -> None:
    async def main() -> None:
        async with place(tmp_path, an_edge(), a_cloud(), DEFAULT) as opened:
            await start(opened, PILOT)
            origin = Origin(question_id="q", isolated=True)
            async for _ in opened.router.ask(Question(text=ASKED), origin):
                pass
            [record] = await opened.records()
            assert (record.experiment, record.mode) == ("", "cloud_only")

    asyncio.run(main())


def test_what_one_arm_would_refuse_takes_no_part(tried: Trying) -> None:
    """A schema leaves +cot no room, whichever arm the lot would name."""

    async def work(place: Place) -> None:
        arms = (Arm(mode="cloud_only", weight=0.5), Arm(mode="edge_only+cot", weight=0.5))
        await start(place, PILOT.model_copy(update={"arms": arms}))
        place.cloud.answers[0] = place.cloud.answers[0].__class__("{}")
        for number in range(6):
            record = await ask(place, conversation_id=f"c{number}", response_schema='{"type": "object"}')
            assert record.experiment == ""

    tried(work, settings=DEFAULT)


def test_a_request_that_is_repeated_gets_the_same_answer_also_when_the_experiment_is_over(tried: Trying) -> None:
    async def work(place: Place) -> None:
        await start(place, PILOT)
        for number in range(8):
            first = await ask(place, request_id=f"r{number}")
            assert (await ask(place, request_id=f"r{number}")).record_id == first.record_id
        await stop(place)
        assert (await ask(place, request_id="r7")).record_id == first.record_id

    tried(work, settings=DEFAULT)


# --- grades -----------------------------------------------------------------------------------------------------------


def test_grades_are_counted_as_they_come_and_those_of_others_are_not(tried: Trying) -> None:
    async def work(place: Place) -> None:
        outside = await ask(place)
        await start(place, PILOT)
        records = [await ask(place, conversation_id=f"c{number}") for number in range(20)]
        await graded(place, outside, 0.0)
        for record in records:
            await graded(place, record, 1.0)
            await graded(place, record, 0.0)
        status = await get(place)
        assert sum(arm.graded for arm in status.arms) == 20
        assert [arm.grade for arm in status.arms] == [1.0, 1.0]
        [difference] = status.differences
        assert difference.units == 20
        assert difference.lo < 0 < difference.hi

    tried(work, settings=DEFAULT)


async def until_harm(place: Place, most: int = 400) -> ExperimentStatus:
    """Asks and grades: what the other arm says is always wrong."""
    for number in range(most):
        record = await ask(place, conversation_id=f"c{number}")
        if not record.experiment:
            return await get(place)
        await graded(place, record, float(record.arm == CONTROL))
    raise AssertionError("it never stopped")


def test_harm_ends_it_and_the_control_answers_until_somebody_says_otherwise(
    tried: Trying, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(place: Place) -> None:
        await start(place, PILOT)
        status = await until_harm(place)
        assert status.experiment.stopped_at
        assert "cloud_only is worse than edge_only" in status.experiment.stopped_because
        assert status.experiment.held
        [difference] = status.differences
        assert difference.hi < 0
        assert difference.units < 60
        assert "stopped by itself" in caplog.text
        for number in range(6):  # the default would be the arm that does harm
            record = await ask(place, conversation_id=f"late{number}")
            assert (record.mode, record.experiment, record.mode_asked) == (CONTROL, "", OTHER)
        released = await stop(place, "pilot")
        assert not released.experiment.held
        assert released.experiment.stopped_because == status.experiment.stopped_because
        assert (await ask(place)).mode == OTHER

    tried(work, settings=DEFAULT)


def test_harm_that_is_allowed_ends_nothing(tried: Trying) -> None:
    async def work(place: Place) -> None:
        await start(place, PILOT.model_copy(update={"harm": 0.9}))
        with pytest.raises(AssertionError, match="never stopped"):
            await until_harm(place, 60)
        assert not (await get(place)).experiment.stopped_at

    tried(work, settings=DEFAULT)


# --- starting, stopping, asking ---------------------------------------------------------------------------------------


def test_one_at_a_time_and_a_name_is_used_once(tried: Trying) -> None:
    async def work(place: Place) -> None:
        with pytest.raises(NotFound, match="experiment start"):
            await get(place)
        with pytest.raises(NotFound, match="no experiment is running"):
            await stop(place)
        started = await start(place, PILOT)
        assert started.experiment.started_at
        for name in ("pilot", "second"):
            with pytest.raises(Conflict, match="pilot is running"):
                await start(place, PILOT.model_copy(update={"name": name}))
        stopped = await stop(place)
        assert stopped.experiment.stopped_because == "stopped by hand"
        assert (await ask(place)).experiment == ""
        with pytest.raises(Conflict, match="new name"):
            await start(place, PILOT)
        with pytest.raises(InvalidInput, match="stopped already"):
            await stop(place, "pilot")
        await start(place, PILOT.model_copy(update={"name": "second"}))
        assert (await get(place)).experiment.name == "second"
        assert await get(place, "pilot") == stopped
        with pytest.raises(NotFound, match="third"):
            await get(place, "third")
        with pytest.raises(InvalidInput, match="no name"):
            await get(place, "../records")

    tried(work, settings=DEFAULT)


def test_bad_experiments_are_refused_and_leave_nothing(tried: Trying) -> None:
    async def work(place: Place) -> None:
        for given, words in (
            ({"arms": (Arm(mode="edge_only", weight=0.5), Arm(mode="best", weight=0.5))}, "no mode"),
            ({"arms": PILOT.arms[:1]}, "compares nothing"),
            ({"shadow": "auto"}, "shadow_usd"),
            ({"name": "a/b"}, "no name"),
        ):
            with pytest.raises(InvalidInput, match=words):
                await start(place, PILOT.model_copy(update=given))
        with pytest.raises(NotFound):
            await get(place)

    tried(work, settings=DEFAULT)


# --- restarts ---------------------------------------------------------------------------------------------------------


def opened_again(directory: Path, *works: Callable[[Place], Awaitable[None]]) -> None:
    """Each work on a router of its own, one after the other, with the same directory."""

    async def main() -> None:
        for work in works:
            async with place(directory, an_edge(), a_cloud(), DEFAULT) as opened:
                await work(opened)

    asyncio.run(main())


def test_it_goes_on_after_a_restart(tmp_path: Path) -> None:
    arms: dict[str, str] = {}
    before: list[ExperimentStatus] = []

    async def first(place: Place) -> None:
        await start(place, PILOT)
        for number in range(12):
            record = await ask(place, conversation_id=f"c{number}")
            arms[record.conversation_id] = record.arm
            if number % 2:
                await graded(place, record, 0.75)
        before.append(await get(place))

    async def second(place: Place) -> None:
        after = await get(place)
        assert after.arms == before[0].arms
        assert [one.units for one in after.differences] == [6]
        for name, arm in arms.items():
            assert (await ask(place, conversation_id=name)).arm == arm
        await graded(place, await asked(place, "c1"), 0.0)  # has counted before
        assert [one.units for one in (await get(place)).differences] == [6]
        await until_harm(place)

    async def third(place: Place) -> None:
        assert (await get(place)).experiment.held
        assert (await ask(place)).mode == CONTROL
        await stop(place)

    async def fourth(place: Place) -> None:
        assert (await ask(place)).mode == OTHER
        assert not (await get(place, "pilot")).experiment.held

    opened_again(tmp_path, first, second, third, fourth)


def test_a_damaged_file_stops_nothing_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def first(place: Place) -> None:
        await start(place, PILOT)

    async def second(place: Place) -> None:
        assert "damaged" in caplog.text
        assert (await ask(place)).experiment == ""
        with pytest.raises(Exception, match="damaged"):
            await get(place, "pilot")
        with pytest.raises(Conflict):
            await start(place, PILOT)
        await start(place, PILOT.model_copy(update={"name": "second"}))
        assert (await ask(place)).experiment == "second"

    opened_again(tmp_path, first)
    (tmp_path / "experiments" / "pilot.json").write_text("{")
    opened_again(tmp_path, second)


def test_a_name_whose_file_was_deleted_starts_from_nothing(tmp_path: Path) -> None:
    old: list[Record] = []

    async def first(place: Place) -> None:
        await start(place, PILOT)
        for number in range(6):
            old.append(await ask(place, conversation_id=f"c{number}"))
            await graded(place, old[-1], 1.0)
        await stop(place)

    async def second(place: Place) -> None:
        arms = (Arm(mode="edge_only+rag", weight=0.5), Arm(mode=CONTROL, weight=0.5))
        await start(place, PILOT.model_copy(update={"arms": arms}))
        for record in old:
            await graded(place, record, 0.0)
        status = await get(place)
        assert [(arm.answers, arm.graded) for arm in status.arms] == [(0, 0), (0, 0)]

    async def third(place: Place) -> None:
        assert [(arm.answers, arm.graded) for arm in (await get(place)).arms] == [(0, 0), (0, 0)]

    opened_again(tmp_path, first)
    (tmp_path / "experiments" / "pilot.json").unlink()
    opened_again(tmp_path, second, third)


def test_a_grade_is_kept_whatever_becomes_of_the_experiments_file(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        await start(place, PILOT)
        (tmp_path / "experiments" / "pilot.json").unlink()
        (tmp_path / "experiments" / "pilot.new").mkdir()
        status = await until_harm_without_status(place)
        assert status == (CONTROL, "")

    opened_again(tmp_path, work)


async def until_harm_without_status(place: Place) -> tuple[str, str]:
    for number in range(400):
        record = await ask(place, conversation_id=f"c{number}")
        if not record.experiment:
            return record.mode, record.experiment
        await graded(place, record, float(record.arm == CONTROL))
        assert len((await place.record(record.record_id)).grades) == 1
    raise AssertionError("it never stopped")
