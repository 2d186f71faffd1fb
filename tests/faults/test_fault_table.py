"""Every fault of the table, asked about in several modes, in public and in private; the six invariants after each."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from edgewise.types import Grounding
from tests.faults.invariants import Books, Heard, Taken
from tests.faults.stand import Sinks, standing
from tests.faults.table import BROKEN, CLOUD, FAULTS, LATE, Fault
from tests.routers import TOKEN, an_edge
from tests.sides import UNSURE

SHOWN_AT_ONCE = ("cloud_only", "pre_arbitration")
"""Modes whose caller sees the cloud's tokens as they come."""
LIMIT_S = 0.5
"""That a caller gives to what would never end."""


def test_there_are_many_and_each_has_a_name_of_its_own() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 30


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_fault_and_the_six_invariants(tmp_path: Path, sinks: Sinks, fault: Fault) -> None:
    before = Taken.now()
    asyncio.run(_meet(fault, tmp_path, sinks))
    sinks.collector.released.set()
    before.comes_back()


async def _meet(fault: Fault, directory: Path, sinks: Sinks) -> None:
    edge = an_edge(UNSURE)
    opened = standing(
        directory, sinks, edge, cloud=fault.cloud, gateway_address=fault.gateway_address, token=fault.token or TOKEN
    )  # fmt: skip
    async with opened as stand:
        books = Books(stand)
        public, private = edge.passages, (books.private_passage(), *edge.passages)
        for mode in fault.modes:
            await fault.provoke(stand)
            edge.passages = public
            limit = {"max_latency_s": LIMIT_S} if fault.comes == LATE else {}
            heard = await books.ask(books.public(mode).model_copy(update=limit))
            _check_outcome(fault, mode, heard)
            edge.passages = private
            await books.ask(books.public(mode).model_copy(update=limit))
            await books.ask_privately(mode)
        assert not await books.unknown_records()
    books.check_sinks()


def _check_outcome(fault: Fault, mode: str, heard: Heard) -> None:
    if fault.comes == BROKEN and mode in SHOWN_AT_ONCE:
        assert heard.error is not None
        assert heard.error.code == "UNAVAILABLE"
        assert fault.says in heard.error.message
        assert heard.tokens
        return
    if fault.comes == LATE:
        assert heard.error is not None
        assert heard.error.code == "DEADLINE_EXCEEDED"
        return
    assert heard.done is not None, heard.error
    if fault.comes == CLOUD:
        assert (heard.done.author, heard.done.degraded) == ("cloud", False), heard.done.reason
        return
    assert (heard.done.author, heard.done.degraded) == ("edge", True)
    assert fault.says in heard.done.reason
    assert heard.done.grounding is not Grounding.ABSTAINED
