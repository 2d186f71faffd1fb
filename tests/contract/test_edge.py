"""One suite for every edge: in this process, over gRPC, with the real model and with recorded answers."""

from __future__ import annotations

import asyncio
import json
import math
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from edge.client import EdgeClient
from edge.config import EdgeSettings
from edge.node import EdgeNode
from edge.server import service
from edgewise.errors import (
    ContextOverflow,
    InvalidInput,
    NotFound,
    NotReady,
    TooLarge,
    Unauthenticated,
)
from edgewise.ports import Edge
from edgewise.rpc import open_channel, start_server
from edgewise.types import (
    Chunk,
    Completion,
    CostBasis,
    Ingested,
    Message,
    Options,
    Privacy,
    Prompt,
    Query,
    Sampling,
    Text,
    Upload,
)
from edgewise.v1 import edge_pb2, edge_pb2_grpc

TOKEN = "a token"
MAX_BYTES = 100_000

HOURS = b"# Gate museum\n\n## Opening hours\n\nThe doors open at nine.\n\n## Tickets\n\nA ticket costs seven euros.\n"


@dataclass(frozen=True, slots=True)
class Way:
    """How to reach a node: `replays` if its engine does not run a model."""

    node: EdgeNode
    is_remote: bool
    replays: bool

    @asynccontextmanager
    async def edge(self) -> AsyncIterator[EdgeNode | EdgeClient]:
        if not self.is_remote:
            yield self.node
            return
        server, address = await start_server([service(self.node)], "127.0.0.1:0", token=TOKEN)
        client = EdgeClient(address, TOKEN)
        try:
            yield client
        finally:
            await client.close()
            await server.stop(None)


def opened(settings: EdgeSettings, directory: Path) -> Iterator[EdgeNode]:
    node = asyncio.run(EdgeNode.open(settings, directory))
    yield node
    asyncio.run(node.close())


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeNode]:
    settings = EdgeSettings(context_tokens=512, threads=1, usd_per_hour=0.36, max_document_bytes=MAX_BYTES)
    yield from opened(settings, tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeNode]:
    directory = tmp_path_factory.mktemp("replay")
    recording = {"prompt": "Who are you?", "answer": "A small model.", "logprobs": [-0.1, -0.2, -0.3], "cost_usd": 0.5}
    (directory / "answers.jsonl").write_text(json.dumps(recording))
    settings = EdgeSettings(
        engine="replay", replay_file=directory / "answers.jsonl", usd_per_hour=1, max_document_bytes=MAX_BYTES
    )
    yield from opened(settings, directory)


@pytest.fixture(params=["llama", "llama over gRPC", "replay", "replay over gRPC"])
def way(request: pytest.FixtureRequest) -> Way:
    name = str(request.param).split()[0]
    node: EdgeNode = request.getfixturevalue(name)
    return Way(node, is_remote="gRPC" in request.param, replays=name == "replay")


def _is_a_port(_: Edge) -> None:
    """For mypy to check."""


def tried(way: Way, attempt: Callable[[EdgeNode | EdgeClient], Awaitable[None]]) -> None:
    async def main() -> None:
        async with way.edge() as edge:
            _is_a_port(edge)
            await attempt(edge)

    asyncio.run(main())


def prompt(text: str = "Who are you?") -> Prompt:
    return Prompt(messages=(Message(role="user", content=Text(value=text)),))


def options(max_tokens: int = 8) -> Options:
    return Options(sampling=Sampling(max_tokens=max_tokens))


def upload(
    data: bytes = HOURS, source: str = "hours.md", collection: str = "", label: Privacy = Privacy.UNKNOWN
) -> Upload:
    return Upload(source=source, data=data, collection=collection or uuid.uuid4().hex, label=label)


async def finished(events: AsyncGenerator[Chunk | Completion]) -> tuple[list[Chunk], Completion]:
    chunks: list[Chunk] = []
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Completion):
                return chunks, event
            chunks.append(event)
    raise AssertionError("no completion")


