"""BM25 over the words of passages, kept in SQLite FTS5: incremental, on disk, and as old as its last transaction.

FTS5 splits at spaces only; the words are those of `terms`. (Its tokenizer `ascii` takes what is beyond ASCII as it is,
`unicode61` would split at marks and at letters that are too new for it.) Its `bm25` has k1 = 1.2 and b = 0.75.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence

from edge.terms import content, terms

SCHEMA = (
    "CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5 (title, text, tokenize = 'ascii')",
    "CREATE VIRTUAL TABLE IF NOT EXISTS vocabulary USING fts5vocab (words, row)",
)
SCRUB = "INSERT INTO words (words) VALUES ('optimize')"
"""Leaves nothing of removed passages in the index: FTS5 only marks them, until it merges."""
_TITLE_WEIGHT, _TEXT_WEIGHT = 1.0, 1.0
# Terms of a query that are looked up at most, the rarest first: the rest of a long text adds time and no precision.
_MOST_TERMS = 32


def add(sqlite: sqlite3.Connection, rows: Iterable[tuple[int, str, str]]) -> None:
    """Index passages, each a (number, title, text); the caller commits."""
    sqlite.executemany(
        "INSERT INTO words (rowid, title, text) VALUES (?, ?, ?)",
        ((number, " ".join(terms(title)), " ".join(terms(text))) for number, title, text in rows),
    )


def remove(sqlite: sqlite3.Connection, numbers: Iterable[int]) -> None:
    """Forget passages; the caller commits."""
    sqlite.executemany("DELETE FROM words WHERE rowid = ?", ((number,) for number in numbers))


def frequencies(sqlite: sqlite3.Connection, words: Sequence[str]) -> dict[str, int]:
    """In how many passages each word is; 0 for one that is nowhere."""
    found = dict.fromkeys(words, 0)
    for word in found:
        row = sqlite.execute("SELECT doc FROM vocabulary WHERE term = ?", (word,)).fetchone()
        found[word] = row[0] if row else 0
    return found


def search(
    sqlite: sqlite3.Connection, query: Sequence[str], limit: int, collections: Sequence[str] = (), source: str = ""
) -> list[tuple[int, float]]:
    """The passages with the highest BM25 for the words of a query, best first, as (number, BM25).

    Only words of content count, the `_MOST_TERMS` rarest of those that are there. `collections` and `source` narrow it
    to documents of these collections, and to that source or what lies under it.
    """
    words = content(list(query))
    if len(words) > _MOST_TERMS:
        common = frequencies(sqlite, words)
        words = sorted((word for word in words if common[word]), key=common.__getitem__)[:_MOST_TERMS]
    if not words:
        return []
    condition, values = narrowed(collections, source)
    inside = f"SELECT number FROM passage JOIN document ON document.id = document WHERE {condition}"  # noqa: S608
    rows = sqlite.execute(
        "SELECT rowid, -bm25(words, ?, ?) AS score FROM words WHERE words MATCH ? "  # noqa: S608
        # The plus keeps SQLite from looking each allowed passage up in the index by itself.
        f"{f'AND +rowid IN ({inside})' if values else ''} ORDER BY score DESC LIMIT ?",
        (_TITLE_WEIGHT, _TEXT_WEIGHT, " OR ".join(f'"{word}"' for word in words), *values, limit),
    )
    return rows.fetchall()


def narrowed(collections: Sequence[str], source: str) -> tuple[str, list[str]]:
    """A condition on the table of documents, and its values."""
    conditions = ["ready"]
    values: list[str] = []
    if collections:
        conditions.append("collection IN (SELECT value FROM json_each(?))")
        values.append(json.dumps(collections))
    if source:
        folder = source.rstrip("/") + "/"
        conditions.append("(source = ? OR substr(source, 1, length(?)) = ?)")
        values += [source, folder, folder]
    return " AND ".join(conditions), values
