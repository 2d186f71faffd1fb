"""What goes wrong under the library: other owners, places of no use, damage, a full disk, a killed process."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import resource
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from edge.config import StoreName
from edgewise.errors import Conflict, NotReady
from tests.libraries import arrive, document, fresh, is_found, put, vectors

SPAWN = multiprocessing.get_context("spawn")
KINDS: tuple[StoreName, ...] = ("chroma", "sqlite")
FILES = {"chroma": "chroma/chroma.sqlite3", "sqlite": "passages.sqlite"}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> StoreName:
    kind: StoreName = request.param
    return kind


def in_a_child(work: Callable[..., None], *arguments: object) -> None:
    child = SPAWN.Process(target=work, args=arguments)
    child.start()
    child.join()
    assert child.exitcode == 0


# --- places -----------------------------------------------------------------------------------------------------------


def meet_the_owner(directory: Path, kind: StoreName, owner: int) -> None:
    with pytest.raises(Conflict, match=f"in use by process {owner}; stop that"):
        asyncio.run(fresh(directory, kind))


def test_a_directory_has_one_owner_among_processes(tmp_path: Path, kind: StoreName) -> None:
    async def main() -> None:
        library = await fresh(tmp_path, kind)
        await put(library, document("a", 1))
        await asyncio.to_thread(in_a_child, meet_the_owner, tmp_path, kind, os.getpid())
        assert await is_found(library, document("a", 1)) == {True}
        await library.close()

    asyncio.run(main())


def test_a_place_that_is_no_directory(tmp_path: Path, kind: StoreName) -> None:
    (tmp_path / "file").write_text("x")
    for place in (tmp_path / "file", tmp_path / "file" / "edge", Path("/proc/edge")):
        with pytest.raises(NotReady, match=r"cannot be used: .*; give a directory that you can write to"):
            asyncio.run(fresh(place, kind))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may do everything")
def test_a_directory_without_permission(tmp_path: Path, kind: StoreName) -> None:
    asyncio.run(_opened(tmp_path / "edge", kind))
    for place in (tmp_path / "edge", tmp_path):
        place.chmod(0o500)
        try:
            with pytest.raises(NotReady, match="cannot be used"):
                asyncio.run(fresh(tmp_path / "edge" if place is tmp_path / "edge" else tmp_path / "new", kind))
        finally:
            place.chmod(0o700)


async def _opened(directory: Path, kind: StoreName) -> None:
    library = await fresh(directory, kind)
    await put(library, document("a", 50))
    await library.close()


# --- damage -----------------------------------------------------------------------------------------------------------


def garbage(path: Path) -> None:
    for beside in path.parent.glob(f"{path.name}-*"):  # what SQLite would repair it from
        beside.unlink()
    path.write_bytes(b"garbage" * 1000)


def cut_off(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("damage", [garbage, cut_off])
@pytest.mark.parametrize("is_of_the_store", [True, False])
def test_a_damaged_file_is_named(
    tmp_path: Path, kind: StoreName, damage: Callable[[Path], None], *, is_of_the_store: bool
) -> None:
    async def main() -> None:
        await _opened(tmp_path, kind)
        damage(tmp_path / (FILES[kind] if is_of_the_store else "library.sqlite"))
        with pytest.raises(NotReady, match=r"cannot be used .*; check the free space .* move it away and ingest again"):
            await _opened(tmp_path, kind)

    asyncio.run(main())


def test_a_damaged_index_of_chroma_is_named_or_does_not_matter(tmp_path: Path) -> None:
    """Vectors come from its files, too, once there are a thousand."""

    async def main() -> None:
        library = await fresh(tmp_path, "chroma")
        await put(library, document("a", 2500))
        await library.close()
        damaged = sorted((tmp_path / "chroma").glob("*-*/*.bin"))
        assert damaged
        for file in damaged:
            file.write_bytes(b"garbage" * 10)
        try:
            library = await fresh(tmp_path, "chroma")
        except NotReady as error:
            assert "move it away and ingest again" in error.message  # noqa: PT017
            return
        assert len(await is_found(library, document("a", 2500))) == 1
        await library.close()

    asyncio.run(main())


def test_a_store_that_is_gone_leaves_nothing_half(tmp_path: Path, kind: StoreName) -> None:
    async def main() -> None:
        await _opened(tmp_path, kind)
        for file in (tmp_path / FILES[kind]).parent.glob("chroma*" if kind == "chroma" else "passages*"):
            file.unlink()
        library = await fresh(tmp_path, kind)
        assert await library.counts() == (0, 0)
        assert await is_found(library, document("a", 50)) == {False}
        await put(library, document("a", 50))
        assert await is_found(library, document("a", 50)) == {True}
        await library.close()

    asyncio.run(main())


# --- a full disk ------------------------------------------------------------------------------------------------------


def fill_the_disk(directory: Path, kind: StoreName) -> None:
    async def main() -> None:
        library = await fresh(directory, kind)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4_000_000, 4_000_000))
        added = 0

        async def add() -> None:
            nonlocal added
            for added in range(200):
                await put(library, document(f"d{added}", 1), text=f"{added} " * 20_000)

        with pytest.raises(NotReady, match=r"cannot be used .*; check the free space"):
            await add()
        assert await library.counts() == (added, added)
        for number in range(added):
            assert await is_found(library, document(f"d{number}", 1)) == {True}
        assert await is_found(library, document(f"d{added}", 1)) == {False}
        assert added > 3
        await library.close()

    asyncio.run(main())


def test_a_full_disk_is_said_and_loses_nothing(tmp_path: Path, kind: StoreName) -> None:
    in_a_child(fill_the_disk, tmp_path, kind)

    async def main() -> None:
        library = await fresh(tmp_path, kind)
        documents, passages = await library.counts()
        assert documents == passages > 3
        for number in range(documents):
            assert await is_found(library, document(f"d{number}", 1)) == {True}
        again = document(f"d{documents}", 1)
        await put(library, again)
        assert await is_found(library, again) == {True}
        await library.close()

    asyncio.run(main())


# --- a killed process -------------------------------------------------------------------------------------------------


def add_for_ever(directory: Path, kind: StoreName, pipe: Connection, first: int) -> None:
    """Add small documents, replace every third by another version of it, and delete every fifth."""

    async def main() -> None:
        library = await fresh(directory, kind)
        for number in range(first, 100_000):
            one = document(f"d{number}", 3)
            await arrive(library, one, vectors(3, seed=number), until=2)
            await arrive(library, one, vectors(3, seed=number))
            await library.commit(one)
            pipe.send(("added", number))
            if number % 3 == 0:
                await put(library, document(f"again{number}", 2, source=one.source))
                pipe.send(("replaced", number))
            elif number % 5 == 0:
                await library.delete(one.id)
                pipe.send(("deleted", number))

    asyncio.run(main())


def killed_after(directory: Path, kind: StoreName, first: int, seconds: float) -> list[tuple[str, int]]:
    """What a process has acknowledged that was killed some time after its first word."""
    ours, theirs = SPAWN.Pipe(duplex=False)
    child = SPAWN.Process(target=add_for_ever, args=(directory, kind, theirs, first))
    child.start()
    theirs.close()
    done = [ours.recv()]
    time.sleep(seconds)
    child.kill()
    child.join()
    try:
        while True:
            done.append(ours.recv())
    except EOFError:
        return done
    finally:
        ours.close()


WANTED = {"added": [{True}, {False}], "replaced": [{False}, {True}], "deleted": [{False}, {False}]}


async def check(directory: Path, kind: StoreName, done: dict[int, str], unsure: set[int]) -> None:
    """`unsure` are the last that were acknowledged before a kill: what was to follow may have happened."""
    library = await fresh(directory, kind)
    there = [one.id for one in await library.documents()]
    for number, what in done.items():
        listed = [{f"d{number}" in there}, {f"again{number}" in there}]
        assert listed in (WANTED.values() if number in unsure else [WANTED[what]]), number
    last = max(done)
    for number in (*sorted(done)[-20:], *unsure):
        both = (document(f"d{number}", 3), document(f"again{number}", 2))
        states = [await is_found(library, one) for one in both]
        assert states in (WANTED.values() if number in unsure else [WANTED[done[number]]]), number
    assert len(await is_found(library, document(f"d{last + 1}", 3))) == 1, "it is there, or it is not"
    assert await library.counts() == (len(there), sum(3 if name.startswith("d") else 2 for name in there))

    def kept() -> tuple[set[str], set[str]]:
        rows = library._sqlite.execute("SELECT document || ':' || position FROM passage").fetchall()
        return {one for page, _ in library._store.vectors() for one in page}, {one for (one,) in rows}

    in_the_store, in_sqlite = await library._run(kept)
    assert in_the_store == in_sqlite, "strays are swept out"
    await library.close()


def test_what_was_acknowledged_survives_kills_and_nothing_is_half_there(tmp_path: Path, kind: StoreName) -> None:
    dice = random.Random(7)
    done: dict[int, str] = {}
    unsure: set[int] = set()
    for _ in range(3):
        first = max(done, default=-2) + 2  # the one that was in work may be there or not
        done |= {number: what for what, number in killed_after(tmp_path, kind, first, dice.uniform(0.02, 0.4))}
        unsure.add(max(done))
        asyncio.run(check(tmp_path, kind, done, unsure))
