"""An upstream and a collector for the tests that hold invariants, which have been used once before."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.collectors import collecting
from tests.faults.invariants import Books, Taken
from tests.faults.stand import Misbehaving, Sinks, standing
from tests.routers import an_edge
from tests.sides import UNSURE


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sinks]:
    with Misbehaving() as upstream, collecting() as collector:
        sinks = Sinks(upstream, collector)
        asyncio.run(_warm_up(tmp_path_factory.mktemp("warm"), sinks))
        before = Taken.now()
        yield sinks
        sinks.reset()
        before.comes_back()


async def _warm_up(directory: Path, sinks: Sinks) -> None:
    """What gRPC starts once stays, and would look like a leak."""
    async with standing(directory, sinks, an_edge(UNSURE)) as stand:
        books = Books(stand)
        await books.ask(books.public("cloud_only"))


@pytest.fixture
def sinks(running: Sinks) -> Sinks:
    running.reset()
    return running
