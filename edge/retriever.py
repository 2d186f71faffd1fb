"""From a query to passages.

terms ──> BM25 ────┐
                   ├─> reciprocal ranks, fused ──> features ──> relevance ──> the best, and is an answer there at all?
vector ─> cosines ─┘
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from edge.context import expanded
from edge.embedder import Embedder
from edge.holdings import Library, Match, Scope
from edge.ingest.chunking import split
from edge.ingest.cleaning import clean
from edge.ingest.ingester import passage_tokens
from edge.ranking.features import Asked, Found, features
from edge.ranking.models import WITHOUT_VECTORS, Models, gate_features, models, probability
from edge.store import Vectors
from edge.terms import content, terms
from edgewise.errors import InvalidInput
from edgewise.types import Findings, Passage, Query

_SEARCHED = 100  # passages that each search gives
_WEIGHED = 20  # passages that are read and weighed
_END = 5000  # characters of the beginning and of the end of a long query that are looked for: the question is there
# Weighted reciprocal rank fusion (Cormack et al. 2009).
_LEXICAL_WEIGHT, _DENSE_WEIGHT, _FUSION_K = 1.0, 0.5, 10


@dataclass(frozen=True, slots=True)
class Search:
    """What the two searches found for a query, and the best of both together; `kind` names the models that weigh it."""

    asked: Asked
    found: tuple[Found, ...]
    lexical: tuple[Match, ...]
    dense: tuple[Match, ...]
    kind: str

    @property
    def lexical_scores(self) -> list[float]:
        return [match.score for match in self.lexical]

    @property
    def dense_scores(self) -> list[float]:
        return [match.score for match in self.dense]


class Retriever:
    """`models` gives those that weigh a search of some kind."""

    def __init__(self, embedder: Embedder, library: Library) -> None:
        self.models: Callable[[str], Models] = models
        self._embedder = embedder
        self._library = library

    async def retrieve(self, query: Query) -> Findings:
        """The passages that are most probably relevant; InvalidInput for a query without text."""
        started = time.monotonic()
        search = await self.search(query)
        best, answerable = await asyncio.to_thread(weighed, search, self.models(search.kind))
        chosen = await expanded(best, query, self._library)
        return Findings(passages=chosen, answerable=answerable, elapsed_s=time.monotonic() - started)

    async def search(self, query: Query) -> Search:
        """By words and by vectors; without those for a query in a script that the embedder cannot read."""
        text = clean(query.text.value).strip()
        if not text:
            raise InvalidInput("the query is empty; ask for something")
        if len(text) > 2 * _END:
            text = f"{text[:_END]}\n{text[-_END:]}"
        scope = Scope(query.collections, query.source)
        words = terms(text)
        # What does not wait for each other is asked for at once, which keeps the thread of the library busy.
        lexical, vector = await asyncio.gather(self._library.matching(words, _SEARCHED, scope), self._vector(text))
        dense = [] if vector is None else await self._library.nearest(vector, _SEARCHED, scope)
        numbers = fused(lexical, dense)[: max(_WEIGHED, query.k)]
        found, (passages, frequencies) = await asyncio.gather(
            self._read(numbers, lexical, dense, vector), self._library.frequencies(content(words))
        )
        asked = Asked(text, words, frequencies, passages)
        kind = self._embedder.name if vector is not None else WITHOUT_VECTORS
        return Search(asked, tuple(found), tuple(lexical), tuple(dense), kind)

    async def _vector(self, text: str) -> Vectors | None:
        return await embed_whole(self._embedder, text) if self._embedder.reads(text) else None

    async def _cosines(self, numbers: Sequence[int], vector: Vectors | None) -> dict[int, float]:
        return {} if vector is None else await self._library.cosines(numbers, vector)

    async def _read(
        self, numbers: Sequence[int], lexical: Sequence[Match], dense: Sequence[Match], vector: Vectors | None
    ) -> list[Found]:
        passages, cosines = await asyncio.gather(self._library.read(numbers), self._cosines(numbers, vector))
        lexical_ranks = {match.number: rank for rank, match in enumerate(lexical)}
        dense_ranks = {match.number: rank for rank, match in enumerate(dense)}
        return [
            Found(passages[number], cosines.get(number), lexical_ranks.get(number), dense_ranks.get(number))
            for number in numbers
            if number in passages
        ]


def fused(lexical: Sequence[Match], dense: Sequence[Match]) -> list[int]:
    """The numbers of all passages found, by the weighted sum of their reciprocal ranks."""
    scores: dict[int, float] = {}
    for matches, weight in ((lexical, _LEXICAL_WEIGHT), (dense, _DENSE_WEIGHT)):
        for rank, match in enumerate(matches, start=1):
            scores[match.number] = scores.get(match.number, 0.0) + weight / (_FUSION_K + rank)
    return sorted(scores, key=scores.__getitem__, reverse=True)


def weighed(search: Search, kind: Models) -> tuple[list[Passage], float]:
    """The passages with their relevance, best first, and the probability that the answer is among them."""
    if not search.found:
        return [], 0.0
    values = features(search.asked, search.found)
    logits = [kind.relevance.logit(one) for one in values]
    order = sorted(range(len(logits)), key=logits.__getitem__, reverse=True)
    gate = gate_features(values, kind.relevance, search.dense_scores, search.lexical_scores)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    passages = [_rated(search.found[place].passage, logits[place], now) for place in order]
    return passages, probability(kind.gate.logit(gate))


def _rated(passage: Passage, logit: float, now: str) -> Passage:
    return passage.model_copy(update={"score": probability(logit), "stale": "" < passage.expires_at < now})


async def embed_whole(embedder: Embedder, text: str, *, passage: bool = False) -> Vectors:
    """One L2-normalised vector, [dimension], for a query (or a passage) of any length that is not blank.

    What exceeds the embedder's window is embedded in consecutive parts, and their mean is the vector: it is near to
    whatever any of the parts is about, if less so the more there are.
    """
    parts = await asyncio.to_thread(_parts, embedder, text)
    vectors = await (embedder.embed_passages if passage else embedder.embed_queries)(parts)
    mean: Vectors = vectors.mean(axis=0)
    unit: Vectors = mean / np.linalg.norm(mean)
    return unit


def _parts(embedder: Embedder, text: str) -> list[str]:
    if embedder.count_tokens(text) <= embedder.max_tokens:
        return [text]
    return list(split(text, embedder.count_tokens, passage_tokens(embedder)))
