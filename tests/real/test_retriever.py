"""Questions to the real library with the real embedder: what the two searches find for them."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from edge.embedder import Embedder
from edge.holdings import Library
from edge.ingest.ingester import Ingester
from edge.ranking.models import WITHOUT_VECTORS
from edge.retriever import Retriever, Search
from edgewise.errors import InvalidInput
from edgewise.types import Query, Text, Upload

FILES = {
    "tickets.md": "# Gate museum\n\nA ticket costs seven euros.",
    "hours.md": "# Gate museum\n\nThe doors open at nine in the morning.",
    "malaga.md": "# Málaga\n\nThe café on the corner serves churros to naïve tourists.",
    "taiwan.md": "# 台湾大学\n\n图书馆的开放时间是早上八点到晚上十点。",
    "hindi.md": "# पुस्तकालय\n\nपुस्तकालय सुबह आठ बजे खुलता है।",
    "thai.md": "# ห้องสมุด\n\nห้องสมุดเปิดเวลาแปดโมงเช้า",
    "code.md": "# Errors\n\nThe pump reports E4711-X when the inlet is blocked.",
}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory, embedder: Embedder) -> Path:
    directory = tmp_path_factory.mktemp("retriever")

    async def main() -> None:
        library = await Library.open(directory, "sqlite", embedder.model_hash, embedder.dimension)
        ingester = Ingester(embedder, library, 1_000_000)
        for source, text in FILES.items():
            assert (await ingester.ingest(Upload(source=source, data=text.encode()))).status == "INGESTED"
        await library.close()

    asyncio.run(main())
    return directory


def searched(embedder: Embedder, directory: Path, text: str) -> Search:
    async def main() -> Search:
        library = await Library.open(directory, "sqlite", embedder.model_hash, embedder.dimension)
        try:
            return await Retriever(embedder, library).search(Query(text=Text(value=text)))
        finally:
            await library.close()

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("question", "source"),
    [
        ("How much are the tickets?", "tickets.md"),
        ("When does the door open?", "hours.md"),
        ("What do the cafes of Malaga serve?", "malaga.md"),
        ("naive tourist", "malaga.md"),
        ("圖書館的開放時間是什麼？", "taiwan.md"),
        ("臺灣大學", "taiwan.md"),
        ("图书馆几点开放", "taiwan.md"),
        ("पुस्तकालय कब खुलता है?", "hindi.md"),
        ("ห้องสมุดเปิดกี่โมง", "thai.md"),
        ("What is e4711-x?", "code.md"),
    ],
)
def test_what_is_found_first(embedder: Embedder, directory: Path, question: str, source: str) -> None:
    search = searched(embedder, directory, question)
    assert search.found[0].passage.source == source
    assert search.found[0].lexical_rank == 0
    assert search.kind == (embedder.name if question.isascii() else WITHOUT_VECTORS)


def test_the_numbers_of_a_search(embedder: Embedder, directory: Path) -> None:
    search = searched(embedder, directory, "How much are the tickets?")
    assert len(search.found) == len(search.dense) == len(FILES)
    assert search.dense_scores == sorted(search.dense_scores, reverse=True)
    assert search.lexical_scores == sorted(search.lexical_scores, reverse=True)
    first = search.found[0]
    assert first.cosine == pytest.approx(search.dense_scores[first.dense_rank or 0], abs=1e-3)
    assert len({one.passage.id for one in search.found}) == len(FILES)


@pytest.mark.parametrize(
    "question", ["who was he", "the of and", "is it?", "a", "?!", '"', "ticket*", "OR", "NEAR(ticket door)", "-", "^",
                 "ticket\0", "ticket OR", "ticket AND NOT (", "'; --", "%", "\ud800ticket", "😀", "\u202eticket"],
)  # fmt: skip
def test_no_question_is_too_odd(embedder: Embedder, directory: Path, question: str) -> None:
    search = searched(embedder, directory, question)
    assert len(search.found) == len(FILES), "the vector finds something in any case"
    if "ticket" in question and "door" not in question:
        assert search.found[0].passage.source == "tickets.md"


@pytest.mark.parametrize("question", ["", " \n", "\0", "\u200b", "\ud800"])
def test_a_question_without_text_is_refused(embedder: Embedder, directory: Path, question: str) -> None:
    with pytest.raises(InvalidInput, match="the query is empty"):
        searched(embedder, directory, question)


@pytest.mark.parametrize("rest", [" ".join(f"word{n}" for n in range(11_000)), "x" * 100_000, "雨" * 33_000])
def test_a_very_long_question_takes_bounded_time(embedder: Embedder, directory: Path, rest: str) -> None:
    for text in (f"How much is a ticket? {rest}", f"{rest} How much is a ticket?"):
        started = time.monotonic()
        search = searched(embedder, directory, text)
        assert time.monotonic() - started < 10
        assert search.found[0].passage.source == "tickets.md"


def test_an_empty_library(embedder: Embedder, tmp_path: Path) -> None:
    search = searched(embedder, tmp_path, "How much is a ticket?")
    assert (search.found, search.lexical, search.dense) == ((), (), ())