def dot(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


# --- generating -------------------------------------------------------------------------------------------------------


def test_chunks_then_one_completion(way: Way) -> None:
    async def attempt(edge: EdgeNode | EdgeClient) -> None:
        chunks, completion = await finished(edge.generate(prompt(), options()))
        logprobs = [logprob for chunk in chunks for logprob in chunk.logprobs]
        assert "".join(chunk.text for chunk in chunks)
        assert len(logprobs) == completion.tokens.completion_tokens
        assert all(logprob <= 0 for logprob in logprobs)
        assert completion.tokens.prompt_tokens > 0
        status = await edge.status()
        assert (completion.model, completion.model_hash) == (status.model, status.model_hash)

    tried(way, attempt)


def test_an_hour_of_the_machine_has_its_price(way: Way) -> None:
    async def attempt(edge: EdgeNode | EdgeClient) -> None:
        _, completion = await finished(edge.generate(prompt(), options(2)))
        if way.replays:
            assert (completion.cost_usd, completion.cost_basis) == (0.5, CostBasis.SIMULATED)
            return
        timings = completion.timings
        assert timings.prompt_s is not None
        assert timings.decode_s is not None
        assert completion.cost_usd == pytest.approx((timings.prompt_s + timings.decode_s) * 0.0001)
        assert completion.cost_basis is CostBasis.BILLED

    tried(way, attempt)


def test_a_closed_generation_frees_the_engine(way: Way) -> None:
    async def attempt(edge: EdgeNode | EdgeClient) -> None:
        events = edge.generate(prompt(), options(400))
        await anext(events)
        await events.aclose()
        await finished(edge.generate(prompt(), options(1)))
        assert (await edge.status()).queued == 0

    tried(way, attempt)


def test_bad_prompts(way: Way) -> None:
    async def attempt(edge: EdgeNode | EdgeClient) -> None:
        wanted = NotFound if way.replays else ContextOverflow
        with pytest.raises(wanted):
            await finished(edge.generate(prompt("word " * 1000), options()))
        if way.is_remote:
            with pytest.raises(TooLarge):
                await finished(edge.generate(prompt("x" * 1_100_000), options()))

    tried(way, attempt)


def test_scores_and_tokens(way: Way) -> None:
    async def attempt(edge: EdgeNode | EdgeClient) -> None:
        question = prompt("The capital of France is")
        if way.replays:
            with pytest.raises(NotReady):
                await edge.score(question, (" Paris",))
            with pytest.raises(NotReady):
                await edge.tokenize("Paris")
            return
        right, wrong = (await edge.score(question, ("Paris", "Gearbox"))).logprobs
        assert wrong < right < 0
        assert len(await edge.tokenize("Paris, Paris")) > len(await edge.tokenize("Paris")) > 0

    tried(way, attempt)


# --- knowing ----------------------------------------------------------------------------------------------------------


def test_vectors_are_normalised_at_any_length(way: Way) -> None:
    async def attempt(edge: EdgeNode | EdgeClient) -> None:
        near, far, long = await edge.embed(("A cat sleeps.", "Interest rates rose.", "A cat sleeps. " * 300))
        assert all(math.hypot(*vector) == pytest.approx(1, abs=1e-4) for vector in (near, far, long))
        assert dot(near, long) > dot(far, long)
        assert await edge.embed(()) == ()
        with pytest.raises(InvalidInput):
            await edge.embed(("  ",))

    tried(way, attempt)


def test_what_was_ingested_is_found(way: Way) -> None:
    async def attempt(edge: EdgeNode | EdgeClient) -> None:
        file = upload(label=Privacy.PRIVATE)
        assert await edge.ingest(file) == Ingested(source="hours.md", status="INGESTED", passages=2)
        query = Query(text=Text(value="How much is a ticket?"), collections=(file.collection,))
        findings = await edge.retrieve(query)
        first, second = findings.passages
        assert first.text == Text(value="A ticket costs seven euros.", label=Privacy.PRIVATE, sources=("hours.md",))
        assert (first.title, first.source, first.origin) == ("Gate museum > Tickets", "hours.md", "edge")
        assert 1 >= first.score > second.score
        assert findings.elapsed_s is not None
        long = query.model_copy(update={"text": Text(value="How much is a ticket? " * 200)})
        assert (await edge.retrieve(long)).passages[0].id == first.id
        (document,) = await edge.documents(file.collection)
        assert (document.title, document.passages, document.label) == ("Gate museum", 2, Privacy.PRIVATE)
        await edge.delete_document(document.id)
        assert (await edge.retrieve(query)).passages == ()
        with pytest.raises(NotFound):
            await edge.delete_document(document.id)
        with pytest.raises(InvalidInput):
            await edge.retrieve(Query(text=Text(value=" \n")))

    tried(way, attempt)


def test_a_file_that_comes_again(way: Way) -> None:
    async def attempt(edge: EdgeNode | EdgeClient) -> None:
        file = upload(label=Privacy.PRIVATE)
        collection = file.collection
        await edge.ingest(file)
        assert (await edge.ingest(file)).status == "UNCHANGED"
        unlabelled = file.model_copy(update={"label": Privacy.UNKNOWN})
        assert (await edge.ingest(unlabelled)).status == "UNCHANGED"
        changed = unlabelled.model_copy(update={"data": b"The doors open at ten."})
        assert await edge.ingest(changed) == Ingested(source="hours.md", status="INGESTED", passages=1)
        (document,) = await edge.documents(collection)
        assert document.label is Privacy.PRIVATE
        assert (await edge.ingest(changed.model_copy(update={"label": Privacy.PUBLIC}))).status == "INGESTED"
        (passage,) = (await edge.retrieve(Query(text=Text(value="doors"), collections=(collection,)))).passages
        assert passage.text == Text(value="The doors open at ten.", label=Privacy.PUBLIC, sources=("hours.md",))

    tried(way, attempt)


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (upload(source="a.exe"), "unknown type"),
        (upload(b""), "is empty"),
        (upload(b"\xff"), "is not UTF-8 text"),
        (upload(b"x" * (MAX_BYTES + 1)), "is larger than 100000 bytes"),
        (upload(source=" "), "name that is empty"),
        (upload(source="a\nb.md"), "cannot be shown"),
    ],
    ids=["type", "empty", "encoding", "size", "no name", "bad name"],
)
def test_a_bad_file_fails_with_a_reason(way: Way, file: Upload, reason: str) -> None:
    async def attempt(edge: EdgeNode | EdgeClient) -> None:
        result = await edge.ingest(file)
        assert (result.status, result.passages, result.source) == ("FAILED", 0, file.source)
        assert reason in result.reason
        assert await edge.documents(file.collection) == ()

    tried(way, attempt)


def test_status(way: Way) -> None:
    async def attempt(edge: EdgeNode | EdgeClient) -> None:
        before = await edge.status()
        await edge.ingest(upload())
        after = await edge.status()
        assert after.ready
        assert after.label
        assert (after.documents - before.documents, after.passages - before.passages) == (1, 2)
        assert after.context_tokens == (None if way.replays else 512)

    tried(way, attempt)


# --- the wire ---------------------------------------------------------------------------------------------------------


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
        server, address = await start_server([service(replay)], "127.0.0.1:0", token=TOKEN)
        client = EdgeClient(address, "another")
        try:
            with pytest.raises(Unauthenticated):
                await client.status()
            with pytest.raises(Unauthenticated):
                await client.ingest(upload())
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
    server, address = await start_server([service(node)], "127.0.0.1:0", token=TOKEN)
    try:
        async with open_channel(address) as channel:
            yield edge_pb2_grpc.EdgeServiceStub(channel)
    finally:
        await server.stop(None)


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)
