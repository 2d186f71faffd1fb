"""Passages and their vectors in one SQLite file: for small devices, where Chroma's libraries and index weigh too much.

Vectors are kept in float16, as the library has them in memory.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from edge.store import Stored, Vectors, other_embedder, overwrite, usable

_PAGE = 500
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS made_with (embedder TEXT NOT NULL, dimension INTEGER NOT NULL)",
    """
    CREATE TABLE IF NOT EXISTS passage
        (id TEXT PRIMARY KEY, title TEXT NOT NULL, text TEXT NOT NULL, vector BLOB NOT NULL) WITHOUT ROWID
    """,
)


@contextmanager
def open_sqlite(place: Path, embedder_hash: str, dimension: int) -> Iterator[SqliteStore]:
    """See `edge.store.open_store`."""
    with usable(place):
        connection = sqlite3.connect(place)
    with closing(connection):
        with usable(place), connection:
            made_with = _prepared(connection, (embedder_hash, dimension))
        if made_with != (embedder_hash, dimension):
            raise other_embedder(place)
        yield SqliteStore(place, connection, dimension)


def _prepared(connection: sqlite3.Connection, made_with: tuple[str, int]) -> tuple[str, int]:
    """What the file was made with, which is what is given if it is new."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    for statement in _SCHEMA:
        connection.execute(statement)
    row: tuple[str, int] | None = connection.execute("SELECT embedder, dimension FROM made_with").fetchone()
    if row is None:
        connection.execute("INSERT INTO made_with VALUES (?, ?)", made_with)
    return row or made_with


class SqliteStore:
    def __init__(self, place: Path, connection: sqlite3.Connection, dimension: int) -> None:
        self._place = place
        self._connection = connection
        self._dimension = dimension

    def put(self, passages: Sequence[Stored], vectors: Vectors) -> None:
        rows = (
            (passage.id, passage.title, passage.text, vector.tobytes())
            for passage, vector in zip(passages, vectors.astype("<f2"), strict=True)
        )
        with usable(self._place), self._connection:
            self._connection.executemany("INSERT OR REPLACE INTO passage VALUES (?, ?, ?, ?)", rows)

    def erase(self, ids: Sequence[str]) -> None:
        with usable(self._place), self._connection:
            self._connection.executemany("DELETE FROM passage WHERE id = ?", ((one,) for one in ids))

    def scrub(self) -> None:
        with usable(self._place):
            overwrite(self._connection)

    def read(self, ids: Sequence[str]) -> dict[str, Stored]:
        return {row[0]: Stored(*row) for row in self._of("id, title, text", ids)}

    def vectors(self, ids: Sequence[str] | None = None) -> Iterator[tuple[list[str], Vectors]]:
        if ids is not None:
            yield from (self._page(self._of("id, vector", ids[at : at + _PAGE])) for at in range(0, len(ids), _PAGE))
            return
        last = ""
        while page := self._select("SELECT id, vector FROM passage WHERE id > ? ORDER BY id LIMIT ?", (last, _PAGE)):
            yield self._page(page)
            last = page[-1][0]

    def _page(self, rows: Sequence[tuple[str, bytes]]) -> tuple[list[str], Vectors]:
        blobs = b"".join(vector for _, vector in rows)
        vectors = np.frombuffer(blobs, "<f2").astype(np.float32).reshape(-1, self._dimension)
        return [one for one, _ in rows], vectors

    def _of(self, columns: str, ids: Sequence[str]) -> list[Any]:
        statement = f"SELECT {columns} FROM passage WHERE id IN (SELECT value FROM json_each(?))"  # noqa: S608
        return self._select(statement, (json.dumps(list(ids)),))

    def _select(self, statement: str, values: Iterable[object]) -> list[Any]:
        with usable(self._place):
            return self._connection.execute(statement, tuple(values)).fetchall()
