"""What is given of the passages that were found, from a real library."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Literal

import pytest

from edge.context import distinct, expanded
from edge.holdings import Library
from edge.store import Stored, passage_id
from edgewise.types import Passage, Privacy, Query, Text
from tests.libraries import document, fresh, vectors

# Title and text of each passage of one document.
HOURS, TICKETS = "Museum > Hours", "Museum > Tickets"
PASSAGES = (
    (HOURS, "The doors open at nine. They close at five."),
    (HOURS, "On Mondays they stay closed."),
    (HOURS, "In winter they close at four! Or earlier?"),
    (HOURS, "Ask at the desk."),
    (HOURS, "Ring the bell twice."),
    (TICKETS, "A ticket costs seven euros. Children pay three."),
    (TICKETS, "博物馆免费。学生也免费。"),
)


def passage(text: str, score: float = 0.5, name: str = "a", position: int = 0, title: str = "") -> Passage:
    return Passage(
        id=passage_id(name, position), text=Text(value=text, label=Privacy.PRIVATE, sources=("m.md",)), source="m.md",
        title=title, score=score,
    )  # fmt: skip


def texts(passages: tuple[Passage, ...]) -> list[str]:
    return [one.text.value for one in passages]


# --- distinct ---------------------------------------------------------------------------------------------------------


def test_each_thing_is_said_once() -> None:
    some = [
        "The doors open at nine.",
        "the doors, open at NINE!",
        "The doors open at ten.",
        "A ticket costs seven euros.",
    ]
    assert texts(distinct(map(passage, some), 4)) == [some[0], some[2], some[3]]


def test_nearly_the_same_is_the_same() -> None:
    words = [f"word{n}" for n in range(20)]
    assert len(distinct([passage(" ".join(words)), passage(" ".join(words[:18]))], 4)) == 1
    assert len(distinct([passage(" ".join(words)), passage(" ".join(words[:17]))], 4)) == 2


def test_no_more_than_wanted() -> None:
    some = [passage(f"passage{n}") for n in range(10)]
    assert distinct(some, 3) == tuple(some[:3])
    assert distinct(some[:2], 3) == tuple(some[:2])
    assert distinct([], 3) == ()


def test_passages_without_words_are_alike() -> None:
    assert len(distinct([passage("?!"), passage("..."), passage("word")], 4)) == 2


# --- expanded ---------------------------------------------------------------------------------------------------------


async def museum(directory: Path) -> Library:
    library = await fresh(directory, "sqlite")
    of = document("m", len(PASSAGES), source="m.md")
    await library.begin(of)
    stored = [Stored(passage_id("m", n), title, text) for n, (title, text) in enumerate(PASSAGES)]
    await library.extend(of, stored, vectors(len(PASSAGES)))
    await library.commit(of)
    return library


def given(directory: Path, expand: Literal["", "window", "section"], *found: int, k: int = 10) -> tuple[Passage, ...]:
    """What is given for passages that were found in that order."""

    async def main() -> tuple[Passage, ...]:
        library = await museum(directory)
        best = [
            passage(PASSAGES[place][1], 0.9 - rank / 10, "m", place, PASSAGES[place][0])
            for rank, place in enumerate(found)
        ]
        try:
            return await expanded(best, Query(text=Text(value="x"), k=k, expand=expand), library)
        finally:
            await library.close()

    return asyncio.run(main())


def test_as_they_are(tmp_path: Path) -> None:
    assert texts(given(tmp_path, "", 3, 0)) == [PASSAGES[3][1], PASSAGES[0][1]]


@pytest.mark.parametrize(
    ("place", "wanted"),
    [
        (0, [PASSAGES[0][1], "On Mondays they stay closed."]),
        (1, ["They close at five.", PASSAGES[1][1], "In winter they close at four!"]),
        (3, ["Or earlier?", PASSAGES[3][1], "Ring the bell twice."]),
        (4, ["Ask at the desk.", PASSAGES[4][1]]),
        (5, [PASSAGES[5][1], "博物馆免费。"]),
        (6, ["Children pay three.", PASSAGES[6][1]]),
    ],
)
def test_a_window_ends_with_its_section(tmp_path: Path, place: int, wanted: list[str]) -> None:
    (one,) = given(tmp_path, "window", place)
    assert one.text == Text(value="\n".join(wanted), label=Privacy.PRIVATE, sources=("m.md",))
    assert (one.id, one.title, one.score) == (passage_id("m", place), PASSAGES[place][0], 0.9)


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        ((0,), [[0]]),
        ((1, 0), [[0, 1]]),
        ((2, 0), [[0, 1, 2]]),  # the one between them comes along
        ((0, 3), [[0], [3]]),
        ((4, 5), [[4], [5]]),  # they are neighbours, but of two sections
        ((3, 5), [[3], [5]]),
        ((6, 4, 5, 2), [[5, 6], [2, 3, 4]]),
        ((4, 0, 2), [[0, 1, 2, 3, 4]]),
    ],
)
def test_passages_of_a_section_become_one(tmp_path: Path, found: tuple[int, ...], wanted: list[list[int]]) -> None:
    passages = given(tmp_path, "section", *found)
    assert texts(passages) == ["\n\n".join(PASSAGES[place][1] for place in run) for run in wanted]
    for one, run in zip(passages, wanted, strict=True):
        best = min((place for place in found if place in run), key=found.index)
        assert one.id == passage_id("m", best)
        assert one.score == 0.9 - found.index(best) / 10
        assert one.text.label is Privacy.PRIVATE
        assert one.text.sources == ("m.md",)


def test_a_document_that_is_gone_meanwhile_is_given_as_it_was_found(tmp_path: Path) -> None:
    async def main() -> None:
        library = await museum(tmp_path)
        await library.delete("m")
        best = [passage(PASSAGES[place][1], 0.5, "m", place, PASSAGES[place][0]) for place in (0, 2)]
        for expand, wanted in (("window", [0, 2]), ("section", [0, 2])):
            query = Query.model_validate({"text": Text(value="x"), "expand": expand})
            assert texts(await expanded(best, query, library)) == [PASSAGES[place][1] for place in wanted]
        await library.close()

    asyncio.run(main())
