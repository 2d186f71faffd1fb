"""BM25 on the real FTS5, in memory."""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import lexical
from edge.terms import terms

PASSAGES = [
    (1, "Gate museum", "The doors open at nine."),
    (2, "Gate museum", "A ticket costs seven euros. A ticket!"),
    (3, "Café Málaga", "Running a museum is work, and work, and work, and more of it again."),
    (4, "臺灣", "開放時間是早上九點。"),
    (5, "", "हिन्दी भाषा"),
]


def index(rows: list[tuple[int, str, str]]) -> sqlite3.Connection:
    sqlite = sqlite3.connect(":memory:")
    for statement in lexical.SCHEMA:
        sqlite.execute(statement)
    lexical.add(sqlite, rows)
    return sqlite


@pytest.fixture
def museum() -> Iterator[sqlite3.Connection]:
    sqlite = index(PASSAGES)
    yield sqlite
    sqlite.close()


def found(sqlite: sqlite3.Connection, query: str, limit: int = 10) -> list[int]:
    return [number for number, _ in lexical.search(sqlite, terms(query), limit)]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("tickets", [2]),
        ("runs", [3]),
        ("malaga cafe", [3]),
        ("台湾", [4]),
        ("开放时间", [4]),
        ("臺灣的開放時間", [4]),
        ("भाषा", [5]),
        ("the doors of the museum", [1, 2, 3]),
        ("nowhere", []),
        ("", []),
        ("?!", []),
    ],
)
def test_what_is_found(museum: sqlite3.Connection, query: str, wanted: list[int]) -> None:
    assert found(museum, query) == wanted


def test_stop_words_are_searched_for_only_if_there_is_nothing_else(museum: sqlite3.Connection) -> None:
    assert set(found(museum, "the a is of")) == {1, 2, 3}
    assert found(museum, "what is the ticket") == [2]


@pytest.mark.parametrize(
    "query",
    ['"', '"ticket', "ticket*", "ticket OR", "NEAR(ticket door, 2)", "-ticket", "^ticket", "ticket\0", "title:ticket",
     "ticket AND NOT", "(ticket", "{title}: ticket", "ticket + ticket",
     "'; DROP TABLE words --ticket", "tick%t ticket"],
)  # fmt: skip
def test_signs_of_fts_are_signs_like_any(museum: sqlite3.Connection, query: str) -> None:
    assert found(museum, query)[:1] == ([2] if "ticket" in query else [])


def test_a_score_is_the_bm25_of_all_words(museum: sqlite3.Connection) -> None:
    ((number, score),) = lexical.search(museum, terms("ticket"), 10)
    lengths = [len(terms(title)) + len(terms(text)) for _, title, text in PASSAGES]
    length = lengths[1] / (sum(lengths) / len(lengths))
    rarity = math.log((5 - 1 + 0.5) / (1 + 0.5))
    assert number == 2
    assert score == pytest.approx(rarity * 2 * (1.2 + 1) / (2 + 1.2 * (1 - 0.75 + 0.75 * length)))


def test_best_first_and_no_more_than_wanted(museum: sqlite3.Connection) -> None:
    hits = lexical.search(museum, terms("gate museum ticket"), 10)
    assert [number for number, _ in hits] == [2, 1, 3]
    assert [score for _, score in hits] == sorted((score for _, score in hits), reverse=True)
    assert lexical.search(museum, terms("gate museum ticket"), 2) == hits[:2]


def test_what_is_removed_is_not_found(museum: sqlite3.Connection) -> None:
    assert lexical.frequencies(museum, ["museum", "nowhere"]) == {"museum": 3, "nowhere": 0}
    lexical.remove(museum, [1, 99])
    assert found(museum, "doors of the museum") == [2, 3]
    assert lexical.frequencies(museum, ["museum", "door"]) == {"museum": 2, "door": 0}


@given(st.text())
def test_a_passage_of_any_text_is_found_by_each_of_its_words(text: str) -> None:
    sqlite = index([(7, "", text), (8, text, ""), (9, "", "nothing of it")])
    for term in set(terms(text)) - set(terms("nothing of it")):
        assert {number for number, _ in lexical.search(sqlite, [term], 10)} == {7, 8}
        assert lexical.frequencies(sqlite, [term]) == {term: 2}
    sqlite.close()


def test_of_a_long_query_the_rarest_words_count() -> None:
    common = [f"common{n}" for n in range(100)]
    sqlite = index([(n, "", " ".join(common)) for n in range(5)] + [(5, "", "rare " + " ".join(common))])
    assert found(sqlite, " ".join(common) + " rare")[0] == 5
    sqlite.close()


def test_a_very_long_query_takes_bounded_time() -> None:
    sqlite = index([(n, "", f"word{n} of many words") for n in range(2000)])
    query = terms(" ".join(f"word{n}" for n in range(12_000)))
    started = time.monotonic()
    assert len(lexical.search(sqlite, query, 100)) == 32
    assert time.monotonic() - started < 2
    sqlite.close()
