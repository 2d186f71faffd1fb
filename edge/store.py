"""What the edge knows: documents and their passages, in an embedded Chroma with our own vectors.

Chroma keeps passages (text, title, vector). A document is one row in SQLite beside it, written last and deleted first:
without the row nothing of a document is found, so an interrupted ingest never looks complete. What is left without a
row is swept out at the next start.

Search is exact: the vectors of a collection are also one matrix in memory, and a query is one product with it (12 ms
at 20,000 passages, 1.5 kB a passage, 0.05 ms a passage to read at start). Chroma's own HNSW index finds 36 % of the
nearest ten of random vectors at its defaults, gets worse with deletions, and filters in 75 ms what this does in 12;
it cannot be switched off, so it is built as cheaply as it allows.
"""

from __future__ import annotations

import asyncio
import fcntl
import heapq
import logging
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from edgewise.errors import Conflict, NotFound, NotReady
from edgewise.types import Document, Passage, Privacy, Text

if TYPE_CHECKING:
    from chromadb.api.models.Collection import Collection

log = logging.getLogger(__name__)

Vectors = NDArray[np.float32]
P = ParamSpec("P")
R = TypeVar("R")

_NAME = "passages"
_BATCH = 256  # passages a step: other calls get their turn in between; Chroma's own limit is 5461
_PAGE = 2000
_SCHEMA = "CREATE TABLE IF NOT EXISTS document (id TEXT PRIMARY KEY, value TEXT NOT NULL)"


def passage_id(document_id: str, number: int) -> str:
    return f"{document_id}:{number}"


