"""The two ways to a router."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal

import pytest

from router.config import RouterSettings
from tests.routers import Place, Trying, Way, a_cloud, an_edge, place
from tests.sides import FakeCloud, FakeEdge


@pytest.fixture(params=["in process", "over gRPC"])
def tried(request: pytest.FixtureRequest, tmp_path: Path) -> Trying:
    way: Way = request.param

    def run(
        work: Callable[[Place], Awaitable[None]],
        edge: FakeEdge | None = None,
        cloud: FakeCloud | None = None,
        settings: RouterSettings = RouterSettings(),
        *,
        unknown: Literal["allow", "hold"] = "allow",
    ) -> None:
        async def main() -> None:
            sides = edge or an_edge(), cloud or a_cloud()
            async with place(tmp_path, *sides, settings, way=way, unknown=unknown) as opened:
                await work(opened)

        asyncio.run(main())

    return run
