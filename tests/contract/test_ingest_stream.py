"""Many files in one call of the app's client: in lockstep, with errors that keep their words, and to be broken off."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from pathlib import Path

import grpc
import pytest

from edge.client import EdgeClient
from edge.config import EdgeSettings
from edge.node import EdgeNode
from edge.server import service
from edgewise.callers import owner_of
from edgewise.client import Client
from edgewise.errors import EdgeUnavailable, InvalidInput, NotReady, Unauthenticated
from edgewise.rpc import open_channel, start_server, streamed_in
from edgewise.types import Ingested, Unwanted, Upload
from edgewise.v1 import edge_pb2, edge_pb2_grpc
from edgewise.wire import error_of
from tests.apps import World, tried
from tests.edges import TOKEN

ROUNDS = 3  # what was lost among what is being sent was lost now and then


def files(count: int, sections: int = 1, words: int = 5) -> list[Upload]:
    return [
        Upload(
            source=f"{number}.md",
            data="\n\n".join(f"# Part {n}\n\n{number}" + f" pebble{n}" * words for n in range(sections)).encode(),
        )
        for number in range(count)
    ]


@asynccontextmanager
async def serving(directory: Path) -> AsyncIterator[tuple[EdgeNode, str]]:
    (directory / "answers.jsonl").write_text('{"prompt": "Hi", "answer": "Hello"}')
    settings = EdgeSettings(engine="replay", replay_file=directory / "answers.jsonl", store="sqlite")
    node = await EdgeNode.open(settings, directory)
    server, address = await start_server([service(node)], "127.0.0.1:0", callers=owner_of(TOKEN))
    try:
        yield node, address
    finally:
        await server.stop(None)
        await node.close()


@contextmanager
def full_disk(limit: int) -> Iterator[None]:
    """No file of this process grows beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def ingested(address: str, uploads: Iterable[Upload], results: list[Ingested]) -> None:
    async with Client(address, TOKEN) as client:
        async for result in client.ingest(uploads):
            if result.status != "INGESTING":
                results.append(result)  # noqa: PERF401 - those before an error are wanted, too


def test_every_file_has_its_result_and_a_large_one_its_progress_before(tmp_path: Path) -> None:
    uploads = [*files(3), *files(1, sections=100), Upload(source="a.exe", data=b"x"), *files(1)]

    async def main() -> None:
        async with serving(tmp_path) as (_, address), Client(address, TOKEN) as client:
            results = [result async for result in client.ingest(uploads)]
            assert [(one.source, one.status, one.passages, one.total) for one in results] == [
                *((f"{n}.md", "INGESTED", 1, 0) for n in range(3)),
                ("0.md", "INGESTING", 0, 100), ("0.md", "INGESTING", 64, 100), ("0.md", "INGESTED", 100, 0),
                ("a.exe", "FAILED", 0, 0),
                ("0.md", "INGESTED", 1, 0),
            ]  # fmt: skip
            assert [result async for result in client.ingest([])] == []

    asyncio.run(main())


def test_files_are_read_only_when_it_is_their_turn(tmp_path: Path) -> None:
    read: list[str] = []

    def reading() -> Iterator[Upload]:
        for upload in files(5):
            read.append(upload.source)
            yield upload

    async def main() -> None:
        async with serving(tmp_path) as (_, address), Client(address, TOKEN) as client:
            done = 0
            async for result in client.ingest(reading()):
                done += result.status == "INGESTED"
                await asyncio.sleep(0.05)
                assert len(read) <= done + 2

    asyncio.run(main())
    assert len(read) == 5


@pytest.mark.parametrize("_", range(ROUNDS))
def test_a_full_disk_in_the_middle_keeps_its_words(tmp_path: Path, _: int) -> None:
    uploads = files(100, sections=8, words=40)
    results: list[Ingested] = []

    async def main() -> None:
        async with serving(tmp_path) as (_, address):
            with full_disk(1_000_000), pytest.raises(NotReady, match=r"cannot be used .*; check the free space"):
                await ingested(address, uploads, results)
            done = len(results)
            assert 0 < done < len(uploads)
            assert results == [Ingested(source=f"{n}.md", status="INGESTED", passages=8) for n in range(done)]
            results.clear()
            await ingested(address, uploads[: done + 2], results)
            assert [one.status for one in results] == ["UNCHANGED"] * done + ["INGESTED"] * 2

    asyncio.run(main())


