"""Shadow traffic on a real router with a real log: unseen, never private, never over its money, never in the way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from edgewise.errors import CloudUnavailable, EdgeUnavailable
from edgewise.types import Arm, Experiment, ExperimentStatus, Privacy, Record, SideStatus
from router.config import RouterSettings
from router.experiments import shadow
from tests.experiments import CONTROL, OTHER, ask, get, start, stop
from tests.routers import Place, Trying, a_cloud, an_edge, place, until
from tests.sides import FakeCloud, FakeEdge, Say

SHADOWED = Experiment(name="beside", arms=(Arm(mode=CONTROL, weight=1.0),), shadow=OTHER, shadow_usd=1.0)
SETTINGS = RouterSettings(default_mode=CONTROL)
# A plain answer may cost some 150 millionths of a dollar, and costs some 20 of them: four times that is reserved.
FOR_A_FEW = 0.000_25


async def idle(place: Place) -> ExperimentStatus:
    """Once nothing of a shadow is going on: every question was asked or left out."""
    await until(lambda: not any("Shadow._ask" in repr(task.get_coro()) for task in asyncio.all_tasks()))
    return await get(place)


async def shadows(place: Place) -> list[Record]:
    """The newest first, all written and settled."""
    await idle(place)
    return [one for one in await place.records() if one.shadow_of]


def left_out(status: ExperimentStatus) -> dict[str, int]:
    return {one.reason: one.count for one in status.shadow_skipped}


def test_the_control_is_heard_and_the_shadow_is_recorded(tried: Trying) -> None:
    async def work(place: Place) -> None:
        await start(place, SHADOWED)
        record = await ask(place, conversation_id="c", user_id="ada", request_id="r")
        assert (record.author, record.mode, record.experiment, record.shadow_of) == ("edge", CONTROL, "beside", "")
        [beside] = await shadows(place)
        assert (beside.shadow_of, beside.experiment, beside.arm) == (record.record_id, "beside", OTHER)
        assert (beside.mode, beside.author, beside.question) == (OTHER, "cloud", record.question)
        assert (beside.conversation_id, beside.request_id, beside.propensity) == ("", "", None)
        status = await idle(place)
        assert status.shadow is not None
        assert (status.shadow.answers, status.shadow.cost_usd) == (1, beside.cost_usd)
        assert status.shadow_spent_usd == beside.cost_usd
        assert [options.priority for options in place.cloud.options] == ["batch"]
        assert [options.priority for options in place.edge.options] == ["interactive"]

    tried(work, settings=SETTINGS)


def test_a_shadow_answer_is_no_turn_and_no_request(tried: Trying) -> None:
    async def work(place: Place) -> None:
        await start(place, SHADOWED)
        first = await ask(place, conversation_id="c", request_id="r1")
        await idle(place)
        await ask(place, conversation_id="c", request_id="r2", text="And the tram?")
        await idle(place)
        said = [message.content.value for message in place.edge.prompts[-1].messages[1:]]
        assert said == [first.question, first.answer, "And the tram?"]
        assert [message.content.value for message in place.cloud.prompts[-1].messages[1:]] == said
        assert (await ask(place, conversation_id="c", request_id="r1")).record_id == first.record_id
        assert len(place.cloud.prompts) == 2  # what is answered from its record has no shadow

    tried(work, settings=SETTINGS)


def test_nothing_is_asked_before_the_controls_answer_is_complete(tried: Trying) -> None:
    async def work(place: Place) -> None:
        await start(place, SHADOWED)
        asking = asyncio.create_task(ask(place))
        await place.edge.hanging.wait()
        await asyncio.sleep(0.05)
        assert place.cloud.saw_nothing
        asking.cancel()
        await asyncio.wait({asking})
        await place.records(at_least=1)
        await ask(place, mode="edge_only")
        assert place.cloud.saw_nothing  # no answer, or a mode that was named: no shadow

    edge = an_edge()
    edge.answers.insert(0, Say("The ferry", after=1, hangs=True))
    tried(work, edge, settings=SETTINGS)


def test_only_the_control_has_a_shadow(tried: Trying) -> None:
    async def work(place: Place) -> None:
        arms = (Arm(mode=CONTROL, weight=0.5), Arm(mode="edge_only+cot", weight=0.5))
        await start(place, SHADOWED.model_copy(update={"arms": arms}))
        records = []
        for number in range(10):
            records.append(await ask(place, conversation_id=f"c{number}"))
            await idle(place)
        of_control = {record.record_id for record in records if record.arm == CONTROL}
        assert 0 < len(of_control) < 10
        assert {one.shadow_of for one in await shadows(place)} == of_control

    tried(work, settings=SETTINGS)


@pytest.mark.parametrize("mode", [OTHER, "cloud_info_edge_rag", "edge_only+rag"])
@pytest.mark.parametrize("given", [{"privacy": Privacy.PRIVATE}, {"text": "Is ada@example.org mine?"}])
def test_what_is_private_has_no_shadow(tried: Trying, mode: str, given: dict[str, object]) -> None:
    async def work(place: Place) -> None:
        await start(place, SHADOWED.model_copy(update={"shadow": mode}))
        for _ in range(3):
            await ask(place, **given)
        await asyncio.sleep(0.05)
        assert [record.shadow_of for record in await place.records()] == ["", "", ""]
        assert place.cloud.saw_nothing

    tried(work, settings=SETTINGS)


def test_the_device_keeps_nothing_of_a_shadow(tried: Trying) -> None:
    async def work(place: Place) -> None:
        await start(place, SHADOWED.model_copy(update={"shadow": "cloud_info_edge_rag"}))
        await ask(place)
        await idle(place)
        assert len(place.cloud.queries) == 1
        assert place.edge.kept == ()
        await ask(place, mode="cloud_info_edge_rag")
        await until(lambda: place.edge.kept != ())

    tried(work, settings=SETTINGS)


# --- money ------------------------------------------------------------------------------------------------------------


def spent(records: list[Record]) -> float:
    costs = [record.cost_usd for record in records]
    assert None not in costs
    return sum(cost or 0.0 for cost in costs)


def test_the_money_lasts_as_long_as_the_worst_case_fits_and_is_never_exceeded(tried: Trying) -> None:
    async def work(place: Place) -> None:
        await start(place, SHADOWED.model_copy(update={"shadow_usd": FOR_A_FEW}))
        for number in range(12):
            await ask(place, conversation_id=f"c{number}")
            await idle(place)
        status = await get(place)
        done = await shadows(place)
        assert 0 < len(done) < 12
        assert left_out(status) == {shadow.NO_MONEY: 12 - len(done)}
        assert status.shadow_spent_usd == pytest.approx(spent(done))
        assert spent(done) <= FOR_A_FEW

    tried(work, settings=SETTINGS)


def test_the_money_holds_with_many_at_once_and_only_one_shadow_runs(tried: Trying) -> None:
    async def work(place: Place) -> None:
        await start(place, SHADOWED.model_copy(update={"shadow_usd": FOR_A_FEW}))
        for _ in range(4):
            await asyncio.gather(*(ask(place) for _ in range(8)))
        status = await idle(place)
        done = [one for one in await place.records() if one.shadow_of]
        assert spent(done) <= FOR_A_FEW
        assert status.shadow_spent_usd == pytest.approx(spent(done))
        assert sum(left_out(status).values()) + len(done) == 32
        assert set(left_out(status)) <= {shadow.NO_MONEY, shadow.OTHERS_WAITED, shadow.ONE_AT_A_TIME}

    tried(work, cloud=a_cloud(Say("Nobody sails before noon", delay_s=0.02)), settings=SETTINGS)


def opened_again(directory: Path, *works: tuple[FakeEdge, FakeCloud, Callable[[Place], Awaitable[None]]]) -> None:
    """Each work on a router of its own, one after the other, with the same directory."""

    async def main() -> None:
        for edge, cloud, work in works:
            async with place(directory, edge, cloud, SETTINGS) as opened:
                await work(opened)

    asyncio.run(main())


def test_the_money_holds_across_restarts(tmp_path: Path) -> None:
    async def first(place: Place) -> None:
        await start(place, SHADOWED.model_copy(update={"shadow_usd": FOR_A_FEW}))

    async def later(place: Place) -> None:
        for number in range(2):
            await ask(place, conversation_id=f"c{number}")
            await idle(place)

    async def last(place: Place) -> None:
        status = await get(place)
        done = await shadows(place)
        assert 0 < len(done) < 16
        assert left_out(status) == {shadow.NO_MONEY: 16 - len(done)}
        assert status.shadow_spent_usd == pytest.approx(spent(done))
        assert spent(done) <= FOR_A_FEW

    opened_again(
        tmp_path, (an_edge(), a_cloud(), first), *[(an_edge(), a_cloud(), later)] * 8, (an_edge(), a_cloud(), last)
    )


def test_what_was_not_settled_counts_as_spent(tmp_path: Path) -> None:
    """The router goes while the cloud is writing, so that nobody learns what it cost."""
    hanging = a_cloud(Say("Nobody sails", after=1, hangs=True))

    async def first(place: Place) -> None:
        await start(place, SHADOWED.model_copy(update={"shadow_usd": FOR_A_FEW}))
        await ask(place)
        await place.cloud.hanging.wait()

    async def second(place: Place) -> None:
        status = await get(place)
        assert status.shadow_spent_usd == pytest.approx(FOR_A_FEW)
        [beside] = await shadows(place)
        assert (beside.error, beside.cost_usd) == ("CANCELLED", None)
        await ask(place)
        assert left_out(await idle(place)) == {shadow.NO_MONEY: 1}
        assert place.cloud.saw_nothing

    opened_again(tmp_path, (an_edge(), hanging, first), (an_edge(), a_cloud(), second))


def test_money_is_reserved_on_disk_before_anything_is_asked(tmp_path: Path) -> None:
    """As a kill would leave it: the file is read while the cloud is still writing."""
    hanging = a_cloud(Say("Nobody sails", hangs=True))
    left: list[str] = []

    async def first(place: Place) -> None:
        await start(place, SHADOWED.model_copy(update={"shadow_usd": FOR_A_FEW}))
        await ask(place)
        await place.cloud.hanging.wait()
        left.append((tmp_path / "experiments" / "beside.json").read_text())

    async def second(place: Place) -> None:
        assert (await get(place)).shadow_spent_usd == pytest.approx(FOR_A_FEW)

    opened_again(tmp_path, (an_edge(), hanging, first))
    (tmp_path / "experiments" / "beside.json").write_text(left[0])
    opened_again(tmp_path, (an_edge(), a_cloud(), second))


@pytest.mark.parametrize("change", ["price", "fetch", "down", "file"])
def test_what_speaks_against_a_shadow_is_counted(tmp_path: Path, change: str) -> None:
    async def work(place: Place) -> None:
        await start(place, SHADOWED)
        match change:
            case "price":
                place.cloud.usd_per_mtok = None
            case "fetch":
                place.cloud.usd_per_fetch = None
            case "down":
                place.cloud.down = CloudUnavailable("no cloud is there; start one")
            case "file":
                (tmp_path / "experiments" / "beside.new").mkdir()
        await ask(place)
        await asyncio.sleep(0.05)
        reasons = {
            "price": shadow.NO_PRICE, "fetch": shadow.NO_PRICE, "down": shadow.NO_CLOUD, "file": shadow.NO_FILE
        }  # fmt: skip
        assert left_out(await idle(place)) == {reasons[change]: 1}
        assert (await get(place)).shadow_spent_usd == 0
        assert place.cloud.saw_nothing
        if change == "file":
            (tmp_path / "experiments" / "beside.new").rmdir()

    opened_again(tmp_path, (an_edge(), a_cloud(), work))


def test_a_shadow_that_stays_on_the_device_needs_no_price(tried: Trying) -> None:
    async def work(place: Place) -> None:
        await start(place, SHADOWED.model_copy(update={"shadow": "edge_only+rag"}))
        await ask(place)
        [beside] = await shadows(place)
        assert beside.author == "edge"
        assert [options.priority for options in place.edge.options] == ["interactive", "batch"]

    cloud = a_cloud()
    cloud.usd_per_mtok = None
    tried(work, cloud=cloud, settings=SETTINGS)


# --- trouble ----------------------------------------------------------------------------------------------------------


def test_a_shadow_that_fails_is_recorded_and_the_next_one_is_asked(tried: Trying) -> None:
    async def work(place: Place) -> None:
        await start(place, SHADOWED.model_copy(update={"shadow": "edge_only+rag"}))
        for _ in range(2):
            await ask(place)
            await idle(place)
        good, bad = await shadows(place)
        assert (bad.error, good.error) == ("UNAVAILABLE", "")
        status = await get(place)
        assert status.shadow is not None
        assert (status.shadow.errors, status.shadow.answers) == (1, 1)

    edge = an_edge()
    right = edge.answers[0]
    edge.answers = [right, Say("The ferry", error=EdgeUnavailable("it crashed; ask again")), right]
    tried(work, edge, settings=SETTINGS)


def test_nobody_waits_for_a_shadow(tried: Trying) -> None:
    """It hangs for ever; questions go on, and stopping does not wait."""

    async def work(place: Place) -> None:
        await start(place, SHADOWED)
        assert (await ask(place)).author == "edge"
        await place.cloud.hanging.wait()
        for _ in range(2):
            assert (await ask(place)).author == "edge"
        assert left_out(await get(place)) == {shadow.ONE_AT_A_TIME: 2}
        status = await stop(place)
        assert place.cloud.cut_short == 1
        assert status.shadow is not None
        assert status.shadow.errors == 1
        assert (await get(place)) == status

    tried(work, cloud=a_cloud(Say("never", hangs=True)), settings=SETTINGS)


def test_a_shadow_that_was_not_asked_yet_when_stopping_is_counted_and_free(tmp_path: Path) -> None:
    async def first(place: Place) -> None:
        await start(place, SHADOWED)
        await ask(place)

    async def second(place: Place) -> None:
        status = await get(place)
        assert status.shadow is not None
        assert (left_out(status), status.shadow_spent_usd, status.shadow.errors) == ({shadow.STOPPING: 1}, 0.0, 0)

    class Slow(FakeCloud):
        async def status(self) -> SideStatus:
            await asyncio.sleep(0.2)
            return await super().status()

    slow = Slow(Say("Nobody sails"), usd_per_mtok=1.0)
    opened_again(tmp_path, (an_edge(), slow, first), (an_edge(), a_cloud(), second))


def test_a_shadow_gives_way_while_others_are_being_answered(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        await start(place, SHADOWED)
        waiting = asyncio.create_task(ask(place, mode="edge_only"))
        await place.edge.hanging.wait()
        await ask(place)
        assert left_out(await get(place)) == {shadow.OTHERS_WAITED: 1}
        waiting.cancel()
        await asyncio.wait({waiting})

    edge = an_edge()
    edge.answers.insert(0, Say("The ferry", after=1, hangs=True))
    opened_again(tmp_path, (edge, a_cloud(), work))
