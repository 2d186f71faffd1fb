"""`python -m tests.bench.gateway.relay ADDRESS TO`: what any process between a caller and an edge costs at the least.

It passes the bytes of `EdgeService.Generate` on, both ways, and knows nothing about them.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc

from edgewise.rpc import run_until_stopped

METHOD = "/edgewise.v1.EdgeService/Generate"


class _Handler(grpc.GenericRpcHandler):  # type: ignore[misc]  # untyped for aio
    def __init__(self, generate: Any) -> None:
        self._handler = grpc.unary_stream_rpc_method_handler(generate)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        return self._handler if handler_call_details.method == METHOD else None


async def _serve(address: str, to: str) -> None:
    async with grpc.aio.insecure_channel(to) as channel:
        start = channel.unary_stream(METHOD)

        async def generate(request: bytes, context: Any) -> AsyncIterator[bytes]:
            async for response in start(request, timeout=context.time_remaining()):
                yield response

        server = grpc.aio.server()
        server.add_generic_rpc_handlers((_Handler(generate),))
        port = server.add_insecure_port(address)
        await server.start()
        print_ready = f"ready grpc=127.0.0.1:{port}"
        await run_until_stopped(server, on_ready=lambda: print(print_ready, flush=True))


if __name__ == "__main__":
    asyncio.run(_serve(*sys.argv[1:3]))
