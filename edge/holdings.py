"""What the edge knows: documents, their passages, and three ways to find those.

A document is a row in SQLite; its passages are rows there, too, and their texts and vectors are in a store. While a
document arrives, its row says so and nothing of it is found; the commit puts its words into the lexical index, makes
it ready and takes out the version that it replaces, all in one transaction. A process that dies on the way leaves an
arriving document behind, which goes on from there when it is ingested again.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ParamSpec, TypeVar

from edge import lexical
from edge.config import StoreName
from edge.index import Index
from edge.ownership import owned
from edge.scope import Match as Match
from edge.scope import Scope as Scope
from edge.store import Store, Stored, Vectors, open_store, overwrite, passage_id, place_of, usable
from edgewise.errors import EdgeUnavailable, NotFound, NotReady
from edgewise.types import Document, Passage, Text

log = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

_SCHEMA = (
    """
    CREATE TABLE IF NOT EXISTS document
        (id TEXT PRIMARY KEY, source TEXT NOT NULL, collection TEXT NOT NULL, ready INTEGER NOT NULL,
         value TEXT NOT NULL)
    """,
    "CREATE INDEX IF NOT EXISTS document_source ON document (source, collection)",
    """
    CREATE TABLE IF NOT EXISTS passage
        (number INTEGER PRIMARY KEY AUTOINCREMENT, document TEXT NOT NULL, position INTEGER NOT NULL,
         UNIQUE (document, position))
    """,
    *lexical.SCHEMA,
)
_PAGE = 500
_ARRIVES_WITHIN = timedelta(days=30)
_SCRUBBED = 1
"""The `user_version` of a library that holds no byte of what was deleted."""


class Library:
    """`open` makes one. Every method may be called from any task; the store and SQLite run on one thread of their own.

    What cannot be read or written (disk full, damage) is NotReady, with what the library said.
    """

    def __init__(self, directory: Path, dimension: int) -> None:
        self._directory = directory
        self._dimension = dimension
        self._is_closed = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="edgewise-library")
        self._open_things = ExitStack()
        self._index: Index
        self._store: Store
        self._sqlite: sqlite3.Connection

    @classmethod
    async def open(cls, directory: Path, kind: StoreName, embedder_hash: str, dimension: int) -> Library:
        """The library in a directory, made if need be.

        Conflict when another process (or another Library of this one) owns it; NotReady when it cannot be used, or
        holds the vectors of another embedder.
        """
        library = cls(directory, dimension)
        try:
            await library._run(library._open, kind, embedder_hash)
        except BaseException:
            await library.close()
            raise
        return library

    async def close(self) -> None:
        """Give the directory back; who asks for anything from now on gets EdgeUnavailable."""
        self._is_closed = True
        await asyncio.get_running_loop().run_in_executor(self._thread, self._open_things.close)
        self._thread.shutdown()

    # --- documents ----------------------------------------------------------------------------------------------------

    async def begin(self, document: Document) -> int:
        """Let a document arrive; how many of its passages did so before, in an ingest that was broken off."""
        return await self._run(self._begin, document)

    async def extend(self, document: Document, passages: Sequence[Stored], vectors: Vectors) -> None:
        """The next passages of a document that arrives; `vectors` is [passages, dimension], L2-normalised."""
        await self._run(self._extend, document, passages, vectors)

    async def commit(self, document: Document) -> None:
        """From now on it is found, and no longer what was ingested under its source and collection before."""
        await self._run(self._commit, document)

    async def update(self, document: Document) -> None:
        """Change what is said of a document: who may see it, when it expires. NotFound when it is not there."""
        await self._run(self._update, document)

    async def delete(self, document_id: str) -> None:
        """Forget a document; NotFound when it is not there. Chroma does not give its disk space back."""
        await self._run(self._delete, document_id)

    async def scrub(self) -> None:
        """Overwrite on disk what was deleted or replaced since the last time; NotReady while it cannot be done."""
        await self._run(self._scrub)

    async def find(self, source: str, collection: str) -> Document | None:
        """The document that was ingested under this name."""
        found = await self._run(self._select, "source = ? AND collection = ?", source, collection)
        return found[0] if found else None

    async def documents(self, collection: str = "") -> tuple[Document, ...]:
        """All documents, or those of one collection, oldest first."""
        return tuple(await self._run(self._select, "? IN ('', collection)", collection))

    async def page(self, collection: str, after: int, count: int) -> tuple[tuple[Document, ...], int]:
        """The next documents, oldest first, and after which the next page begins; 0 for the beginning and the end."""
        return await self._run(self._page, collection, after, count)

    async def counts(self) -> tuple[int, int]:
        """How many documents and how many passages there are."""
        return await self._run(self._counts)

    # --- searching ----------------------------------------------------------------------------------------------------

    async def nearest(self, vector: Vectors, k: int, scope: Scope) -> list[Match]:
        """The k passages nearest to an L2-normalised vector by cosine, best first."""
        return await self._run(self._nearest, vector, k, scope)

    async def matching(self, words: Sequence[str], k: int, scope: Scope) -> list[Match]:
        """The k passages with the highest BM25 for some terms, best first."""
        return await self._run(self._matching, words, k, scope)

    async def cosines(self, numbers: Sequence[int], vector: Vectors) -> dict[int, float]:
        """Of some passages to an L2-normalised vector."""
        return await self._run(self._index.cosine_of, numbers, vector)

    async def frequencies(self, words: Sequence[str]) -> tuple[int, dict[str, int]]:
        """How many passages there are, and in how many of them each term is."""
        return await self._run(self._frequencies, words)

    async def read(self, numbers: Sequence[int]) -> dict[int, Passage]:
        """Passages by their numbers, with the label and the times of their documents."""
        return await self._run(self._read, numbers)

    async def length(self, document_id: str) -> int:
        """How many passages a document has; NotFound when it is not there."""
        return (await self._run(self._document, document_id)).passages

    async def passages(self, document_id: str, positions: Sequence[int]) -> dict[int, Passage]:
        """Passages of a document by their positions; those that it has."""
        return await self._run(self._passages, document_id, positions)

    async def _run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        if self._is_closed:
            raise EdgeUnavailable("the library is closed; start the edge node again")
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: work(*args, **kwargs))

    # --- on the thread ------------------------------------------------------------------------------------------------

    def _open(self, kind: StoreName, embedder_hash: str) -> None:
        self._open_things.enter_context(owned(self._directory))
        if (self._directory / "documents.sqlite").exists():
            raise NotReady(
                f"the documents in {self._directory} were written by an earlier version of Edgewise; "
                f"ingest them again into a new data directory"
            )
        self._store = self._open_things.enter_context(open_store(kind, self._directory, embedder_hash, self._dimension))
        self._index = Index(self._dimension)
        with usable(self._directory):
            self._sqlite = self._open_things.enter_context(closing(sqlite3.connect(self._directory / "library.sqlite")))
            # No commit is lost when the process dies, and none by halves when the power fails.
            self._sqlite.execute("PRAGMA journal_mode = WAL")
            self._sqlite.execute("PRAGMA synchronous = NORMAL")
            for statement in _SCHEMA:
                self._sqlite.execute(statement)
            self._load()

    def _load(self) -> None:
        """Read all vectors, and sweep out what an interrupted ingest or delete has left.

        What began to arrive long ago is not waited for any more.
        """
        long_ago = (datetime.now(UTC) - _ARRIVES_WITHIN).isoformat(timespec="seconds")
        with self._sqlite:
            self._drop(self._ids("ready = 0 AND value ->> 'ingested_at' < ?", long_ago))
        rows = self._sqlite.execute(
            "SELECT document, position, number, ready FROM passage JOIN document ON document.id = document"
        )
        known = {
            passage_id(document, position): (document, number, ready) for document, position, number, ready in rows
        }
        self._index.reserve(len(known))
        stray: list[str] = []
        for ids, vectors in self._store.vectors():
            there = [row for row, one in enumerate(ids) if known.get(one, ("", 0, 0))[2]]
            self._index.add(
                [known[ids[row]][0] for row in there], [known[ids[row]][1] for row in there], vectors[there]
            )
            stray += [one for one in ids if one not in known]
            for one in ids:
                known.pop(one, None)
        self._store.erase(stray)
        damaged = sorted({document for document, _, _ in known.values()})
        if damaged:
            log.warning("%d documents lack passages; ingest them again", len(damaged))
            with self._sqlite:
                gone = self._drop(damaged)
            self._forget(damaged, gone)

    def _begin(self, document: Document) -> int:
        with usable(self._directory), self._sqlite:
            older = self._ids(
                "ready = 0 AND source = ? AND collection = ? AND id != ?",
                document.source,
                document.collection,
                document.id,
            )
            gone = self._drop(older)
            values = (document.id, document.source, document.collection, document.model_dump_json())
            self._sqlite.execute("INSERT OR IGNORE INTO document VALUES (?, ?, ?, 0, ?)", values)
            (there,) = self._sqlite.execute(
                "SELECT count(*) FROM passage WHERE document = ?", (document.id,)
            ).fetchone()
        self._forget(older, gone)
        return int(there)

    def _extend(self, document: Document, passages: Sequence[Stored], vectors: Vectors) -> None:
        self._store.put(passages, vectors)
        with usable(self._directory), self._sqlite:
            self._sqlite.executemany(
                "INSERT INTO passage (document, position) VALUES (?, ?)", (place_of(passage.id) for passage in passages)
            )

    def _commit(self, document: Document) -> None:
        with usable(self._directory):
            rows = self._sqlite.execute(
                "SELECT number, position FROM passage WHERE document = ? ORDER BY position", (document.id,)
            ).fetchall()
        numbers = {passage_id(document.id, position): number for number, position in rows}
        ids = list(numbers)
        try:
            for some, vectors in self._store.vectors(ids):
                self._index.add([document.id] * len(some), [numbers[one] for one in some], vectors)
            with usable(self._directory), self._sqlite:
                replaced = self._ids(
                    "source = ? AND collection = ? AND id != ?", document.source, document.collection, document.id
                )
                gone = self._drop(replaced)
                for start in range(0, len(ids), _PAGE):
                    page = self._store.read(ids[start : start + _PAGE])
                    lexical.add(self._sqlite, ((numbers[one.id], one.title, one.text) for one in page.values()))
                self._sqlite.execute(
                    "UPDATE document SET ready = 1, value = ? WHERE id = ?", (document.model_dump_json(), document.id)
                )
        except BaseException:
            self._index.remove([document.id])
            raise
        self._forget(replaced, gone)

    def _drop(self, documents: Sequence[str]) -> list[str]:
        """Take the rows of documents out; the ids of their passages, to be forgotten after the commit."""
        gone: list[str] = []
        for document in documents:
            rows = self._sqlite.execute(
                "SELECT number, position FROM passage WHERE document = ?", (document,)
            ).fetchall()
            lexical.remove(self._sqlite, (number for number, _ in rows))
            self._sqlite.execute("DELETE FROM passage WHERE document = ?", (document,))
            self._sqlite.execute("DELETE FROM document WHERE id = ?", (document,))
            self._sqlite.execute("PRAGMA user_version = 0")  # with the deletion, or not at all
            gone += [passage_id(document, position) for _, position in rows]
        return gone

    def _forget(self, documents: Sequence[str], passages: Sequence[str]) -> None:
        self._index.remove(documents)
        self._store.erase(passages)

    def _update(self, document: Document) -> None:
        self._document(document.id)
        with usable(self._directory), self._sqlite:
            self._sqlite.execute(
                "UPDATE document SET value = ? WHERE id = ?", (document.model_dump_json(), document.id)
            )

    def _delete(self, document_id: str) -> None:
        self._document(document_id)
        with usable(self._directory), self._sqlite:
            gone = self._drop([document_id])
        self._forget([document_id], gone)

    def _scrub(self) -> None:
        with usable(self._directory):
            (state,) = self._sqlite.execute("PRAGMA user_version").fetchone()
            if state == _SCRUBBED:
                return
            self._store.scrub()
            with self._sqlite:
                self._sqlite.execute(lexical.SCRUB)
            overwrite(self._sqlite)
            with self._sqlite:
                self._sqlite.execute(f"PRAGMA user_version = {_SCRUBBED}")

    def _document(self, document_id: str) -> Document:
        found = self._select("id = ?", document_id)
        if not found:
            raise NotFound(f"there is no document {document_id[:100]!r}; list the documents to see their ids")
        return found[0]

    def _select(self, condition: str, *values: str) -> list[Document]:
        with usable(self._directory):
            statement = f"SELECT value FROM document WHERE ready AND {condition} ORDER BY rowid"  # noqa: S608
            return [Document.model_validate_json(value) for (value,) in self._sqlite.execute(statement, values)]

    def _page(self, collection: str, after: int, count: int) -> tuple[tuple[Document, ...], int]:
        with usable(self._directory):
            rows = self._sqlite.execute(
                "SELECT rowid, value FROM document WHERE ready AND ? IN ('', collection) AND rowid > ?"
                " ORDER BY rowid LIMIT ?",
                (collection, after, count + 1),
            ).fetchall()
            documents = tuple(Document.model_validate_json(value) for _, value in rows[:count])
        return documents, rows[count - 1][0] if len(rows) > count else 0

    def _ids(self, condition: str, *values: str) -> list[str]:
        return [one for (one,) in self._sqlite.execute(f"SELECT id FROM document WHERE {condition}", values)]  # noqa: S608

    def _counts(self) -> tuple[int, int]:
        with usable(self._directory):
            (documents,) = self._sqlite.execute("SELECT count(*) FROM document WHERE ready").fetchone()
        return documents, len(self._index)

    def _nearest(self, vector: Vectors, k: int, scope: Scope) -> list[Match]:
        allowed = None
        if not scope.is_all:
            condition, values = lexical.narrowed(scope.collections, scope.source)
            allowed = self._ids(condition, *values)
        return [Match(*hit) for hit in self._index.nearest(vector, k, allowed)]

    def _matching(self, words: Sequence[str], k: int, scope: Scope) -> list[Match]:
        with usable(self._directory):
            hits = lexical.search(self._sqlite, words, k, scope.collections, scope.source)
        return [Match(*hit) for hit in hits]

    def _frequencies(self, words: Sequence[str]) -> tuple[int, dict[str, int]]:
        with usable(self._directory):
            return len(self._index), lexical.frequencies(self._sqlite, words)

    def _read(self, numbers: Sequence[int]) -> dict[int, Passage]:
        with usable(self._directory):
            rows = self._sqlite.execute(
                "SELECT number, document, position FROM passage WHERE number IN (SELECT value FROM json_each(?))",
                (json.dumps(list(numbers)),),
            ).fetchall()
        passages = self._filled([(document, position) for _, document, position in rows])
        return {number: one for number, document, position in rows if (one := passages.get((document, position)))}

    def _passages(self, document_id: str, positions: Sequence[int]) -> dict[int, Passage]:
        filled = self._filled([(document_id, position) for position in positions])
        return {position: passage for (_, position), passage in filled.items()}

    def _filled(self, places: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Passage]:
        stored = self._store.read([passage_id(*place) for place in places])
        ids = list(dict.fromkeys(document for document, _ in places))
        owners = {one.id: one for one in self._select("id IN (SELECT value FROM json_each(?))", json.dumps(ids))}
        return {
            place_of(one.id): _passage(one, owner)
            for one in stored.values()
            if (owner := owners.get(place_of(one.id)[0]))
        }


def _passage(stored: Stored, document: Document) -> Passage:
    return Passage(
        id=stored.id,
        text=Text(value=stored.text, label=document.label, sources=(document.source,)),
        source=document.source,
        title=stored.title,
        origin=document.origin,
        as_of=document.as_of or document.ingested_at,
        expires_at=document.expires_at,
    )