def test_a_node_that_closes_in_the_middle_is_unavailable(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as (node, address), Client(address, TOKEN) as client:
            results: list[Ingested] = []

            async def ingest() -> None:
                async for result in client.ingest(files(20)):
                    results.append(result)
                    if result.source == "3.md" and result.status == "INGESTED":
                        await node.close()

            with pytest.raises(EdgeUnavailable, match="closed; start the edge node again"):
                await ingest()
            assert results[-1] == Ingested(source="3.md", status="INGESTED", passages=1)

    asyncio.run(main())


def test_what_goes_wrong_with_the_files_is_raised_as_it_is(tmp_path: Path) -> None:
    nameless = Upload(source="\ud800.md", data=b"x")
    results: list[Ingested] = []

    def unreadable() -> Iterator[Upload]:
        yield from files(2)
        raise PermissionError("not for you")

    async def main() -> None:
        async with serving(tmp_path) as (_, address):
            with pytest.raises(InvalidInput, match="lone surrogates"):
                await ingested(address, [*files(2), nameless, *files(1)], results)
            with pytest.raises(PermissionError, match="not for you"):
                await ingested(address, unreadable(), results)
            assert {one.source for one in results} <= {"0.md", "1.md"}
            client = EdgeClient(address, TOKEN)
            with pytest.raises(InvalidInput, match="lone surrogates"):
                await client.ingest(nameless)
            await client.close()

    asyncio.run(main())


async def resting(node: EdgeNode) -> int:
    """How many passages have arrived once no more do."""
    before, now = -1, 0
    while before != now:
        before = now
        await asyncio.sleep(0.3)
        (now,) = await node._library._run(
            lambda: node._library._sqlite.execute("SELECT count(*) FROM passage").fetchone()
        )
    return now


def test_breaking_off_leaves_a_document_that_goes_on(tmp_path: Path) -> None:
    (big,) = files(1, sections=500, words=20)

    async def break_off(address: str) -> None:
        async with Client(address, TOKEN) as client, aclosing(client.ingest([big])) as results:
            async for result in results:
                if result.passages:
                    return

    async def cancel(address: str) -> None:
        client = EdgeClient(address, TOKEN)
        told: asyncio.Queue[Ingested] = asyncio.Queue()
        task = asyncio.create_task(client.ingest(big, told.put_nowait))
        first = await told.get()
        while (await told.get()).passages == first.passages:
            pass
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await client.close()

    async def main() -> None:
        async with serving(tmp_path) as (node, address):
            arrived = 0
            for leave in (break_off, cancel):
                await leave(address)
                before, arrived = arrived, await resting(node)
                assert before < arrived < 500
                assert await node.documents() == ()
            told: list[Ingested] = []
            assert (await node.ingest(big, told.append)).status == "INGESTED"
            assert told[0].passages == arrived
            assert (await node.status()).passages == 500

    asyncio.run(main())


def test_documents_are_listed_in_pages_and_none_is_lost_between_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.server._PAGE", 2)

    async def main() -> None:
        async with serving(tmp_path) as (node, address), Client(address, TOKEN) as client:
            edge = EdgeClient(address, TOKEN)
            for file in files(5):
                await node.ingest(file)
            await node.ingest(Upload(source="other.md", data=b"other", collection="other"))
            everything = await node.documents()
            assert [one.source for one in everything] == [*(f"{n}.md" for n in range(5)), "other.md"]
            assert await client.documents() == await edge.documents() == everything
            assert await client.documents("other") == everything[-1:]
            assert await client.documents("none") == ()
            await edge.close()
        async with serving(tmp_path) as (node, address), open_channel(address) as channel:
            stub = edge_pb2_grpc.EdgeServiceStub(channel)
            metadata = (("authorization", f"Bearer {TOKEN}"),)
            first = await stub.ListDocuments(edge_pb2.ListDocumentsRequest(), metadata=metadata)
            await node.delete_document(first.documents[-1].id)
            request = edge_pb2.ListDocumentsRequest(page_token=first.next_page_token)
            second = await stub.ListDocuments(request, metadata=metadata)
            assert [one.source for one in second.documents] == ["2.md", "3.md"]
            for token in ("no", "-1", "\u0661", "9" * 30):
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await stub.ListDocuments(edge_pb2.ListDocumentsRequest(page_token=token), metadata=metadata)
                assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
                assert "next_page_token" in str(refused.value.details())

    asyncio.run(main())


def test_nothing_goes_in_any_more_from_an_app_that_was_forgotten_while_it_ingested(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        goes_on = asyncio.Event()

        async def pieces() -> AsyncIterator[edge_pb2.IngestRequest]:
            yield edge_pb2.IngestRequest(file=edge_pb2.IngestFile(source="c.md", collection="app-camera"))
            yield edge_pb2.IngestRequest(data=b"The doors open at nine.")
            await goes_on.wait()

        async with world.client() as owner, open_channel(world.address) as channel:
            metadata = (("authorization", f"Bearer {world.token('camera')}"),)
            call = streamed_in(edge_pb2_grpc.EdgeServiceStub(channel).Ingest, pieces(), metadata=metadata)
            await call.initial_metadata()
            await owner.forget(Unwanted(app="camera"))
            goes_on.set()
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call.read()
            assert isinstance(error_of(caught.value), Unauthenticated)
            assert await owner.documents() == ()

    tried(tmp_path, work)
