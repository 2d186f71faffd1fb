"""What holds of a log, whatever its database: one suite, run over each."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from edgewise.errors import NotFound, NotReady
from edgewise.types import CostBasis, Grade, Grounding, Privacy, Step, Tokens, Usage
from router.log import Backlog, Keep, Log, Spend
from tests.log_outages import OnAnotherMachine, Waiting
from tests.log_subjects import TODAY, Subject, ids
from tests.logs import call, record
from tests.sides import passage


class Remembering:
    """Records, side calls and grades come back."""

    def test_a_record_comes_back_as_it_was_even_after_reopening(self, subject: Subject) -> None:
        full = record(
            "r", answer="«ünï» 日本\n\0", confidence=0.0, cost_usd=None, first_kept_s=0.0, author="cloud",
            privacy=Privacy.PRIVATE, grounding=Grounding.ABSTAINED, usage=Usage(edge=Tokens(prompt_tokens=3)),
            steps=(Step(id="s", name="judge", numbers={"trust": 0.5}),), citations=(passage("a fact"),), calls=("k",),
        )  # fmt: skip

        async def write(log: Log) -> None:
            await log.write(full, (call("k"), call("l", kind="generate", response="\0")))

        async def read(log: Log) -> None:
            assert await log.get("r") == full
            assert await log.calls("r") == (call("k"), call("l", kind="generate", response="\0"))
            assert await log.calls("unknown") == ()

        subject.with_each(write, read)

    def test_an_unknown_record_is_not_found(self, subject: Subject) -> None:
        async def work(log: Log) -> None:
            for look in (log.get("x" * 5000), log.newest(limit=5, before_record_id="x" * 5000)):
                with pytest.raises(NotFound) as caught:
                    await look
                assert len(caught.value.message) < 300
            with pytest.raises(NotFound):
                await log.grade(Grade(record_id="x", grader="me", score=1))
            assert log.backlog == Backlog()

        subject.with_log(work)

    def test_pages_go_backwards_without_gap_or_repetition(self, subject: Subject) -> None:
        async def work(log: Log) -> None:
            names = [f"r{place}" for place in range(7)]
            for name in names:
                await log.write(record(name), ())
            assert await ids(log) == names[::-1]

        subject.with_log(work)

    def test_all_that_is_written_at_once_is_there_with_its_calls(self, subject: Subject) -> None:
        async def work(log: Log) -> None:
            names = [f"r{place}" for place in range(130)]
            await asyncio.gather(*(log.write(record(name), (call(f"{name}/1"), call(f"{name}/2"))) for name in names))
            assert await ids(log) == names[::-1]
            for name in names:
                assert [made.key for made in await log.calls(name)] == [f"{name}/1", f"{name}/2"]

        subject.with_log(work)

    def test_pages_can_be_of_one_mode_conversation_or_time(self, subject: Subject) -> None:
        async def work(log: Log) -> None:
            await log.write(
                record("a", mode="agent", conversation_id="c", created_at="2026-11-01T00:00:00.000+00:00"), ()
            )
            await log.write(
                record("b", mode="auto", conversation_id="c", created_at="2026-11-02T00:00:00.000+00:00"), ()
            )
            await log.write(record("d", mode="agent", created_at="2026-11-03T00:00:00.000+00:00"), ())
            assert await ids(log, mode="agent") == ["d", "a"]
            assert await ids(log, conversation_id="c") == ["b", "a"]
            assert await ids(log, mode="auto", conversation_id="c") == ["b"]
            assert await ids(log, since="2026-11-02T00:00:00.000+00:00") == ["d", "b"]
            assert await ids(log, since="2026-11-02T00:00:00.001+00:00", mode="auto") == []

        subject.with_log(work)

    def test_a_conversation_is_its_answers_in_order_with_their_labels(self, subject: Subject) -> None:
        async def work(log: Log) -> None:
            talk = {"conversation_id": "c", "app": "chat"}
            await log.write(record("a", question="q1", answer="a1", **talk), ())
            await log.write(record("b", question="q2", answer="", error="UNAVAILABLE", **talk), ())
            await log.write(record("d", question="q3", answer="a3", privacy=Privacy.PRIVATE, **talk), ())
            await log.write(record("e", question="q4", conversation_id="c", app="another app"), ())
            turns = await log.turns("chat", "c")
            assert [(turn.role, turn.text.value, turn.text.label) for turn in turns] == [
                ("user", "q1", Privacy.UNKNOWN),
                ("assistant", "a1", Privacy.UNKNOWN),
                ("user", "q3", Privacy.PRIVATE),
                ("assistant", "a3", Privacy.PRIVATE),
            ]
            assert await log.turns("chat", "another") == ()

        subject.with_log(work)

    def test_a_request_is_found_by_its_app_and_id_the_newest_first(self, subject: Subject) -> None:
        async def work(log: Log) -> None:
            await log.write(record("a", request_id="1", app="one"), ())
            await log.write(record("b", request_id="1", app="one"), ())
            await log.write(record("c", request_id="1", app="two"), ())
            found = await log.of_request("one", "1")
            assert found is not None
            assert found.record_id == "b"
            assert await log.of_request("three", "1") is None

        subject.with_log(work)

    def test_ids_may_hold_any_character(self, subject: Subject) -> None:
        odd = ("a\0", "a\\0", "a\\\0", "a␀", "a'; DROP TABLE records; --", "ä日", "a%", "a_", "")

        async def work(log: Log) -> None:
            for place, name in enumerate(odd):
                given = {"app": name, "request_id": name, "conversation_id": name, "user_id": name, "mode": name}
                await log.write(record(f"{place}{name}", **given), ())
            for place, name in enumerate(odd):
                assert (await log.get(f"{place}{name}")).user_id == name
                found = await log.of_request(name, name)
                assert found is not None
                assert found.record_id == f"{place}{name}"
                assert len(await log.turns(name, name)) == 2
            assert {one.mode for one in await log.tally()} == set(odd)

        subject.with_log(work)

    def test_every_grade_is_kept_with_its_record(self, subject: Subject) -> None:
        async def work(log: Log) -> None:
            await log.write(record("a"), ())
            await log.write(record("b"), ())
            given = [Grade(record_id="a", grader="me\0", score=score, comment="\0") for score in (0.0, 1.0)]
            kept = [await log.grade(grade) for grade in given]
            assert all(grade.created_at == TODAY.isoformat(timespec="milliseconds") for grade in kept)
            assert (await log.get("a")).grades == tuple(kept)
            assert [len(found.grades) for found in await log.newest(limit=9)] == [0, 2]

        subject.with_log(work)

    def test_a_record_id_is_written_once(self, subject: Subject) -> None:
        async def work(log: Log) -> None:
            await log.write(record("a", answer="first"), ())
            with pytest.raises(NotReady, match="refused"):
                await log.write(record("a", answer="second"), (call("k"),))
            assert await log.calls("a") == ()  # the failed write left nothing behind
            assert (await log.get("a")).answer == "first"
            assert log.backlog == Backlog()

        subject.with_log(work)

    def test_concurrent_writes_all_arrive(self, subject: Subject) -> None:
        async def work(log: Log) -> None:
            await asyncio.gather(*(log.write(record(f"r{place}"), (call("k"),)) for place in range(50)))
            assert len(await log.newest(limit=100)) == 50

        subject.with_log(work)


class AddingUp:
    """Sums by mode, and what is kept for how long."""

    def test_sums_by_mode(self, subject: Subject) -> None:
        async def work(log: Log) -> None:
            for place in range(20):
                first = 0.5 * place if place % 2 else None
                await log.write(record(f"a{place}", mode="auto", total_s=place, cost_usd=0.5, first_kept_s=first), ())
            await log.write(record("f", mode="auto", total_s=1000, cost_usd=0.0, error="UNAVAILABLE"), ())
            await log.write(record("d", mode="agent", total_s=3, cost_usd=None, degraded=True), ())
            await log.write(record("e", mode="agent", total_s=5, cost_usd=1.0), ())
            for name, score in (("a0", 1.0), ("a0", 0.0), ("a1", 1.0)):
                await log.grade(Grade(record_id=name, grader="g", score=score))
            agent, auto = await log.tally()
            assert (agent.mode, agent.n, agent.degraded, agent.cost_usd, agent.graded) == ("agent", 2, 1, None, 0)
            assert (agent.total_s_p50, agent.first_kept_s_p50, agent.mean_grade) == (4, None, None)
            assert (auto.mode, auto.n, auto.errors, auto.degraded, auto.cost_usd) == ("auto", 21, 1, 0, 10.0)
            assert auto.total_s_p50 == 9.5
            assert auto.total_s_p95 == pytest.approx(18.05)
            assert (auto.first_kept_s_p50, auto.graded, auto.mean_grade) == (5.0, 2, 0.5), "a grader may think again"
            assert await log.tally("9999") == ()

        subject.with_log(work)

    def test_what_was_spent_has_the_shadows_and_no_made_up_cost(self, subject: Subject) -> None:
        async def work(log: Log) -> None:
            assert await log.spend() == Spend(since="", n=0, known_usd=0.0, unknown=0, shadows=0, cost_basis=None)
            billed = {"cost_usd": 0.5, "cost_basis": CostBasis.BILLED}
            await log.write(record("a", created_at="2026-01-01", **billed), ())
            await log.write(record("b", created_at="2026-01-02", cost_usd=None), ())
            shadow = {"cost_usd": 0.25, "cost_basis": CostBasis.NOTIONAL, "shadow_of": "a", "mode": "auto"}
            await log.write(record("c", created_at="2026-01-03", **shadow), ())
            found = await log.spend("2026-01-02")
            assert (found.n, found.known_usd, found.unknown, found.shadows) == (2, 0.25, 1, 1)
            assert (await log.spend()).cost_basis is CostBasis.NOTIONAL
            assert [one.mode for one in await log.tally()] == ["agent"]

        subject.with_log(work)

    def test_a_mode_of_errors_only_took_no_time_that_counts(self, subject: Subject) -> None:
        async def work(log: Log) -> None:
            await log.write(record("a", mode="auto", total_s=2, error="CANCELLED", created_at="2026"), ())
            [auto] = await log.tally("2025")
            assert (auto.n, auto.errors, auto.total_s_p50, auto.total_s_p95) == (1, 1, None, None)

        subject.with_log(work)

    def test_what_is_too_old_goes_with_all_that_belongs_to_it(self, subject: Subject) -> None:
        async def fill(log: Log) -> None:
            for days in (40, 31, 29, 0):
                moment = (TODAY - timedelta(days=days)).isoformat(timespec="milliseconds")
                await log.write(record(f"d{days}", created_at=moment), (call("k"),))
                await log.grade(Grade(record_id=f"d{days}", grader="g", score=1))
            await log.write(record("undated", created_at=""), ())

        async def look(log: Log) -> None:
            assert await ids(log) == ["undated", "d0", "d29"]
            assert await log.calls("d31") == ()
            assert [len((await log.get(name)).grades) for name in ("d0", "d29")] == [1, 1]
            assert sum(one.graded for one in await log.tally()) == 2
            assert await log.expire() == 0

        subject.with_log(fill)
        subject.with_log(look, keep=Keep(days=30))

    def test_only_the_newest_are_kept(self, subject: Subject) -> None:
        async def work(log: Log) -> None:
            for place in range(1205):
                await log.write(record(f"r{place}"), ())
            assert await log.expire() == 1202
            assert await ids(log) == ["r1204", "r1203", "r1202"]
            assert await log.expire() == 0

        subject.with_log(work, keep=Keep(records=3))

    def test_without_limits_everything_is_kept(self, subject: Subject) -> None:
        async def work(log: Log) -> None:
            await log.write(record("a", created_at="1970-01-01T00:00:00.000+00:00"), ())
            assert await log.expire() == 0
            assert await ids(log) == ["a"]

        subject.with_log(work)


class LogContract(Remembering, AddingUp, Waiting, OnAnotherMachine):
    """All of it."""
