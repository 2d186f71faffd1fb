"""The library on the real SQLite, with either of its real stores."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest

from edge.config import StoreName
from edge.holdings import Library, Scope
from edgewise.errors import Conflict, NotFound, NotReady
from edgewise.types import Privacy, Text
from tests.libraries import (
    NOW,
    WIDTH,
    arrive,
    document,
    fresh,
    is_found,
    matching,
    nearest,
    put,
    stored,
    vectors,
)

Attempt = Callable[[Library], Awaitable[None]]
Trying = Callable[..., None]


@pytest.fixture(params=["chroma", "sqlite"])
def kind(request: pytest.FixtureRequest) -> StoreName:
    kind: StoreName = request.param
    return kind


@pytest.fixture
def tried(tmp_path: Path, kind: StoreName) -> Trying:
    """Runs attempts one after the other on one library, which is closed and opened again between them."""

    def run(*attempts: Attempt) -> None:
        async def main() -> None:
            for attempt in attempts:
                library = await fresh(tmp_path, kind)
                try:
                    await attempt(library)
                finally:
                    await library.close()

        asyncio.run(main())

    return run


# --- documents --------------------------------------------------------------------------------------------------------


def test_a_passage_carries_label_and_source(tried: Trying) -> None:
    async def attempt(library: Library) -> None:
        few = vectors(5, seed=1)
        await put(library, document("big", 600), vectors(600))
        await put(library, document("small", 5, collection="other"), few)
        (first,) = await nearest(library, few[3], 1, Scope(("other",)))
        assert (first.id, first.title, first.source, first.origin) == (
            "small:3", "small > part 3", "small.txt", "edge",
        )  # fmt: skip
        assert first.text == Text(value="small position3", label=Privacy.PRIVATE, sources=("small.txt",))
        assert first.as_of == NOW
        assert await matching(library, "small position3", 1) == [first]
        assert await library.passages("small", [3, 4, 5, -1]) == {
            3: first, 4: (await library.passages("small", [4]))[4],
        }  # fmt: skip
        assert await library.counts() == (2, 605)

    tried(attempt)


def test_everything_is_there_again_after_a_restart(tried: Trying) -> None:
    old, new, gone = document("old", 3, source="a.txt"), document("new", 2, source="a.txt"), document("gone", 1)
    query = vectors(1, seed=9)[0]
    before: list[object] = []

    async def first(library: Library) -> None:
        await put(library, old, vectors(3))
        await put(library, new, vectors(2, seed=1))
        await put(library, gone)
        await library.delete("gone")
        await library.update(new.model_copy(update={"label": Privacy.PUBLIC}))
        before.extend([await nearest(library, query), await matching(library, "new")])

    async def then(library: Library) -> None:
        assert [await nearest(library, query), await matching(library, "new")] == before
        assert [(one.id, one.label) for one in await library.documents()] == [("new", Privacy.PUBLIC)]
        assert {passage.text.label for passage in await nearest(library, query)} == {Privacy.PUBLIC}
        assert await library.counts() == (1, 2)
        assert await library.find("a.txt", "default") == (await library.documents())[0]
        assert await library.find("a.txt", "other") is None
        assert await is_found(library, new) == {True}
        assert await is_found(library, old) == await is_found(library, gone) == {False}
        assert (await library.frequencies(["old", "new", "gone"])) == (2, {"old": 0, "new": 2, "gone": 0})
        for attempt in (library.delete("gone"), library.update(old)):
            with pytest.raises(NotFound, match="list the documents"):
                await attempt

    tried(first, then, then)


def test_what_is_replaced_is_found_until_then(tried: Trying) -> None:
    old, new = document("old", 3, source="a.txt"), document("new", 2, source="a.txt")
    elsewhere = document("elsewhere", 1, source="a.txt", collection="other")

    async def attempt(library: Library) -> None:
        await put(library, old, vectors(3))
        await put(library, elsewhere, vectors(1))
        await arrive(library, new, vectors(2))
        assert await is_found(library, new) == {False}
        assert await is_found(library, old) == {True}
        await library.commit(new)
        assert await is_found(library, new) == await is_found(library, elsewhere) == {True}
        assert await is_found(library, old) == {False}
        assert await library.counts() == (2, 3)

    tried(attempt)


def test_documents_are_listed_in_order_and_by_collection(tried: Trying) -> None:
    async def attempt(library: Library) -> None:
        for name in ("c", "a", "b"):
            await put(library, document(name, 1, collection="x" if name == "a" else "y"))
        assert [one.id for one in await library.documents()] == ["c", "a", "b"]
        assert [one.id for one in await library.documents("y")] == ["c", "b"]
        assert await library.documents("z") == ()

    tried(attempt)


# --- arriving ---------------------------------------------------------------------------------------------------------


def test_nothing_of_an_arriving_document_is_found(tried: Trying) -> None:
    half, whole = document("half", 4), document("whole", 1)

    async def first(library: Library) -> None:
        await put(library, whole)
        await arrive(library, half, vectors(4), until=2)
        await check(library)
        for attempt in (library.delete("half"), library.update(half)):
            with pytest.raises(NotFound):
                await attempt

    async def check(library: Library) -> None:
        assert await is_found(library, half) == {False}
        assert await is_found(library, whole) == {True}
        assert await library.counts() == (1, 1)
        assert await library.find("half.txt", "default") is None
        assert await library.frequencies(["half"]) == (1, {"half": 0})
        assert await library.matching(["half"], 9, Scope(("default",))) == []

    async def finish(library: Library) -> None:
        await check(library)
        assert await arrive(library, half, vectors(4)) == 2, "it goes on where it was"
        await library.commit(half)
        assert await is_found(library, half) == {True}

    async def then(library: Library) -> None:
        assert await is_found(library, half) == {True}
        assert await library.counts() == (2, 5)

    tried(first, finish, then)


def test_a_changed_document_sweeps_out_what_arrived_of_the_one_before(tried: Trying, kind: StoreName) -> None:
    older, newer = document("older", 4, source="a.txt"), document("newer", 2, source="a.txt")
    other = document("other", 2, source="b.txt")

    async def first(library: Library) -> None:
        await arrive(library, older, vectors(4), until=3)
        await arrive(library, other, vectors(2), until=1)

    async def then(library: Library) -> None:
        assert await library.begin(newer) == 0
        assert await library._run(library._store.read, ["older:0", "other:0"]) == {"other:0": stored(other)[0]}
        assert await library.begin(older) == 0
        assert await library.begin(other) == 1, "it has nothing to do with that"

    tried(first, then)


def test_strays_are_swept_out(tried: Trying) -> None:
    """A process that dies after the store has passages and before SQLite knows of them leaves such."""
    half = document("half", 3)

    async def first(library: Library) -> None:
        await put(library, document("whole", 1))
        await library.begin(half)
        await library._run(library._store.put, stored(half), vectors(3))

    async def then(library: Library) -> None:
        assert await library.counts() == (1, 1)
        assert set(await library._run(library._store.read, ["half:0", "whole:0"])) == {"whole:0"}
        assert await library.begin(half) == 0

    tried(first, then)


@pytest.mark.parametrize("is_ready", [True, False])
def test_a_document_that_lost_passages_is_not_called_complete(tried: Trying, *, is_ready: bool) -> None:
    damaged, other = document("damaged", 3), document("other", 2)

    async def first(library: Library) -> None:
        await put(library, other)
        await arrive(library, damaged, vectors(3))
        if is_ready:
            await library.commit(damaged)
        await library._run(library._store.erase, ["damaged:1"])

    async def then(library: Library) -> None:
        assert await library.find("damaged.txt", "default") is None
        assert await is_found(library, damaged) == {False}
        assert await library.counts() == (1, 2)
        assert await library._run(library._store.read, ["damaged:0"]) == {}
        assert await arrive(library, damaged, vectors(3)) == 0
        await library.commit(damaged)
        assert await is_found(library, damaged) == {True}

    tried(first, then)


# --- searching --------------------------------------------------------------------------------------------------------


def test_search_is_exact(tried: Trying) -> None:
    many, few, queries = vectors(3000), vectors(70, seed=1), vectors(20, seed=2)

    async def attempt(library: Library) -> None:
        await put(library, document("many", 3000), many)
        await put(library, document("few", 70), few)
        for query in queries:
            found = await library.nearest(query, 50, Scope())
            exact = np.sort(np.concatenate((many, few)) @ query)[::-1][:50]
            assert [match.score for match in found] == pytest.approx(exact, abs=1e-3), "but for float16's rounding"
            cosines = await library.cosines([match.number for match in found], query)
            assert [cosines[match.number] for match in found] == pytest.approx([match.score for match in found])

    tried(attempt, lambda _: asyncio.sleep(0))


def test_fewer_than_wanted(tried: Trying) -> None:
    async def attempt(library: Library) -> None:
        assert await library.nearest(vectors(1)[0], 10, Scope()) == []
        assert await library.matching(["a"], 10, Scope()) == []
        assert await library.read([]) == await library.passages("a", []) == {}
        assert await library.cosines([], vectors(1)[0]) == {}
        await put(library, document("a", 3))
        assert len(await library.nearest(vectors(1)[0], 10, Scope())) == 3
        assert await library.nearest(vectors(1)[0], 10, Scope(("none",))) == []
        assert len(await library.matching(["a"], 2, Scope())) == 2
        assert await library.read([99]) == await library.passages("b", [0]) == {}

    tried(attempt)


SOURCES = ("/a/b", "/a/b/c", "/a/b/d/e", "/a/bc", "/a/b%", "/a/b_/x", "/A/b", "o'clock/x", 'say "x"/y', "ñandú/雨/z")


@pytest.mark.parametrize(
    ("scope", "wanted"),
    [
        (Scope(), set(SOURCES)),
        (Scope(source="/a/b"), {"/a/b", "/a/b/c", "/a/b/d/e"}),
        (Scope(source="/a/b/"), {"/a/b/c", "/a/b/d/e"}),
        (Scope(source="/a/b/c"), {"/a/b/c"}),
        (Scope(source="/a/b%"), {"/a/b%"}),
        (Scope(source="/a/b_"), {"/a/b_/x"}),
        (Scope(source="/a"), {one for one in SOURCES if one.startswith("/a/")}),
        (Scope(source="/"), {one for one in SOURCES if one.startswith("/")}),
        (Scope(source="o'clock"), {"o'clock/x"}),
        (Scope(source='say "x"'), {'say "x"/y'}),
        (Scope(source="ñandú"), {"ñandú/雨/z"}),
        (Scope(source="ñandú/雨"), {"ñandú/雨/z"}),
        (Scope(source="%"), set()),
        (Scope(source="/a\0"), set()),
        (Scope(("even",)), set(SOURCES[::2])),
        (Scope(("even", "odd's \"x\"", "none")), set(SOURCES)),
        (Scope(("odd's \"x\"",), "/a/b"), {"/a/b/c"}),
        (Scope((*(f"c{n}" for n in range(40_000)), "even")), set(SOURCES[::2])),
    ],
)  # fmt: skip
def test_scope(tmp_path_factory: pytest.TempPathFactory, scope: Scope, wanted: set[str]) -> None:
    async def main() -> None:
        library = await fresh(tmp_path_factory.mktemp("scope"), "sqlite")
        for number, source in enumerate(SOURCES):
            collection = 'odd\'s "x"' if number % 2 else "even"
            await put(library, document(f"d{number}", 2, source, collection), text="word")
        for found in (await nearest(library, vectors(1)[0], 99, scope), await matching(library, "word", 99, scope)):
            assert {passage.source for passage in found} == wanted
            assert len(found) == 2 * len(wanted)
        await library.close()

    asyncio.run(main())


def test_any_number_of_passages(tried: Trying, kind: StoreName) -> None:
    """SQLite takes 999 or 32,766 values in one statement, by version."""
    count = 33_000 if kind == "sqlite" else 6_000
    big = document("big", count)

    async def first(library: Library) -> None:
        await arrive(library, big, vectors(count), until=count // 2)
        assert await arrive(library, big, vectors(count)) == count // 2
        await library.commit(big)
        await check(library)

    async def check(library: Library) -> None:
        found = await library.nearest(vectors(1)[0], count, Scope())
        assert len({match.number for match in found}) == count
        numbers = [match.number for match in found]
        assert len(await library.read(numbers)) == len(await library.cosines(numbers, vectors(1)[0])) == count
        assert len(await library.passages("big", range(count))) == count
        assert len(await matching(library, "big", count)) == count
        assert len(await matching(library, f"position{count - 1}", count)) == 1

    async def then(library: Library) -> None:
        await check(library)
        await library.delete("big")
        assert await library.counts() == (0, 0)
        assert await library.nearest(vectors(1)[0], 10, Scope()) == []

    tried(first, then)


# --- places -----------------------------------------------------------------------------------------------------------


def test_another_embedder_is_refused(tmp_path: Path, kind: StoreName) -> None:
    async def main() -> None:
        await (await fresh(tmp_path, kind)).close()
        for embedder, width in (("another", WIDTH), ("embedder", WIDTH + 1)):
            with pytest.raises(NotReady, match="another embedder; set"):
                await Library.open(tmp_path, kind, embedder, width)
        await (await fresh(tmp_path, kind)).close()

    asyncio.run(main())


def test_a_directory_has_one_owner_in_a_process(tmp_path: Path, kind: StoreName) -> None:
    async def main() -> None:
        library = await fresh(tmp_path, kind)
        with pytest.raises(Conflict, match=f"in use by process {os.getpid()}; stop that"):
            await fresh(tmp_path, kind)
        await put(library, document("a", 1))
        await library.close()
        library = await fresh(tmp_path, kind)
        assert await library.counts() == (1, 1)
        await library.close()

    asyncio.run(main())


def test_documents_of_an_earlier_version_are_refused(tmp_path: Path, kind: StoreName) -> None:
    (tmp_path / "documents.sqlite").touch()
    with pytest.raises(NotReady, match="an earlier version of Edgewise; ingest them again into a new data directory"):
        asyncio.run(fresh(tmp_path, kind))


def test_documents_of_another_version_are_named(tmp_path: Path, kind: StoreName) -> None:
    async def main() -> None:
        library = await fresh(tmp_path, kind)
        await put(library, document("a", 1))
        await library.close()
        with sqlite3.connect(tmp_path / "library.sqlite") as rows:
            rows.execute("UPDATE document SET value = '{}'")
        rows.close()
        library = await fresh(tmp_path, kind)
        with pytest.raises(NotReady, match="another version of Edgewise; use that version"):
            await library.documents()
        await library.close()

    asyncio.run(main())
