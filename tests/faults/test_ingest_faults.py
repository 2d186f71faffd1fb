"""An ingest that is broken off goes on where it was: by a kill, by a caller who leaves, by a file that comes twice."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest

from edge.config import StoreName
from edge.embedder import Embedder
from edge.holdings import Library
from edge.ingest.ingester import Ingester
from edge.retriever import embed_whole
from edge.store import Vectors
from edgewise.types import Document, Ingested, Privacy, Upload
from tests.libraries import ALL, arrive, document, fresh, matching, nearest, vectors

SPAWN = multiprocessing.get_context("spawn")
SECTIONS = 200
SMALL = Upload(source="small.md", data=b"# Harbour\n\nThe lighthouse was built of granite.")
BIG = Upload(
    source="big.md",
    data="\n\n".join(f"## Item {n}\n\nThe catalogue number of it is {n * 7919}." for n in range(SECTIONS)).encode(),
)


@pytest.fixture(params=["chroma", "sqlite"])
def kind(request: pytest.FixtureRequest) -> StoreName:
    kind: StoreName = request.param
    return kind


@pytest.fixture(scope="module")
def embedder() -> Iterator[Embedder]:
    opened = Embedder.open()
    yield opened
    opened.close()


@asynccontextmanager
async def ingesting(embedder: Embedder, directory: Path, kind: StoreName) -> AsyncIterator[tuple[Ingester, Library]]:
    library = await Library.open(directory, kind, embedder.model_hash, embedder.dimension)
    try:
        yield Ingester(embedder, library, 1_000_000), library
    finally:
        await library.close()


async def everything(library: Library) -> tuple[object, Vectors]:
    """All documents and passages, and all vectors, in order."""
    documents = [one.model_copy(update={"ingested_at": ""}) for one in await library.documents()]
    passages = [
        [(passage.text, passage.title) for passage in (await library.passages(one.id, range(one.passages))).values()]
        for one in documents
    ]
    pages = await library._run(lambda: list(library._store.vectors()))
    vectors = {one: vector for ids, vectors in pages for one, vector in zip(ids, vectors, strict=True)}
    return (documents, passages), np.stack([vectors[one] for one in sorted(vectors)])


# --- a killed process -------------------------------------------------------------------------------------------------


def ingest_in_a_child(directory: Path, kind: StoreName, pipe: Connection) -> None:
    async def main() -> None:
        async with ingesting(Embedder.open(), directory, kind) as (ingester, _):
            pipe.send(await ingester.ingest(SMALL))
            await ingester.ingest(BIG, pipe.send)

    asyncio.run(main())


@pytest.mark.parametrize(("batches", "seconds"), [(1, 0.0), (2, 0.05), (3, 0.0)])
def test_a_killed_ingest_goes_on(
    embedder: Embedder, tmp_path: Path, kind: StoreName, batches: int, seconds: float
) -> None:
    ours, theirs = SPAWN.Pipe(duplex=False)
    child = SPAWN.Process(target=ingest_in_a_child, args=(tmp_path / "killed", kind, theirs))
    child.start()
    small, *told = [ours.recv() for _ in range(1 + batches)]
    time.sleep(seconds)
    child.kill()
    child.join()
    ours.close()
    theirs.close()
    assert small == Ingested(source="small.md", status="INGESTED", passages=1)
    assert [(one.status, one.passages, one.total) for one in told] == [
        ("INGESTING", start, SECTIONS) for start in range(0, 64 * batches, 64)
    ]

    async def main() -> None:
        async with ingesting(embedder, tmp_path / "killed", kind) as (ingester, library):
            assert [one.source for one in await library.documents()] == ["small.md"]
            assert await library.counts() == (1, 1)
            query = await embed_whole(embedder, "What is the catalogue number of item 3?")
            assert {passage.source for passage in await nearest(library, query)} == {"small.md"}
            assert await matching(library, "catalogue number") == []
            assert [passage.source for passage in await matching(library, "lighthouse")] == ["small.md"]
            again: list[Ingested] = []
            assert (await ingester.ingest(SMALL)).status == "UNCHANGED"
            result = await ingester.ingest(BIG, again.append)
            assert result == Ingested(source="big.md", status="INGESTED", passages=SECTIONS)
            saved = again[0].passages if again else SECTIONS
            assert saved >= told[-1].passages
            assert (await matching(library, str(3 * 7919)))[0].source == "big.md"
            resumed = await everything(library)
        async with ingesting(embedder, tmp_path / "whole", kind) as (ingester, library):
            for upload in (SMALL, BIG):
                await ingester.ingest(upload)
            whole = await everything(library)
        assert resumed[0] == whole[0]
        assert resumed[1] == pytest.approx(whole[1], abs=1e-3)

    asyncio.run(main())


# --- callers ----------------------------------------------------------------------------------------------------------


def test_a_cancelled_ingest_goes_on(embedder: Embedder, tmp_path: Path, kind: StoreName) -> None:
    async def main() -> None:
        async with ingesting(embedder, tmp_path, kind) as (ingester, library):
            told: asyncio.Queue[Ingested] = asyncio.Queue()
            task = asyncio.create_task(ingester.ingest(BIG, told.put_nowait))
            while (await told.get()).passages < 64:
                pass
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await library.documents() == ()
            again: list[Ingested] = []
            assert (await ingester.ingest(BIG, again.append)).passages == SECTIONS
            assert again[0].passages >= 64
            assert await library.counts() == (1, SECTIONS)

    asyncio.run(main())


async def _same(ingester: Ingester) -> list[Ingested]:
    return await asyncio.gather(*(ingester.ingest(BIG) for _ in range(3)))


async def _changed(ingester: Ingester) -> list[Ingested]:
    both = await asyncio.gather(
        ingester.ingest(BIG.model_copy(update={"data": BIG.data + b"\n\n## Item 200\n\nAnother one."})),
        ingester.ingest(BIG),
    )
    return list(both)


@pytest.mark.parametrize("attempt", [_same, _changed])
def test_files_of_one_name_at_once(
    embedder: Embedder, tmp_path: Path, attempt: Callable[[Ingester], Awaitable[list[Ingested]]]
) -> None:
    async def main() -> None:
        async with ingesting(embedder, tmp_path, "sqlite") as (ingester, library):
            results = await attempt(ingester)
            assert {one.status for one in results} <= {"INGESTED", "UNCHANGED"}
            (document,) = await library.documents()
            assert document.passages == SECTIONS
            assert await library.counts() == (1, SECTIONS)
            assert len(await matching(library, "catalogue", 999)) == SECTIONS
            assert len(await library.nearest(await embed_whole(embedder, "a"), 999, ALL)) == SECTIONS

    asyncio.run(main())


def test_a_document_that_is_deleted_while_its_label_changes_comes_anew(
    embedder: Embedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with ingesting(embedder, tmp_path, "sqlite") as (ingester, library):
            await ingester.ingest(SMALL)
            find = library.find

            async def find_then_lose(source: str, collection: str) -> Document | None:
                found = await find(source, collection)
                await library.delete((await library.documents())[0].id)
                return found

            monkeypatch.setattr(library, "find", find_then_lose)
            private = SMALL.model_copy(update={"label": Privacy.PRIVATE})
            assert await ingester.ingest(private) == Ingested(source="small.md", status="INGESTED", passages=1)
            assert [one.label for one in await library.documents()] == [Privacy.PRIVATE]
            assert len(await matching(library, "lighthouse")) == 1

    asyncio.run(main())


def test_what_does_not_finish_arriving_within_a_month_is_swept_out(tmp_path: Path, kind: StoreName) -> None:
    async def main() -> None:
        library = await fresh(tmp_path, kind)
        days = {"old": 31, "young": 29}
        for name, age in days.items():
            began = (datetime.now(UTC) - timedelta(days=age)).isoformat(timespec="seconds")
            arriving = document(name, 2).model_copy(update={"ingested_at": began})
            await arrive(library, arriving, vectors(2), until=1)
        await library.close()
        library = await fresh(tmp_path, kind)
        there = await library._run(lambda: {one for page, _ in library._store.vectors() for one in page})
        assert there == {"young:0"}
        assert [await library.begin(document(name, 2)) for name in days] == [0, 1]
        await library.close()

    asyncio.run(main())
