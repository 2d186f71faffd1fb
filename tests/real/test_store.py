"""The store on the real Chroma and the real SQLite."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from edge.store import Store, Vectors, passage_id
from edgewise.errors import Conflict, NotFound, NotReady
from edgewise.types import Document, Passage, Privacy, Text

WIDTH = 16


def vectors(count: int, seed: int = 0) -> Vectors:
    some = np.random.default_rng(seed).normal(size=(count, WIDTH)).astype(np.float32)
    return np.asarray(some / np.linalg.norm(some, axis=1, keepdims=True), np.float32)


def document(name: str, passages: int, source: str = "", collection: str = "default") -> Document:
    return Document(
        id=name,
        source=source or f"{name}.txt",
        title=name,
        collection=collection,
        label=Privacy.PRIVATE,
        passages=passages,
        ingested_at="2026-11-22T00:00:00+00:00",
    )


def passages(of: Document) -> list[Passage]:
    return [
        Passage(id=passage_id(of.id, n), text=Text(value=f"{of.id} {n}"), source=of.source, title=f"part {n}")
        for n in range(of.passages)
    ]


async def fresh(directory: Path) -> Store:
    return await Store.open(directory, "embedder", WIDTH)


def test_search_is_exact_and_carries_label_and_source(tmp_path: Path) -> None:
    async def main() -> None:
        store = await fresh(tmp_path / "edge")
        big, small = document("big", 600), document("small", 5, collection="other")
        many, few = vectors(600), vectors(5, seed=1)
        await store.add(big, passages(big), many)
        await store.add(small, passages(small), few)
        query = vectors(1, seed=2)[0]
        found = await store.search(query, 10)
        scores = np.concatenate((many, few)) @ query
        assert [passage.score for passage in found] == pytest.approx(sorted(scores, reverse=True)[:10], abs=1e-6)
        first = (await store.search(few[3], 1, ("other",)))[0]
        assert (first.id, first.title, first.source, first.origin) == ("small:3", "part 3", "small.txt", "edge")
        assert first.text == Text(value="small 3", label=Privacy.PRIVATE, sources=("small.txt",))
        assert len(await store.search(query, 10, ("other", "nowhere"))) == 5
        assert await store.search(query, 10, ("nowhere",)) == ()
        await store.close()

    asyncio.run(main())


def test_everything_is_there_again_after_a_restart(tmp_path: Path) -> None:
    async def main() -> None:
        store = await fresh(tmp_path)
        old, new = document("old", 3, source="a.txt"), document("new", 2, source="a.txt")
        await store.add(old, passages(old), vectors(3))
        await store.add(new, passages(new), vectors(2, seed=1))
        await store.add(document("gone", 1), passages(document("gone", 1)), vectors(1))
        await store.delete("gone")
        await store.relabel("new", Privacy.PUBLIC)
        before = await store.search(vectors(1)[0], 10)
        await store.close()
        store = await fresh(tmp_path)
        assert await store.search(vectors(1)[0], 10) == before
        assert [one.id for one in await store.documents()] == ["new"]
        assert await store.counts() == (1, 2)
        assert before[0].text.label is Privacy.PUBLIC
        assert await store.has("new")
        assert not await store.has("old")
        assert await store.find("a.txt", "default") is not None
        with pytest.raises(NotFound):
            await store.delete("gone")
        await store.close()

    asyncio.run(main())


def test_an_interrupted_ingest_is_invisible_and_swept_out(tmp_path: Path) -> None:
    async def main() -> None:
        store = await fresh(tmp_path)
        half = document("half", 2)
        await store._run(store._write, passages(half), vectors(2))  # all passages are written, the row is not
        assert await store.search(vectors(1)[0], 5) == ()
        await store.close()
        store = await fresh(tmp_path)
        assert await store.counts() == (0, 0)
        assert await store._run(store._chroma.count) == 0
        await store.close()

    asyncio.run(main())


def test_a_document_that_lost_passages_is_not_called_complete(tmp_path: Path) -> None:
    async def main() -> None:
        store = await fresh(tmp_path)
        whole = document("whole", 3)
        await store.add(whole, passages(whole), vectors(3))
        await store._run(store._erase, ["whole:1"])
        await store.close()
        store = await fresh(tmp_path)
        assert not await store.has("whole")
        await store.add(whole, passages(whole), vectors(3))
        assert len(await store.search(vectors(1)[0], 5)) == 3
        await store.close()

    asyncio.run(main())


def test_another_embedder_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        await (await fresh(tmp_path)).close()
        for embedder, width in (("another", WIDTH), ("embedder", WIDTH + 1)):
            with pytest.raises(NotReady, match="another embedder"):
                await Store.open(tmp_path, embedder, width)

    asyncio.run(main())


def test_a_directory_has_one_owner(tmp_path: Path) -> None:
    async def main() -> None:
        store = await fresh(tmp_path)
        with pytest.raises(Conflict, match=str(os.getpid())):
            await fresh(tmp_path)
        await store.close()
        await (await fresh(tmp_path)).close()

    asyncio.run(main())


def test_a_place_that_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for place in (tmp_path / "file", tmp_path / "file" / "edge"):
        with pytest.raises(NotReady, match="cannot be used"):
            asyncio.run(fresh(place))


def test_damage_is_named(tmp_path: Path) -> None:
    (tmp_path / "documents.sqlite").write_bytes(b"garbage" * 1000)
    with pytest.raises(NotReady, match="cannot be read"):
        asyncio.run(fresh(tmp_path))
    (tmp_path / "documents.sqlite").unlink()
    with sqlite3.connect(tmp_path / "documents.sqlite") as rows:
        rows.execute("CREATE TABLE document (id TEXT PRIMARY KEY, value TEXT NOT NULL)")
        rows.execute("INSERT INTO document VALUES ('a', '{}')")
    rows.close()
    with pytest.raises(NotReady, match="another version"):
        asyncio.run(fresh(tmp_path))


def add_for_ever(directory: Path, pipe: multiprocessing.connection.Connection) -> None:
    async def main() -> None:
        store = await fresh(directory)
        for number in range(10_000):
            one = document(f"d{number}", 3)
            await store.add(one, passages(one), vectors(3, seed=number))
            pipe.send(number)

    asyncio.run(main())


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(target=add_for_ever, args=(tmp_path, theirs))
    child.start()
    acknowledged = max(ours.recv() for _ in range(8))
    child.kill()
    child.join()
    while ours.poll():
        acknowledged = ours.recv()

    async def main() -> None:
        store = await fresh(tmp_path)
        ids = [one.id for one in await store.documents()]
        assert ids[: acknowledged + 1] == [f"d{number}" for number in range(acknowledged + 1)]
        assert (await store.counts())[1] == 3 * len(ids)
        await store.close()

    asyncio.run(main())
    ours.close()
    theirs.close()
