"""EdgeService as bytes: what only a caller of its own can do wrong."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from edge.client import EdgeClient
from edge.node import EdgeNode
from edge.server import service
from edgewise.callers import owner_of
from edgewise.errors import Unauthenticated
from edgewise.rpc import open_channel, start_server
from edgewise.v1 import edge_pb2, edge_pb2_grpc
from tests.edges import HOURS, MAX_BYTES, TOKEN, finished, options, prompt, upload


def test_one_bad_file_in_a_stream_does_not_stop_the_rest(replay: EdgeNode) -> None:
    async def pieces() -> AsyncIterator[edge_pb2.IngestRequest]:
        collection = uuid.uuid4().hex
        yield edge_pb2.IngestRequest(file=edge_pb2.IngestFile(source="big.txt", collection=collection))
        for _ in range(3):
            yield edge_pb2.IngestRequest(data=b"x" * (MAX_BYTES // 2))
        yield edge_pb2.IngestRequest(file=edge_pb2.IngestFile(source="none.txt", collection=collection))
        yield edge_pb2.IngestRequest(file=edge_pb2.IngestFile(source="good.md", collection=collection))
        yield edge_pb2.IngestRequest(data=HOURS[:20])
        yield edge_pb2.IngestRequest(data=HOURS[20:])

    async def main() -> None:
        async with raw(replay) as stub:
            results = [(reply.source, reply.status) async for reply in stub.Ingest(pieces(), metadata=bearer(TOKEN))]
            assert results == [("big.txt", "FAILED"), ("none.txt", "FAILED"), ("good.md", "INGESTED")]
            call = stub.Ingest(iter([edge_pb2.IngestRequest(data=b"x")]), metadata=bearer(TOKEN))
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call.read()
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT

    asyncio.run(main())


def test_a_wrong_token_is_refused_and_health_is_not(replay: EdgeNode) -> None:
    async def main() -> None:
        server, address = await start_server([service(replay)], "127.0.0.1:0", callers=owner_of(TOKEN))
        client = EdgeClient(address, "another")
        try:
            with pytest.raises(Unauthenticated):
                await client.status()
            for data in (HOURS, bytes(4 * MAX_BYTES)) * 10:  # a refusal must not be lost among what is being sent
                with pytest.raises(Unauthenticated):
                    await client.ingest(upload(data=data))
            with pytest.raises(Unauthenticated):
                await finished(client.generate(prompt(), options()))
            async with open_channel(address) as channel:
                reply = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
                assert reply.status == health_pb2.HealthCheckResponse.SERVING
        finally:
            await client.close()
            await server.stop(None)

    asyncio.run(main())


def test_a_deadline_ends_a_generation(llama: EdgeNode) -> None:
    async def main() -> None:
        async with raw(llama) as stub:
            request = edge_pb2.EdgeServiceGenerateRequest()
            message = request.prompt.messages.add(role="user")
            message.content.value = "Tell me a long story."
            request.options.sampling.max_tokens = 400
            call = stub.Generate(request, metadata=bearer(TOKEN), timeout=0.5)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                async for _ in call:
                    pass
            assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await finished(llama.generate(prompt(), options(1)))
        assert (await llama.status()).queued == 0

    asyncio.run(main())


@asynccontextmanager
async def raw(node: EdgeNode) -> AsyncIterator[edge_pb2_grpc.EdgeServiceStub]:
    server, address = await start_server([service(node)], "127.0.0.1:0", callers=owner_of(TOKEN))
    try:
        async with open_channel(address) as channel:
            yield edge_pb2_grpc.EdgeServiceStub(channel)
    finally:
        await server.stop(None)


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)