class Store:
    """`open` makes one. Every method may be called from any task; Chroma and SQLite run on one thread of their own.

    What cannot be read or written (disk full, damage) is NotReady, with what the library said.
    """

    def __init__(self, directory: Path, dimension: int) -> None:
        self._directory = directory
        self._dimension = dimension
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="edgewise-store")
        self._open_things = ExitStack()
        self._documents: dict[str, Document] = {}
        self._shelves: dict[str, _Shelf] = {}
        self._chroma: Collection
        self._sqlite: sqlite3.Connection

    @classmethod
    async def open(cls, directory: Path, embedder_hash: str, dimension: int) -> Store:
        """The store in a directory, made if need be.

        Conflict when another process (or another Store of this one) owns it; NotReady when it cannot be used, or
        holds the vectors of another embedder.
        """
        store = cls(directory, dimension)
        try:
            await store._run(store._open, embedder_hash)
        except BaseException:
            await store.close()
            raise
        return store

    async def close(self) -> None:
        """Give the directory back."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._open_things.close)
        self._thread.shutdown()

    async def add(self, document: Document, passages: Sequence[Passage], vectors: Vectors) -> None:
        """Put a document in, in place of any other with the same source and collection.

        Passage n has the id `passage_id(document.id, n)`; `vectors` is [passages, dimension], L2-normalised. Until
        all of it is stored, the old document is found and the new one is not.
        """
        for start in range(0, len(passages), _BATCH):
            end = start + _BATCH
            await self._run(self._write, passages[start:end], vectors[start:end])
        await self._run(self._commit, document, vectors)

    async def relabel(self, document_id: str, label: Privacy) -> None:
        """Change who may see a document; NotFound when it is not there."""
        await self._run(self._relabel, document_id, label)

    async def delete(self, document_id: str) -> None:
        """Forget a document; NotFound when it is not there. Chroma does not give its disk space back."""
        await self._run(self._delete, document_id)

    async def search(self, vector: Vectors, k: int, collections: Sequence[str] = ()) -> tuple[Passage, ...]:
        """The k passages nearest to an L2-normalised vector by cosine, best first; no `collections` means all."""
        return await self._run(self._search, vector, k, collections)

    async def has(self, document_id: str) -> bool:
        return await self._run(lambda: document_id in self._documents)

    async def find(self, source: str, collection: str) -> Document | None:
        """The document that was ingested under this name."""
        return await self._run(lambda: next(self._of_source(source, collection), None))

    async def documents(self, collection: str = "") -> tuple[Document, ...]:
        """All documents, or those of one collection, oldest first."""
        return await self._run(
            lambda: tuple(one for one in self._documents.values() if collection in ("", one.collection))
        )

    async def counts(self) -> tuple[int, int]:
        """How many documents and how many passages there are."""
        return await self._run(lambda: (len(self._documents), sum(len(shelf) for shelf in self._shelves.values())))

    async def _run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: work(*args, **kwargs))

    # --- on the thread ------------------------------------------------------------------------------------------------

    def _open(self, embedder_hash: str) -> None:
        self._open_things.enter_context(_owned(self._directory))
        with _translated(self._directory, "read"):
            self._sqlite = self._open_things.enter_context(
                closing(sqlite3.connect(self._directory / "documents.sqlite"))
            )
            self._sqlite.execute(_SCHEMA)
            rows = self._sqlite.execute("SELECT value FROM document ORDER BY rowid").fetchall()
            self._documents = {one.id: one for one in (Document.model_validate_json(value) for (value,) in rows)}
            self._chroma = self._open_chroma(embedder_hash)
            self._fill_shelves()

    def _open_chroma(self, embedder_hash: str) -> Collection:
        import chromadb
        from chromadb.api.client import Client
        from chromadb.api.collection_configuration import CreateCollectionConfiguration, CreateHNSWConfiguration
        from chromadb.config import Settings
        from chromadb.errors import NotFoundError

        client = chromadb.PersistentClient(self._directory / "chroma", settings=Settings(anonymized_telemetry=False))
        assert isinstance(client, Client)
        self._open_things.callback(client.close)
        made_with = {"embedder": embedder_hash, "dimension": self._dimension}
        try:
            collection = client.get_collection(_NAME, embedding_function=None)
        except NotFoundError:
            index = CreateHNSWConfiguration(space="cosine", ef_construction=4, max_neighbors=4)
            return client.create_collection(
                _NAME,
                embedding_function=None,
                metadata=made_with,
                configuration=CreateCollectionConfiguration(hnsw=index),
            )
        if dict(collection.metadata or {}) != made_with:
            raise NotReady(
                f"{self._directory} holds vectors of another embedder; set edge.embedder back to it, "
                f"or ingest the documents again into a new data directory"
            )
        return collection

    def _fill_shelves(self) -> None:
        """Read all vectors, and sweep out what an interrupted ingest or delete has left."""
        ids: list[str] = []
        pages: list[Vectors] = [np.empty((0, self._dimension), np.float32)]
        while page := self._chroma.get(limit=_PAGE, offset=len(ids), include=["embeddings"]):
            if not page["ids"]:
                break
            ids += page["ids"]
            pages.append(np.asarray(page["embeddings"], np.float32))
        vectors = np.concatenate(pages)
        there = Counter(_document_id(identity) for identity in ids)
        damaged = [one for one in self._documents.values() if there[one.id] != one.passages]
        if damaged:
            log.warning("%d documents lack passages; ingest them again", len(damaged))
            self._drop_rows(damaged)
        rows: dict[str, list[int]] = {}
        stray: list[str] = []
        for row, identity in enumerate(ids):
            document = self._documents.get(_document_id(identity))
            if document is None:
                stray.append(identity)
            else:
                rows.setdefault(document.collection, []).append(row)
        self._erase(stray)
        for collection, some in rows.items():
            self._shelf(collection).add([ids[row] for row in some], vectors[some])

    def _write(self, passages: Sequence[Passage], vectors: Vectors) -> None:
        with _translated(self._directory, "written"):
            self._chroma.upsert(
                ids=[passage.id for passage in passages],
                embeddings=vectors,
                documents=[passage.text.value for passage in passages],
                metadatas=[{"title": passage.title} for passage in passages],
            )

    def _commit(self, document: Document, vectors: Vectors) -> None:
        replaced = list(self._of_source(document.source, document.collection))
        with _translated(self._directory, "written"):
            self._drop_rows(replaced, document)
            self._documents[document.id] = document
            self._shelf(document.collection).add(_passage_ids(document), vectors)
            for old in replaced:
                if old.id != document.id:
                    self._erase(_passage_ids(old))

    def _relabel(self, document_id: str, label: Privacy) -> None:
        document = self._document(document_id).model_copy(update={"label": label})
        with _translated(self._directory, "written"), self._sqlite:
            self._sqlite.execute(
                "UPDATE document SET value = ? WHERE id = ?", (document.model_dump_json(), document_id)
            )
        self._documents[document_id] = document

    def _delete(self, document_id: str) -> None:
        document = self._document(document_id)
        with _translated(self._directory, "written"):
            self._drop_rows([document])
            self._erase(_passage_ids(document))

    def _drop_rows(self, documents: Sequence[Document], successor: Document | None = None) -> None:
        """From now on these are not found; their successor's row is written in the same transaction."""
        with self._sqlite:
            self._sqlite.executemany("DELETE FROM document WHERE id = ?", [(one.id,) for one in documents])
            if successor is not None:
                row = (successor.id, successor.model_dump_json())
                self._sqlite.execute("INSERT OR REPLACE INTO document (id, value) VALUES (?, ?)", row)
        for one in documents:
            self._documents.pop(one.id, None)
            self._shelf(one.collection).remove(one.id)

    def _erase(self, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), _BATCH):
            self._chroma.delete(ids=list(ids[start : start + _BATCH]))

    def _search(self, vector: Vectors, k: int, collections: Sequence[str]) -> tuple[Passage, ...]:
        shelves = [self._shelves[name] for name in dict.fromkeys(collections or self._shelves) if name in self._shelves]
        best = heapq.nlargest(k, (hit for shelf in shelves for hit in shelf.nearest(vector, k)))
        if not best:
            return ()
        with _translated(self._directory, "read"):
            found = self._chroma.get(ids=[identity for _, identity in best], include=["documents", "metadatas"])
        texts = dict(zip(found["ids"], found["documents"] or (), strict=True))
        titles = dict(zip(found["ids"], found["metadatas"] or (), strict=True))
        return tuple(self._passage(one, texts[one], str(titles[one]["title"]), score) for score, one in best)

    def _passage(self, identity: str, text: str, title: str, score: float) -> Passage:
        document = self._documents[_document_id(identity)]
        return Passage(
            id=identity,
            text=Text(value=text, label=document.label, sources=(document.source,)),
            source=document.source,
            title=title,
            score=score,
            origin="edge",
            as_of=document.ingested_at,
        )

    def _document(self, document_id: str) -> Document:
        if document_id not in self._documents:
            raise NotFound(f"there is no document {document_id[:100]!r}; list the documents to see their ids")
        return self._documents[document_id]

    def _of_source(self, source: str, collection: str) -> Iterator[Document]:
        return (one for one in self._documents.values() if (one.source, one.collection) == (source, collection))

    def _shelf(self, collection: str) -> _Shelf:
        return self._shelves.setdefault(collection, _Shelf(self._dimension))


