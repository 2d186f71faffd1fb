"""Faults on the callers' side of a router and on its own disk and clock, with the six invariants after each.

Crowds, callers who vanish, a clock that jumps, a record database and an audit log that fail: like `test_fault_table.py`
on a whole stack on loopback, but each is provoked in its own way.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from edgewise.client import Client
from edgewise.errors import Overloaded
from edgewise.types import Event, Question, Token
from router.config import RouterSettings
from router.egress.verify import verified
from tests.faults.invariants import Books, Heard, Taken, check_answer, check_end
from tests.faults.stand import Sinks, Stand, standing
from tests.routers import TOKEN, an_edge, database_gone, until
from tests.sides import UNSURE, Say

MODES = ("cloud_only", "post_arbitration", "cloud_info_edge_rag")


def meet(
    directory: Path,
    sinks: Sinks,
    work: Callable[[Stand, Books], Awaitable[None]],
    *,
    settings: RouterSettings = RouterSettings(gain_threshold=0),
) -> None:
    async def main() -> None:
        async with standing(directory, sinks, an_edge(UNSURE), router=settings) as stand:
            books = Books(stand)
            await work(stand, books)
        books.check_sinks()

    before = Taken.now()
    asyncio.run(main())
    before.comes_back()


async def asked_in_all_modes(_: Stand, books: Books) -> None:
    for mode in MODES:
        heard = await books.ask(books.public(mode))
        assert heard.done is not None
        assert not heard.done.degraded
        await books.ask_privately(mode)


# --- callers ----------------------------------------------------------------------------------------------------------


def test_a_thousand_callers_at_once(tmp_path: Path, sinks: Sinks) -> None:
    """All of them hear one end; who was not let in hears at once when to come again."""

    async def work(stand: Stand, books: Books) -> None:
        async with Client(stand.address, TOKEN) as other:
            clients = (stand.client, other)

            async def ask(number: int) -> Heard:
                return await _heard(clients[number % 2], books.public(MODES[number % 3]))

            heard = await asyncio.gather(*map(ask, range(1000)))
        ends = Counter("done" if one.done else type(one.error).__name__ for one in heard)
        assert set(ends) <= {"done", "Overloaded"}
        assert ends["done"] >= 8
        assert all(one.error.retry_after_s for one in heard if one.error is not None)
        records = {record.record_id: record for record in await books.unknown_records()}
        assert records.keys() == {one.done.record_id for one in heard if one.done is not None}
        for one in heard:
            check_end(one)
            if one.done is not None:
                answered = Heard(one.events, record=records[one.done.record_id])
                check_answer(answered, Question(text="any", mode=one.done.mode))
        await asked_in_all_modes(stand, books)

    meet(tmp_path, sinks, work, settings=RouterSettings(gain_threshold=0, max_concurrent=8))


async def _heard(client: Client, question: Question) -> Heard:
    events: list[Event] = []
    try:
        async for event in client.ask(question):
            events.append(event)  # noqa: PERF401 - what came before it fails counts
    except Overloaded as error:
        return Heard(tuple(events), error)
    return Heard(tuple(events))


@pytest.mark.parametrize("mode", ["cloud_only", "post_arbitration", "edge_only"])
def test_callers_who_vanish(tmp_path: Path, sinks: Sinks, mode: str) -> None:
    """After a token: the upstream is left, one record says so, and no cost is claimed that nobody knows."""

    async def work(stand: Stand, books: Books) -> None:
        stand.sinks.upstream.behaves = "hang-midway"
        stand.edge.answers = [Say("The ferry sails", after=1, hangs=True)]
        for _ in range(5):
            async with aclosing(stand.client.ask(books.public(mode))) as events:
                async for event in events:
                    if isinstance(event, Token):
                        break
            record = await books.new_record()
            assert record is not None
            assert (record.error, record.answer) == ("CANCELLED", "")
            assert record.cost_usd is None or not record.cloud_calls
        stand.sinks.upstream.behaves = "ok"
        stand.edge.answers = [*an_edge(UNSURE).answers]
        await asked_in_all_modes(stand, books)

    meet(tmp_path, sinks, work)


# --- the clock --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("days", [-400, 400])
def test_a_clock_that_jumps(tmp_path: Path, sinks: Sinks, days: int) -> None:
    """Times are what the clock said; order, durations and the chain of the audit log stand on no clock."""

    async def work(stand: Stand, books: Books) -> None:
        await asked_in_all_modes(stand, books)
        stand.watch.ahead = timedelta(days=days)
        await asked_in_all_modes(stand, books)
        newest, *_, oldest = await stand.log.newest(limit=100)
        later = datetime.fromisoformat(newest.created_at) - datetime.fromisoformat(oldest.created_at)
        assert abs(later.days - days) <= 1
        assert 0 <= newest.total_s < 20
        stand.watch.ahead = timedelta(0)
        await asked_in_all_modes(stand, books)

    meet(tmp_path, sinks, work)
    assert verified(tmp_path).intact


# --- the disk ---------------------------------------------------------------------------------------------------------


def test_a_record_database_that_fails_and_comes_back(tmp_path: Path, sinks: Sinks) -> None:
    """Records wait on disk, each of them is there once, also after the database is back."""

    async def work(stand: Stand, books: Books) -> None:
        await asked_in_all_modes(stand, books)
        with database_gone(tmp_path):
            await asked_in_all_modes(stand, books)
            assert stand.router.backlog.count
        await until(lambda: not stand.router.backlog.count)
        assert not await books.unknown_records()
        await asked_in_all_modes(stand, books)

    meet(tmp_path, sinks, work)


@pytest.mark.parametrize("how", ["moved away", "a row changed", "its end cut off", "a directory in its place"])
def test_an_audit_log_that_cannot_be_trusted_lets_nothing_out(tmp_path: Path, sinks: Sinks, how: str) -> None:
    audit, kept = tmp_path / "audit.jsonl", tmp_path / "kept.jsonl"

    def spoil() -> None:
        whole = audit.read_bytes()
        audit.rename(kept)
        match how:
            case "a row changed":
                audit.write_bytes(whole.replace(b'"cloud"', b'"cloue"'))
            case "its end cut off":
                audit.write_bytes(whole[: len(whole) // 2])
            case "a directory in its place":
                audit.mkdir()

    async def work(stand: Stand, books: Books) -> None:
        await asked_in_all_modes(stand, books)
        spoil()
        calls, arrived = len(stand.sinks.upstream.requests), stand.book.arrived
        stand.book.is_watched = False
        for mode in MODES:
            heard = await _ask_unaudited(books, mode)
            assert heard.done is not None
            assert (heard.done.author, heard.done.degraded) == ("edge", True)
            assert "audit log cannot be written" in heard.done.reason
            assert heard.done.cost_usd == 0
        assert (len(stand.sinks.upstream.requests), stand.book.arrived) == (calls, arrived)

    meet(tmp_path, sinks, work)


async def _ask_unaudited(books: Books, mode: str) -> Heard:
    """While there is no audit log to look into."""
    heard = await _heard(books.stand.client, books.public(mode))
    answered = Heard(heard.events, heard.error, await books.new_record())
    check_end(answered)
    check_answer(answered, Question(text="any", mode=mode))
    return answered
