"""A site that runs beside a test that is not asynchronous, and how long to look for what breaks it."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import HealthCheck, settings

from router.config import RouterSettings
from tests.routers import a_cloud, an_edge
from tests.sides import Say
from tests.site import Site, site

DEPTH = int(os.environ.get("EDGEWISE_FUZZ", "1"))
"""How many times as many examples as in `make test`; above 1 they are new ones each time."""


def thorough(examples: int) -> settings:
    """So many examples, the same ones in every run of `make test`."""
    return settings(
        max_examples=examples * DEPTH,
        derandomize=DEPTH == 1,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


@contextmanager
def running(directory: Path) -> Iterator[Site]:
    """A router between scripted sides, served over HTTP by another thread."""
    ready: list[tuple[Site, asyncio.AbstractEventLoop, asyncio.Event]] = []
    is_ready = threading.Event()

    async def main() -> None:
        stop = asyncio.Event()
        edge = an_edge()
        edge.answers = [Say('"at nine"')]  # which is JSON, if that was asked for
        async with site(directory, edge, a_cloud(Say('"at ten"')), RouterSettings(), within_s=3600) as opened:
            ready.append((opened, asyncio.get_running_loop(), stop))
            is_ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    assert is_ready.wait(30)
    [(opened, loop, stop)] = ready
    try:
        yield opened
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
