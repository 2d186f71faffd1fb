"""A watched folder, with the real watcher, embedder and library."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from edge.embedder import Embedder
from edge.holdings import Library
from edge.ingest.ingester import Ingester
from edge.ingest.watcher import Watcher
from edge.retriever import Retriever
from edgewise.types import Privacy, Query, Text

SOON_S = 10.0  # how soon is measured by the benchmark; here it must happen at all


@asynccontextmanager
async def watched(folder: Path, place: Path) -> AsyncIterator[tuple[Library, Retriever]]:
    embedder = await asyncio.to_thread(Embedder.open)
    library = await Library.open(place, "sqlite", embedder.model_hash, embedder.dimension)
    watcher = Watcher([folder], Ingester(embedder, library, 100_000), library, "notes", Privacy.PRIVATE)
    task = asyncio.create_task(watcher.run())
    try:
        yield library, Retriever(embedder, library)
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.wait((task,))
        await library.close()
        embedder.close()


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + SOON_S
    while not await holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


def test_what_comes_changes_and_goes_is_followed(tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    (folder / "deep").mkdir(parents=True)
    (folder / "old.md").write_text("# Lighthouse\n\nThe lamp is lit at dusk.\n")
    outside = tmp_path / "secret.md"
    outside.write_text("The code is 4711.\n")

    async def main() -> None:
        async with watched(folder, tmp_path / "edge") as (library, retriever):

            async def sources() -> list[str]:
                return sorted(Path(document.source).name for document in await library.documents("notes"))

            async def has(*names: str) -> bool:
                return await sources() == sorted(names)

            async def says(words: str) -> bool:
                found = await retriever.retrieve(Query(text=Text(value="When does the ferry leave?"), k=1))
                return any(words in passage.text.value for passage in found.passages)

            await until(lambda: has("old.md"))
            assert (await library.documents("notes"))[0].label is Privacy.PRIVATE
            (folder / "deep" / "ferry.txt").write_text("The ferry leaves at noon.")
            await until(lambda: says("noon"))
            (folder / "deep" / "ferry.txt").write_text("The ferry leaves at seven.")
            await until(lambda: says("seven"))
            assert not await says("noon")
            (folder / "photo.png").write_bytes(b"\x89PNG")
            (folder / ".hidden.md").write_text("not for you")
            os.mkfifo(folder / "pipe.md")
            (folder / "link.md").symlink_to(outside)
            (folder / "new.md").write_text("The last one to come.")
            await until(lambda: has("ferry.txt", "new.md", "old.md"))
            (folder / "deep" / "ferry.txt").rename(folder / "boat.txt")
            await until(lambda: has("boat.txt", "new.md", "old.md"))
            (folder / "old.md").unlink()
            await until(lambda: has("boat.txt", "new.md"))

    asyncio.run(main())


def test_a_folder_that_goes_away_takes_nothing_along(tmp_path: Path) -> None:
    folder = tmp_path / "stick"
    folder.mkdir()
    (folder / "one.md").write_text("The lamp is lit at dusk.")

    async def main() -> None:
        async with watched(folder, tmp_path / "edge") as (library, _):

            async def is_there() -> bool:
                return len(await library.documents()) == 1

            await until(is_there)
            folder.rename(tmp_path / "unplugged")
            await asyncio.sleep(1.0)
            assert await is_there()

    asyncio.run(main())
