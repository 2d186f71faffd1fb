"""Libraries to test: documents of made-up passages with vectors that were drawn at random."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from edge.config import StoreName
from edge.holdings import Library, Scope
from edge.store import Stored, Vectors, passage_id
from edge.terms import terms
from edgewise.types import Document, Passage, Privacy

WIDTH = 16
NOW = datetime.now(UTC).isoformat(timespec="seconds")
ALL = Scope()


def vectors(count: int, seed: int = 0, width: int = WIDTH) -> Vectors:
    """Of length 1, and evenly over all directions."""
    some = np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)
    return np.asarray(some / np.linalg.norm(some, axis=1, keepdims=True), np.float32)


def document(name: str, passages: int, source: str = "", collection: str = "default") -> Document:
    return Document(
        id=name,
        source=source or f"{name}.txt",
        title=name,
        collection=collection,
        label=Privacy.PRIVATE,
        passages=passages,
        ingested_at=NOW,
    )


def stored(of: Document, text: str = "") -> list[Stored]:
    """Each passage says its document and its position, as a word each."""
    return [
        Stored(passage_id(of.id, n), f"{of.title} > part {n}", f"{text} {of.id} position{n}".strip())
        for n in range(of.passages)
    ]


async def fresh(directory: Path, kind: StoreName) -> Library:
    return await Library.open(directory, kind, "embedder", WIDTH)


async def arrive(library: Library, of: Document, given: Vectors, text: str = "", *, until: int | None = None) -> int:
    """Bring the passages that are not there; how many were."""
    there = await library.begin(of)
    passages = stored(of, text)[there:until]
    if passages:
        await library.extend(of, passages, given[there:until])
    return there


async def put(library: Library, of: Document, given: Vectors | None = None, text: str = "") -> None:
    await arrive(library, of, vectors(of.passages) if given is None else given, text)
    await library.commit(of)


async def nearest(library: Library, vector: Vectors, k: int = 10, scope: Scope = ALL) -> list[Passage]:
    return await _read(library, [match.number for match in await library.nearest(vector, k, scope)])


async def matching(library: Library, query: str, k: int = 10, scope: Scope = ALL) -> list[Passage]:
    return await _read(library, [match.number for match in await library.matching(terms(query), k, scope)])


async def _read(library: Library, numbers: Sequence[int]) -> list[Passage]:
    passages = await library.read(numbers)
    assert len(passages) == len(numbers), "what is found can be read"
    return [passages[number] for number in numbers]


async def is_found(library: Library, of: Document) -> set[bool]:
    """For each of the ways to find a document, whether it was found; {True} or {False} if they agree."""
    count = 100_000
    near = {passage.id for passage in await nearest(library, vectors(1)[0], count)}
    match = {passage.id for passage in await matching(library, of.id, count)}
    read = {passage.id for passage in (await library.passages(of.id, range(of.passages))).values()}
    rows = {document.id for document in await library.documents()}
    wanted = [passage_id(of.id, position) for position in range(of.passages)]
    return {one in found for one in wanted for found in (near, match, read)} | {of.id in rows}
