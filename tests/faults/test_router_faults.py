"""What breaks under the router: a side that crashes, a database that fails, callers who stall or leave in crowds."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from cloud.client import NoCloud
from edgewise.errors import CloudUnavailable, EdgeUnavailable, EdgewiseError, Internal, NotReady
from edgewise.types import Event, Grade
from router.config import RouterSettings
from router.log import Backlog, Log
from router.service import Router
from tests.boundaries import ALLOWING
from tests.routers import (
    HANGS,
    VARIANTS,
    Heard,
    Place,
    Way,
    a_cloud,
    an_edge,
    an_edge_that_hangs,
    collect,
    log_url,
    place,
    question,
    until,
)
from tests.sides import UNSURE, FakeCloud, FakeEdge, Say

CRASH = EdgeUnavailable("the edge node went away; it is started again")
EDGE_MODES = [mode for mode in VARIANTS if not mode.startswith("cloud_only")]


def tried(
    directory: Path,
    work: Callable[[Place], Awaitable[None]],
    edge: FakeEdge | None = None,
    cloud: FakeCloud | None = None,
    settings: RouterSettings = RouterSettings(gain_threshold=1),
    *,
    way: Way = "in process",
    records_wait: bool = False,
) -> None:
    async def main() -> None:
        sides = edge or an_edge(), cloud or a_cloud()
        async with place(directory, *sides, settings, way=way, records_wait=records_wait) as opened:
            await work(opened)

    asyncio.run(main())


# --- the edge ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", EDGE_MODES)
@pytest.mark.parametrize("after", [0, 1])
def test_an_edge_that_crashes_fails_this_answer_and_not_the_next(tmp_path: Path, mode: str, after: int) -> None:
    async def work(place: Place) -> None:
        with pytest.raises(EdgeUnavailable, match="started again"):
            await place.ask(question(mode))
        assert (await place.records())[0].error == "UNAVAILABLE"
        assert (await place.ask(question(mode))).text

    edge = an_edge()
    edge.tools = ()
    edge.answers.insert(0, Say("The ferry sails", after=after, error=CRASH))
    tried(tmp_path, work, edge, way="over gRPC")


def test_an_edge_that_crashes_beside_the_cloud_stops_the_cloud(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        with pytest.raises(EdgeUnavailable):
            await place.ask(question("post_arbitration"))
        assert place.cloud.cut_short == 1
        [record] = await place.records()
        assert {call.side: call.error for call in await place.log.calls(record.record_id)} == {
            "edge": "UNAVAILABLE",
            "cloud": "CANCELLED",
        }

    tried(tmp_path, work, FakeEdge(Say("x", delay_s=0.02, error=CRASH)), a_cloud(HANGS))


def test_a_private_question_whose_edge_fails_goes_nowhere_else(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        place.edge.down = CRASH
        for mode in EDGE_MODES:
            with pytest.raises(EdgewiseError):
                await place.ask(question(mode, privacy="PRIVATE"))
        assert place.cloud.saw_nothing

    tried(tmp_path, work)


def test_an_edge_that_is_not_up_yet_is_an_error_with_a_record(tmp_path: Path) -> None:
    async def main() -> None:
        async def not_ready() -> None:
            raise CRASH

        records = await Log.open(log_url(tmp_path))
        router = Router(an_edge(), a_cloud(), records, ALLOWING, RouterSettings(), edge_ready=not_ready)
        with pytest.raises(EdgeUnavailable):
            await collect(router.ask(question("edge_only")), [])
        assert [record.error for record in await router.records()] == ["UNAVAILABLE"]
        await records.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    "say",
    [
        Say("The ferry sails", after=1, error=RuntimeError("secret detail")),
        Say("The ferry sails", after=1, error=TimeoutError("secret detail")),  # of something of ours, not the caller's
        Say("The ferry", never_ends=True),
    ],
)
@pytest.mark.parametrize("way", ["in process", "over gRPC"])
def test_a_fault_of_ours_is_internal_and_logged_and_the_next_question_is_answered(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, say: Say, way: Way
) -> None:
    async def work(place: Place) -> None:
        with pytest.raises(Internal, match="log") as caught:
            await place.ask(question("edge_only"))
        assert "secret detail" not in caught.value.message
        [record] = await place.records()
        assert record.error == "INTERNAL"
        [call] = await place.log.calls(record.record_id)
        assert call.response.startswith("The ")
        assert (await place.ask(question("edge_only"))).text

    caplog.set_level(logging.ERROR)
    tried(tmp_path, work, FakeEdge(say, Say("fine")), way=way)
    assert ("secret detail" in caplog.text) is (say.error is not None)


# --- the cloud --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", VARIANTS)
def test_without_any_cloud_every_mode_answers(tmp_path: Path, mode: str) -> None:
    async def main() -> None:
        records = await Log.open(log_url(tmp_path))
        edge = an_edge(UNSURE, knows="rag" in mode)
        router = Router(edge, NoCloud(), records, ALLOWING, RouterSettings(gain_threshold=0))
        done = Heard(tuple([event async for event in router.ask(question(mode))])).done
        assert done.author == "edge"
        assert done.degraded is not (mode.startswith("edge_only"))
        assert ("cloud.address" in done.reason) is done.degraded
        await records.close()

    asyncio.run(main())


def test_a_cloud_that_comes_back_is_used_again(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        place.cloud.down = CloudUnavailable("gone")
        assert (await place.ask(question("cloud_only"))).done.author == "edge"
        place.cloud.down = None
        done = (await place.ask(question("cloud_only"))).done
        assert (done.author, done.degraded) == ("cloud", False)

    tried(tmp_path, work)


# --- the database -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["in process", "over gRPC"])
def test_an_answer_that_cannot_be_recorded_is_an_error_until_the_database_works_again(tmp_path: Path, way: Way) -> None:
    async def work(place: Place) -> None:
        with sqlite3.connect(tmp_path / "records.db") as connection:
            connection.execute("ALTER TABLE records RENAME TO lost")
            with pytest.raises(NotReady, match="record database failed"):
                await place.ask(question("edge_only"))
            connection.execute("ALTER TABLE lost RENAME TO records")
        connection.close()
        assert (await place.ask(question("edge_only"))).text
        assert len(await place.records()) == 1

    tried(tmp_path, work, way=way)


@pytest.mark.parametrize("way", ["in process", "over gRPC"])
def test_questions_are_answered_without_the_database_and_their_records_written_later(tmp_path: Path, way: Way) -> None:
    async def work(place: Place) -> None:
        before = (await place.ask(question("edge_only", conversation_id="c"))).done.record_id
        with sqlite3.connect(tmp_path / "records.db") as connection:
            connection.execute("ALTER TABLE records RENAME TO lost")
            first = await place.ask(question("edge_only", request_id="1"))
            again = await place.ask(question("edge_only", request_id="1"))
            assert (again.done.record_id, again.text) == (first.done.record_id, first.text)
            graded = await place.door.grade(Grade(record_id=first.done.record_id, grader="me", score=1))
            assert (await place.record(first.done.record_id)).grades == (graded,)
            with pytest.raises(NotReady, match="cannot be continued now"):
                await place.ask(question("edge_only", conversation_id="c"))
            assert place.router.backlog.count == 3
            assert "record database failed" in place.router.backlog.reason
            assert b"edgewise_records_queued 3.0" in place.router.metrics.text()
            connection.execute("ALTER TABLE lost RENAME TO records")
        connection.close()
        await until(lambda: place.router.backlog == Backlog())
        failed, written, oldest = await place.records()
        assert failed.error == "FAILED_PRECONDITION"
        assert (written.record_id, oldest.record_id) == (first.done.record_id, before)
        assert written.grades == (graded,)
        [mode] = await place.router.tally()
        assert (mode.mode, mode.n, mode.errors, mode.graded) == ("edge_only", 3, 1, 1)
        assert b"edgewise_records_queued 0.0" in place.router.metrics.text()

    tried(tmp_path, work, way=way, records_wait=True)


def test_a_database_that_another_program_holds_for_a_moment_is_waited_for(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        other = sqlite3.connect(tmp_path / "records.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        asking = asyncio.create_task(place.ask(question("edge_only")))
        await until(lambda: place.edge.tokens == 5)
        await asyncio.sleep(0.1)
        assert not asking.done()
        other.execute("COMMIT")
        other.close()
        assert (await asking).done.record_id

    tried(tmp_path, work)


# --- callers ----------------------------------------------------------------------------------------------------------


def test_a_caller_who_stalls_stops_the_edge_instead_of_filling_memory(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        async with aclosing(place.router.ask(question("edge_only"))) as events:
            await anext(events)
            await asyncio.sleep(0.05)
            assert place.edge.tokens < 200
            seen = [event async for event in events]
        assert len(seen) == 5000  # the other tokens, and Done
        assert place.edge.tokens == 5000

    tried(tmp_path, work, FakeEdge(Say("word " * 5000)))


def test_who_stalls_is_given_up_when_the_time_is_over(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        async with aclosing(place.router.ask(question("edge_only", max_latency_s=0.05))) as events:
            await anext(events)
            await until(lambda: place.edge.cut_short == 1)
        assert [record.error for record in await place.records(at_least=1)] == ["DEADLINE_EXCEEDED"]

    tried(tmp_path, work, FakeEdge(Say("word " * 5000)))


@pytest.mark.parametrize("way", ["in process", "over gRPC"])
def test_a_crowd_is_answered_without_mixing_and_everybody_is_recorded(tmp_path: Path, way: Way) -> None:
    async def work(place: Place) -> None:
        async def ask(number: int) -> None:
            heard = await place.ask(question("post_arbitration", text=f"Question {number}?"))
            record = await place.record(heard.done.record_id)
            assert (record.question, record.answer) == (f"Question {number}?", heard.text)
            calls = await place.log.calls(record.record_id)
            assert {call.side for call in calls} == {"edge", "cloud"}
            assert all(f"Question {number}?" in call.request for call in calls)

        async with asyncio.TaskGroup() as group:
            for number in range(30):
                group.create_task(ask(number))
        assert len({record.record_id for record in await place.records()}) == 30

    edge, cloud = FakeEdge(Say("a b c", logprob=UNSURE, delay_s=0.01)), a_cloud(Say("x y z", delay_s=0.01))
    tried(tmp_path, work, edge, cloud, way=way)


@pytest.mark.parametrize("way", ["in process", "over gRPC"])
def test_a_crowd_that_leaves_is_recorded_to_the_last_and_frees_its_places(tmp_path: Path, way: Way) -> None:
    async def work(place: Place) -> None:
        leaving = [asyncio.create_task(place.ask(question("edge_only"))) for _ in range(10)]
        await until(lambda: place.edge.tokens == 10)
        for task in leaving:
            task.cancel()
        await asyncio.wait(leaving)
        assert [record.error for record in await place.records(at_least=10)] == ["CANCELLED"] * 10
        assert place.edge.cut_short == 10
        place.edge.answers = [Say("fine")]
        assert (await place.ask(question("edge_only"))).text == "fine"

    tried(tmp_path, work, an_edge_that_hangs(), settings=RouterSettings(max_concurrent=10), way=way)


def test_who_leaves_at_any_moment_leaves_one_record(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        for ticks in range(60):
            asking = asyncio.create_task(place.ask(question("post_arbitration")))
            for _ in range(ticks):
                await asyncio.sleep(0)
            asking.cancel()
            await asyncio.wait({asking})
        records = await place.records()
        assert {record.error for record in records} <= {"", "CANCELLED"}
        begun = sum(bool(record.calls) for record in records)
        assert place.edge.tokens == 0 or begun > 0
        assert len(place.edge.prompts) == begun

    tried(tmp_path, work)


def test_closing_the_router_waits_for_records_that_are_being_written(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        events: AsyncGenerator[Event] = place.router.ask(question("edge_only"))
        await anext(events)
        await events.aclose()
        await place.router.close()
        assert len(await place.log.newest(limit=9)) == 1

    tried(tmp_path, work, an_edge_that_hangs())
