"""The ways to a cloud gateway: in this process and over gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

from cloud.client import CloudClient
from cloud.config import CloudSettings
from cloud.gateway import CloudGateway
from cloud.server import service
from edgewise.ports import Cloud
from edgewise.rpc import start_server

Way = Literal["in process", "over gRPC"]
ways = pytest.mark.parametrize("way", ["in process", "over gRPC"])


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(main())


@asynccontextmanager
async def opened(settings: CloudSettings, way: Way, data_dir: Path) -> AsyncGenerator[Cloud]:
    gateway = await CloudGateway.open(settings, data_dir)
    try:
        if way == "in process":
            yield gateway
            return
        server, address = await start_server([service(gateway)], f"unix:{data_dir}/cloud.sock")
        client = CloudClient(address)
        yield client
        await client.close()
        await server.stop(0)
    finally:
        await gateway.close()
