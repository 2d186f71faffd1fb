"""How relevant is what came from elsewhere, weighed as the edge weighs the passages of a library."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from edge.embedder import Embedder
from edge.holdings import Match
from edge.ranking.features import Asked, Found
from edge.ranking.models import WITHOUT_VECTORS, models
from edge.retriever import Search, embed_whole, fused, weighed
from edge.terms import terms
from edgewise.types import Findings, Passage, Query


class Scales:
    """The models of `edge.ranking` on some passages in memory.

    The two searches are replayed among these alone: the rank by words is that by the share of the query's words, each
    counting the same, because a handful of results says nothing about how rare a word is; the rank by vectors is that
    by cosine. Whoever found the passages has searched more than these, as the searches of a library would have.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    async def weigh(self, query: Query, passages: Sequence[Passage]) -> Findings:
        """The passages with their scores, best first, and whether the answer is among them."""
        if not passages:
            return Findings()
        text = query.text.value
        reads = self._embedder.reads(text)
        cosines = await self._cosines(text, passages) if reads else {}
        kind = self._embedder.name if reads else WITHOUT_VECTORS
        best, answerable = await asyncio.to_thread(
            lambda: weighed(_replayed(text, passages, cosines, kind), models(kind))
        )
        return Findings(passages=tuple(best), answerable=answerable)

    async def _cosines(self, text: str, passages: Sequence[Passage]) -> dict[int, float]:
        query = (await embed_whole(self._embedder, text)).reshape(-1)
        cosines: dict[int, float] = {}
        for number, one in enumerate(passages):
            content = f"{one.title}\n{one.text.value}" if one.title else one.text.value
            vector = await embed_whole(self._embedder, content, passage=True)
            cosines[number] = float(query @ vector.reshape(-1))
        return cosines


def _replayed(text: str, passages: Sequence[Passage], cosines: dict[int, float], kind: str) -> Search:
    words = terms(text)
    asked = Asked(text, words, {}, 0)
    shares = {
        number: asked.coverage((*terms(one.title), *terms(one.text.value))) for number, one in enumerate(passages)
    }
    lexical, dense = _ranked({number: share for number, share in shares.items() if share}), _ranked(cosines)
    lexical_ranks = {match.number: rank for rank, match in enumerate(lexical)}
    dense_ranks = {match.number: rank for rank, match in enumerate(dense)}
    found = (
        Found(passages[number], cosines.get(number), lexical_ranks.get(number), dense_ranks.get(number))
        for number in fused(lexical, dense)
    )
    return Search(asked, tuple(found), lexical, dense, kind)


def _ranked(scores: dict[int, float]) -> tuple[Match, ...]:
    return tuple(Match(number, scores[number]) for number in sorted(scores, key=scores.__getitem__, reverse=True))
