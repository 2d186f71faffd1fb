"""Where passages and their vectors stay on disk: the port, and Chroma behind it (`store_sqlite.py` is the other one).

A store knows nothing of documents and does not search: the library has one, on one thread, and keeps all vectors in
memory to look at every one of them. Chroma's own HNSW index is approximate at every size (tests/real/test_hnsw.py
measures what it misses), gets worse with deletions, and filters slowly. It cannot be switched off, so it is built as
cheaply as it allows.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from edge.config import StoreName
from edge.hnsw import clear_unused
from edgewise.errors import NotReady

if TYPE_CHECKING:
    from chromadb.api.client import Client
    from chromadb.api.models.Collection import Collection

Vectors = NDArray[np.float32]

_NAME = "passages"
_BATCH = 1000  # Chroma's own limit is 5461


@dataclass(frozen=True, slots=True)
class Stored:
    """A passage as it is kept: `id` is `passage_id` of its place, `title` its document's and the headings above it."""

    id: str
    title: str
    text: str


def passage_id(document_id: str, position: int) -> str:
    return f"{document_id}:{position}"


def place_of(passage: str) -> tuple[str, int]:
    """The document and the position of a passage, from its id."""
    document, _, position = passage.rpartition(":")
    return document, int(position)


class Store(Protocol):
    """Methods block, and belong to one thread. What cannot be read or written is NotReady."""

    def put(self, passages: Sequence[Stored], vectors: Vectors) -> None:
        """Keep passages, in place of others with their ids; `vectors` is [passages, dimension], L2-normalised."""
        ...

    def erase(self, ids: Sequence[str]) -> None:
        """Forget passages; those that are not there are forgotten already."""
        ...

    def read(self, ids: Sequence[str]) -> dict[str, Stored]:
        """Those of some passages that are there, by id."""
        ...

    def scrub(self) -> None:
        """Overwrite on disk what was erased."""
        ...

    def vectors(self, ids: Sequence[str] | None = None) -> Iterator[tuple[list[str], Vectors]]:
        """All vectors, or those of some passages, a page at a time as (ids, [ids, dimension])."""
        ...


def open_store(kind: StoreName, directory: Path, embedder_hash: str, dimension: int) -> AbstractContextManager[Store]:
    """The store of that kind in a directory, made if need be.

    NotReady when it cannot be opened, or holds the vectors of another embedder.
    """
    if kind == "sqlite":
        from edge.store_sqlite import open_sqlite

        return open_sqlite(directory / "passages.sqlite", embedder_hash, dimension)
    return _open_chroma(directory / "chroma", embedder_hash, dimension)


def other_embedder(place: Path) -> NotReady:
    return NotReady(
        f"{place} holds vectors of another embedder; set edge.embedder back to it, "
        f"or ingest the documents again into a new data directory"
    )


@contextmanager
def usable(place: Path, *faults: type[Exception]) -> Iterator[None]:
    """NotReady for what SQLite (and `faults`) raise inside when a disk is full, or what is on it is damaged."""
    known: tuple[type[Exception], ...] = (sqlite3.Error, OSError, *faults)
    try:
        yield
    except known as error:
        raise NotReady(
            f"the documents in {place} cannot be used ({error}); check the free space and the permissions there, "
            f"and if it is damaged, move it away and ingest again"
        ) from error
    except ValidationError:
        raise NotReady(
            f"the documents in {place} were written by another version of Edgewise; "
            f"use that version, or a new data directory"
        ) from None


