"""`python -m tests.bench.gateway.relay ADDRESS TO`: what any process between a caller and an edge costs at the least.

It passes the bytes of `EdgeService.Generate` on, both ways, and knows nothing about them.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any, cast

import grpc

from edgewise.stopping import run_until_stopped

_SERVICE, _METHOD = "edgewise.v1.EdgeService", "Generate"


async def _serve(address: str, to: str) -> None:
    async with grpc.aio.insecure_channel(to) as channel:
        start: Any = cast("Any", channel).unary_stream(f"/{_SERVICE}/{_METHOD}")  # without serializers: bytes

        async def generate(request: bytes, context: Any) -> AsyncIterator[bytes]:
            async for response in start(request, timeout=context.time_remaining()):
                yield response

        server = grpc.aio.server()
        handlers = {_METHOD: grpc.unary_stream_rpc_method_handler(generate)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, handlers),))
        port = server.add_insecure_port(address)
        await server.start()
        await run_until_stopped(server, on_ready=lambda: print(f"ready grpc=127.0.0.1:{port}", flush=True))


if __name__ == "__main__":
    asyncio.run(_serve(*sys.argv[1:3]))
