"""A library filled with given passages, each as it is: chunking is measured by `speed`, retrieval by its own."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np

from edge.config import StoreName
from edge.embedder import Embedder
from edge.holdings import Library
from edge.retriever import Retriever, embed_whole
from edge.store import Stored, Vectors, passage_id
from edgewise.types import Document, Privacy
from tests.bench.rag.sets import Given

_VECTORS = Path("build/bench/vectors")
_BATCH = 500


class Filled:
    """Passages have the numbers that they were given; those in `removed` are not there for a while."""

    def __init__(self, embedder: Embedder, library: Library, given: Sequence[Given], vectors: Vectors) -> None:
        self.retriever = Retriever(embedder, library)
        self.holdings = library
        self.given = given
        self._vectors = vectors

    async def put(self, places: Sequence[int], *, name: str = "") -> None:
        """Let some passages in: each as a document of its own, or all as one with a name."""
        for group in [places] if name else [[place] for place in places]:
            document = document_of(name or str(group[0]), len(group))
            await self.holdings.begin(document)
            for start in range(0, len(group), _BATCH):
                some = group[start : start + _BATCH]
                stored = [
                    Stored(passage_id(document.id, position), self.given[place].title, self.given[place].text)
                    for position, place in enumerate(some, start)
                ]
                await self.holdings.extend(document, stored, self._vectors[some])
            await self.holdings.commit(document)

    @asynccontextmanager
    async def without(self, places: Sequence[int]) -> AsyncIterator[None]:
        """Some of the passages that are documents of their own are gone inside."""
        for place in places:
            await self.holdings.delete(document_of(str(place), 1).id)
        try:
            yield
        finally:
            await self.put(places)

    def place(self, passage: str) -> int:
        """The number of a found passage; -1 for one of the distractors."""
        source = passage.rpartition(":")[0]
        return int(source) if source.isdigit() else -1


@asynccontextmanager
async def filled(
    embedder: Embedder, own: Sequence[Given], others: Sequence[Given], directory: Path, store: StoreName = "chroma"
) -> AsyncIterator[Filled]:
    """`own` one document each, which can be removed; `others` all in one."""
    given = (*own, *others)
    vectors = await embedded(embedder, given)
    library = await Library.open(directory, store, embedder.model_hash, embedder.dimension)
    try:
        all_of_it = Filled(embedder, library, given, vectors)
        if others:
            await all_of_it.put(range(len(own), len(given)), name="others")
        await all_of_it.put(range(len(own)))
        yield all_of_it
    finally:
        await library.close()


async def embedded(embedder: Embedder, given: Sequence[Given]) -> Vectors:
    """The vectors of passages with their titles, as ingest makes them; kept for the next run."""
    texts = [f"{passage.title}\n{passage.text}" for passage in given]
    digest = hashlib.sha256("\0".join((embedder.model_hash, *texts)).encode()).hexdigest()
    kept = _VECTORS / f"{digest[:32]}.npy"
    if kept.exists():
        return np.asarray(np.load(kept), np.float32)
    vectors = np.stack([await embed_whole(embedder, text, passage=True) for text in texts])
    await asyncio.to_thread(_keep, kept, vectors)
    return vectors


def _keep(path: Path, vectors: Vectors) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, vectors)


def document_of(name: str, passages: int) -> Document:
    """A public document that is called so."""
    return Document(
        id=name,
        source=name,
        title=name,
        collection="default",
        label=Privacy.PUBLIC,
        passages=passages,
        ingested_at="2026-01-01T00:00:00+00:00",
    )