class _Shelf:
    """The vectors of one collection."""

    def __init__(self, dimension: int) -> None:
        self._ids: list[str] = []
        self._matrix: Vectors = np.empty((0, dimension), np.float32)

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, ids: Sequence[str], vectors: Vectors) -> None:
        self._ids += ids
        self._matrix = np.concatenate((self._matrix, vectors))

    def remove(self, document_id: str) -> None:
        kept = [row for row, identity in enumerate(self._ids) if _document_id(identity) != document_id]
        self._ids = [self._ids[row] for row in kept]
        self._matrix = self._matrix[kept]

    def nearest(self, vector: Vectors, k: int) -> list[tuple[float, str]]:
        scores = self._matrix @ vector
        k = min(k, len(scores))
        rows = np.argpartition(-scores, k - 1)[:k] if k else ()
        return [(float(scores[row]), self._ids[row]) for row in rows]


def _document_id(identity: str) -> str:
    return identity.rpartition(":")[0]


def _passage_ids(document: Document) -> list[str]:
    return [passage_id(document.id, number) for number in range(document.passages)]


@contextmanager
def _owned(directory: Path) -> Iterator[None]:
    """Own a directory: several processes on one Chroma read stale data or fail. The lock ends with the process."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(directory / "owner.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise NotReady(
            f"{directory} cannot be used: {error.strerror}; give a directory that you can write to"
        ) from None
    try:
        _lock(lock, directory)
        yield
    finally:
        os.close(lock)


def _lock(lock: int, directory: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(lock, 20, 0).decode("ascii", "replace")
        raise Conflict(
            f"{directory} is in use by process {owner}; stop that (`edgewise stop`), or give another data directory"
        ) from None
    except OSError as error:
        raise NotReady(f"{directory} cannot be locked: {error.strerror}; use a directory on a local disk") from None
    os.ftruncate(lock, 0)
    os.write(lock, str(os.getpid()).encode())


@contextmanager
def _translated(directory: Path, done: str) -> Iterator[None]:
    from chromadb.errors import ChromaError

    try:
        yield
    except (ChromaError, sqlite3.Error, OSError) as error:
        raise NotReady(
            f"the documents in {directory} cannot be {done} ({error}); check the free space and the permissions there, "
            f"and if it is damaged, move it away and ingest again"
        ) from error
    except ValidationError:
        raise NotReady(
            f"the documents in {directory} were written by another version of Edgewise; "
            f"use that version, or a new data directory"
        ) from None
