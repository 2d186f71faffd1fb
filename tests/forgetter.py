"""A program that is killed while it forgets, at each of its steps, and forgets again: `python -m tests.forgetter DIR`.

It forks before anything is opened, so that each attempt is a process of its own and imports nothing anew.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import numpy as np

from edge import holdings, store, store_sqlite
from edge.config import StoreName
from edge.holdings import Library
from edge.ingest.identity import deleted, kept, kept_id
from edge.store import Stored, passage_id
from edgewise.errors import NotFound
from edgewise.types import CLOUD_INFO, Document, Findings, Passage, Record
from router.apps import NO_APPS
from router.forgetting import Forgetting
from router.log import Log
from router.log import forgetting as of_log
from router.log.database import Database
from router.meter import SideCall
from router.reach import OWNERS
from router.running import Floor
from router.service import edge_answers_for_itself
from tests.marked import OTHER, SECRET, about, holding, of
from tests.routers import log_url

_DIMENSION = 8


class Shelf:
    """A library as a place where documents are, without any model."""

    def __init__(self, library: Library) -> None:
        self._library = library

    async def documents(self, collection: str = "") -> tuple[Document, ...]:
        return await self._library.documents(collection)

    async def delete_document(self, document_id: str) -> None:
        await self._library.delete(document_id)

    async def drop(self, passages: tuple[Passage, ...], collection: str = CLOUD_INFO) -> int:
        return await deleted(self.delete_document, (kept_id(one, collection) for one in passages))

    async def scrub(self) -> None:
        await self._library.scrub()

    async def put(self, document: Document, text: str) -> None:
        vectors = np.zeros((1, _DIMENSION), np.float32)
        vectors[0, len(text) % _DIMENSION] = 1
        await self._library.begin(document)
        stored = [Stored(passage_id(document.id, 0), document.title, text)]
        await self._library.extend(document, stored, vectors)
        await self._library.commit(document)


def document(word: str, collection: str = "default") -> Document:
    return Document(
        id=word.encode().hex().ljust(32, "0"), source=f"{word}.md", title=word, collection=collection, passages=1,
        ingested_at="2026-01-01T00:00:00+00:00",
    )  # fmt: skip


@asynccontextmanager
async def opened(directory: Path, kind: StoreName) -> AsyncIterator[tuple[Log, Shelf, Forgetting]]:
    library = await Library.open(directory / "edge", kind, "hash", _DIMENSION)
    log = await Log.open(log_url(directory), backlog=directory / "backlog.jsonl", retry_s=600)
    shelf = Shelf(library)
    try:
        ready = edge_answers_for_itself
        yield log, shelf, Forgetting(log, shelf, Floor(), ready, ready, NO_APPS, directory)
    finally:
        await log.close()
        await library.close()


async def _filled(directory: Path, kind: StoreName) -> None:
    """Two words: of each a document, a record that cites it and what the cloud informed of for it, and one talk."""
    async with opened(directory, kind) as (log, shelf, _):
        for word in (SECRET, OTHER):
            await shelf.put(document(word), f"The {word} workshop opens at nine.")
            info = kept(about(word))
            cloud = document(word, CLOUD_INFO).model_copy(
                update={"id": kept_id(about(word)), "source": info.source, "origin": "cloud"}
            )
            await shelf.put(cloud, info.data.decode())
            record = Record(
                record_id=f"record-of-{word}", question=f"When does {word} open?", answer="At nine.", cloud_calls=1,
                conversation_id="talk", created_at="2026-01-01T00:00:00.000+00:00",
                citations=(about(word).model_copy(update={"id": passage_id(document(word).id, 0), "origin": "edge"}),),
            )  # fmt: skip
            findings = Findings(passages=(about(word),)).model_dump_json()
            calls = [
                SideCall(
                    key="k", side="cloud", kind="retrieve", request=f"{SECRET} then {word}", response=findings,
                    started_s=0, ended_s=1,
                )
            ]  # fmt: skip
            await log.write(record, calls)


def killed(at: str, place: object, name: str, after: int = 0) -> tuple[str, Callable[[], None]]:
    """Makes a function kill its process when it is called, once it was called some times."""

    def arm() -> None:
        original, left = getattr(place, name), [after]

        def die(*args: object, **kwargs: object) -> object:
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            return original(*args, **kwargs)

        setattr(place, name, die)

    return at, arm


STEPS = (
    killed("when that is gone", Log, "erase"),
    killed("between the log's steps", of_log, "_delete"),
    killed("when the records are gone", Database, "scrub"),
)
OF_CHROMA = (
    killed("while the store is written anew", store.ChromaStore, "put"),
    killed("between two names", Path, "rename", after=1),
    killed("before the old one goes", shutil, "rmtree", after=1),
    killed("before the library is overwritten", holdings, "overwrite"),
)
OF_SQLITE = (
    killed("before the store is overwritten", store_sqlite, "overwrite"),
    killed("before the library is overwritten", holdings, "overwrite"),
)


def fill(directory: Path, kind: StoreName) -> None:
    asyncio.run(_filled(directory, kind))


async def forgotten(directory: Path, kind: StoreName) -> None:
    """A record that is seen meanwhile has its calls."""
    async with opened(directory, kind) as (log, shelf, forgetting):
        with suppress(NotFound):
            record = await log.get(f"record-of-{SECRET}")
            assert await log.calls(record.record_id)
        assert (await log.get(f"record-of-{OTHER}")).answer
        await forgetting.forget(of(record_id=f"record-of-{SECRET}"), OWNERS)
        await forgetting.forget(of(document_id=document(SECRET).id), OWNERS)
        assert {one.title for one in await shelf.documents()} == {OTHER}


def in_a_child(work: Callable[[], None]) -> int:
    """The signal or code that it ends with."""
    pid = os.fork()
    if pid == 0:
        work()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def run(directory: Path, kind: StoreName, arm: Callable[[], None] = lambda: None) -> None:
    arm()
    asyncio.run(forgotten(directory, kind))


def main(place: Path) -> None:
    kinds: tuple[StoreName, ...] = ("sqlite", "chroma")
    for kind in kinds:
        source = place / kind
        source.mkdir()
        assert in_a_child(partial(fill, source, kind)) == 0
        for at, arm in OF_CHROMA if kind == "chroma" else STEPS + OF_SQLITE:
            directory = place / f"{kind}-{at.replace(' ', '-')}"
            shutil.copytree(source, directory)

            assert in_a_child(partial(run, directory, kind, arm)) == -signal.SIGKILL, (kind, at, "was not killed")
            assert holding(directory, SECRET), (kind, at, "had nothing left to do")
            assert in_a_child(partial(run, directory, kind)) == 0, (kind, at)
            assert holding(directory, SECRET) == [], (kind, at, holding(directory, SECRET))
            assert holding(directory, OTHER), (kind, at)
            print(kind, at)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
