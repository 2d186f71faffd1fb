"""`python -m tests.bench.gateway.stub_edge ADDRESS`: an edge node that says a word so many times, at once.

How many times is what it was asked for: `sampling.max_tokens`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator

from edgewise.rpc import Context, Service, start_server
from edgewise.stopping import run_until_stopped
from edgewise.types import SideStatus
from edgewise.v1 import edge_pb2, types_pb2
from edgewise.wire import pack


class StubEdge:
    """Generates and has a status; a router that is asked in `edge_only` wants no more."""

    async def Generate(
        self, request: edge_pb2.EdgeServiceGenerateRequest, _: Context
    ) -> AsyncGenerator[edge_pb2.EdgeServiceGenerateResponse]:
        count = request.options.sampling.max_tokens
        chunk = edge_pb2.EdgeServiceGenerateResponse(chunk=types_pb2.Chunk(text="so "))
        for _number in range(count):
            yield chunk
        tokens = types_pb2.Tokens(prompt_tokens=20, completion_tokens=count)
        end = types_pb2.Completion(finish_reason="stop", tokens=tokens, model="stub")
        yield edge_pb2.EdgeServiceGenerateResponse(completion=end)

    async def GetStatus(
        self, _: edge_pb2.EdgeServiceGetStatusRequest, __: Context
    ) -> edge_pb2.EdgeServiceGetStatusResponse:
        status = pack(SideStatus(ready=True, model="stub", label="a stub"), types_pb2.SideStatus)
        return edge_pb2.EdgeServiceGetStatusResponse(status=status)

    def __getattr__(self, rpc: str) -> object:
        """The other rpcs of the service, which a server wants to know of."""
        if not rpc[:1].isupper():
            raise AttributeError(rpc)
        return self._absent

    async def _absent(self, _: object, __: Context) -> None:
        raise NotImplementedError


async def _serve(address: str) -> None:
    service = Service(edge_pb2.DESCRIPTOR.services_by_name["EdgeService"], StubEdge())
    server, bound = await start_server([service], address)
    await run_until_stopped(server, on_ready=lambda: print(f"ready grpc={bound}", flush=True))


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
