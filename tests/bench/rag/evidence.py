"""What the searches find for questions whose passages are known: with them, without them, without their articles."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Literal

from edge.holdings import Match
from edge.retriever import Retriever, Search
from edgewise.types import Query, Text
from tests.bench.rag.filled import Filled
from tests.bench.rag.sets import Asked

Condition = Literal["there", "passage_gone", "article_gone"]


@dataclass(frozen=True, slots=True)
class Case:
    """A search, and which of the passages that it found are gold: of both together, and of the first ten of each."""

    asked: Asked
    condition: Condition
    search: Search
    gold: tuple[bool, ...]
    lexical_gold: tuple[bool, ...]
    dense_gold: tuple[bool, ...]


async def with_passages(filled: Filled, asked: Sequence[Asked], retriever: Retriever | None = None) -> list[Case]:
    """Every question with everything there."""
    return [await _case(filled, one, "there", retriever) for one in asked]


async def without_passages(filled: Filled, asked: Sequence[Asked], retriever: Retriever | None = None) -> list[Case]:
    """Every question while its gold passages are gone and the rest of their article is there."""
    cases: list[Case] = []
    for one in asked:
        async with filled.without(one.gold):
            cases.append(await _case(filled, one, "passage_gone", retriever))
    return cases


async def without_articles(filled: Filled, asked: Sequence[Asked], retriever: Retriever | None = None) -> list[Case]:
    """Every question while all of its article is gone."""
    return [case async for case in _without_articles(filled, asked, retriever)]


async def _without_articles(filled: Filled, asked: Sequence[Asked], retriever: Retriever | None) -> AsyncIterator[Case]:
    for group in dict.fromkeys(one.group for one in asked):
        article = [place for place, passage in enumerate(filled.given) if passage.group == group]
        async with filled.without(article):
            for one in asked:
                if one.group == group:
                    yield await _case(filled, one, "article_gone", retriever)


async def _case(filled: Filled, asked: Asked, condition: Condition, retriever: Retriever | None) -> Case:
    search = await (retriever or filled.retriever).search(Query(text=Text(value=asked.text), k=10))
    found = [one.passage.id for one in search.found]
    lexical, dense = [await _ids(filled, matches) for matches in (search.lexical, search.dense)]
    return Case(asked, condition, search, *(_gold(filled, asked, ids) for ids in (found, lexical, dense)))


async def _ids(filled: Filled, matches: Sequence[Match]) -> list[str]:
    numbers = [match.number for match in matches[:10]]
    passages = await filled.holdings.read(numbers)
    return [passages[number].id for number in numbers]


def _gold(filled: Filled, asked: Asked, ids: Sequence[str]) -> tuple[bool, ...]:
    return tuple(filled.place(one) in asked.gold for one in ids)