def overwrite(connection: sqlite3.Connection) -> None:
    """Writes a database anew, so that neither it nor its journal has a byte of what was deleted; blocks for long.

    NotReady while another program reads it.
    """
    connection.execute("VACUUM")
    (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise NotReady("another program reads the documents, so that what was deleted cannot be overwritten; end it")


@contextmanager
def _open_chroma(place: Path, embedder_hash: str, dimension: int) -> Iterator[ChromaStore]:
    """With the scrubbing that a crash may have cut short: what it was writing goes, what it had written stays."""
    fresh, stale = _beside(place)
    with usable(place):
        if not place.exists() and stale.exists():
            fresh.rename(place)
        for left in (fresh, stale):
            shutil.rmtree(left, ignore_errors=True)
        clear_unused(place)
    store = ChromaStore(place, {"embedder": embedder_hash, "dimension": dimension}, dimension)
    try:
        yield store
    finally:
        store.close()


def _beside(place: Path) -> tuple[Path, Path]:
    """Where a store is written anew, and where the old one waits for its end: that one is there once this is whole."""
    return place.with_name(f"{place.name}.new"), place.with_name(f"{place.name}.old")


def _client(place: Path) -> Client:
    import chromadb
    from chromadb.api.client import Client
    from chromadb.config import Settings

    with _chroma(place):
        client = chromadb.PersistentClient(place, settings=Settings(anonymized_telemetry=False))
    assert isinstance(client, Client)
    return client


def _collection(client: Client, place: Path, made_with: dict[str, Any]) -> Collection:
    from chromadb.api.collection_configuration import CreateCollectionConfiguration, CreateHNSWConfiguration

    index = CreateHNSWConfiguration(space="cosine", ef_construction=4, max_neighbors=4)
    with _chroma(place):
        collection = client.get_or_create_collection(
            _NAME,
            embedding_function=None,
            metadata=made_with,
            configuration=CreateCollectionConfiguration(hnsw=index),
        )
    if dict(collection.metadata or {}) != made_with:
        raise other_embedder(place)
    return collection


class ChromaStore:
    def __init__(self, place: Path, made_with: dict[str, Any], dimension: int) -> None:
        self._place = place
        self._made_with = made_with
        self._dimension = dimension
        self._open()

    def _open(self) -> None:
        self._client = _client(self._place)
        try:
            self._collection = _collection(self._client, self._place, self._made_with)
        except BaseException:
            self._client.close()
            raise

    def close(self) -> None:
        self._client.close()

    def scrub(self) -> None:
        """Chroma gives no byte back, and its index keeps the vectors of what was deleted: all is written anew."""
        fresh, stale = _beside(self._place)
        with usable(self._place):
            shutil.rmtree(fresh, ignore_errors=True)
        copy = ChromaStore(fresh, self._made_with, self._dimension)
        try:
            for ids, vectors in self.vectors():
                texts = self.read(ids)
                copy.put([texts[one] for one in ids], vectors)
        finally:
            copy.close()
        self.close()
        with usable(self._place):
            clear_unused(fresh)
            self._place.rename(stale)
            fresh.rename(self._place)
            shutil.rmtree(stale)
        self._open()

    def put(self, passages: Sequence[Stored], vectors: Vectors) -> None:
        for start in range(0, len(passages), _BATCH):
            some = passages[start : start + _BATCH]
            with _chroma(self._place):
                self._collection.upsert(
                    ids=[passage.id for passage in some],
                    embeddings=vectors[start : start + _BATCH],
                    documents=[passage.text for passage in some],
                    metadatas=[{"title": passage.title} for passage in some],
                )

    def erase(self, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), _BATCH):
            with _chroma(self._place):
                self._collection.delete(ids=list(ids[start : start + _BATCH]))

    def read(self, ids: Sequence[str]) -> dict[str, Stored]:
        if not ids:
            return {}
        with _chroma(self._place):
            found = self._collection.get(ids=list(ids), include=["documents", "metadatas"])
        rows = zip(found["ids"], found["documents"] or (), found["metadatas"] or (), strict=True)
        return {one: Stored(one, str(meta["title"]), text) for one, text, meta in rows}

    def vectors(self, ids: Sequence[str] | None = None) -> Iterator[tuple[list[str], Vectors]]:
        start = 0
        while ids is None or start < len(ids):
            with _chroma(self._place):
                page = (
                    self._collection.get(limit=_BATCH, offset=start, include=["embeddings"])
                    if ids is None
                    else self._collection.get(ids=list(ids[start : start + _BATCH]), include=["embeddings"])
                )
            if ids is None and not page["ids"]:
                return
            yield page["ids"], np.asarray(page["embeddings"], np.float32).reshape(-1, self._dimension)
            start += _BATCH


@contextmanager
def _chroma(place: Path) -> Iterator[None]:
    from chromadb.errors import ChromaError

    with usable(place, ChromaError):
        yield
