"""From a question and some passages to the sentences that matter, and to short answers in the passages' words.

sentences ─> cosines ──┐
words ─> kinds ────────┼─> candidates with features ─> probabilities ─> the text that gains most
words ─> word vectors ─┘
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np

from edge.embedder import Embedder
from edge.reader import unspaced
from edge.reader.page import Floats, Page, Place, open_page
from edge.reader.ranker import choose, projection, ranker
from edge.reader.scene import Scene, look
from edge.reader.vectors import Projection, WordVectors, pooled
from edge.reader.words import words
from edge.retriever import embed_whole
from edgewise.scripts import mostly_latin
from edgewise.types import Quote, Reading, Span

_SHARPNESS = 4.0  # of the softmax over sentences
_ANSWERS = 3
_MOST_CHARACTERS = 30_000


class Reader:
    """`ranker` chooses short answers; without one there are none."""

    def __init__(self, embedder: Embedder) -> None:
        self.ranker = ranker(embedder.name)
        self._embedder = embedder

    async def read(self, question: str, passages: Sequence[str]) -> Reading:
        """The sentences of all passages, those that matter most first, and the likeliest short answers.

        English has answers of a few words. Of Chinese and Japanese the sentence that matters most is the answer. Other
        languages have none, and neither have texts that are too long to be read word by word: their sentences go by
        the words that they share with the question.
        """
        if not mostly_latin(question) or sum(map(len, passages)) > _MOST_CHARACTERS:
            return await asyncio.to_thread(unspaced.read, question, passages)
        page = await asyncio.to_thread(open_page, question, passages)
        if not page.sentence_spans or not words(question):
            return Reading()
        near = await self._near(page)
        vectors = await self._word_vectors(page) if self._embedder.has_words else None
        return await asyncio.to_thread(self._read, page, near, vectors)

    async def scene(self, question: str, passages: Sequence[str], axes: Projection) -> Scene:
        """What `read` chooses from, to fit its weights to."""
        page = open_page(question, passages)
        vectors = await self._word_vectors(page) if self._embedder.has_words else None
        return look(page, await self._near(page), vectors, axes)

    def _read(self, page: Page, near: Floats, vectors: WordVectors | None) -> Reading:
        scene = look(page, near, vectors, projection())
        chosen = choose(scene, self.ranker, _ANSWERS) if self.ranker else []
        answers = [_quote(_between(page, scene, one.place), one.probability) for one in chosen]
        return Reading(sentences=_sentences(page, scene), answers=tuple(answers))

    async def _near(self, page: Page) -> Floats:
        asked = await embed_whole(self._embedder, page.question)
        texts = [page.passages[span.passage][span.start : span.end] for span in page.sentence_spans]
        vectors = np.stack([await embed_whole(self._embedder, text, passage=True) for text in texts])
        return np.asarray(vectors @ asked, np.float64)

    async def _word_vectors(self, page: Page) -> WordVectors:
        asked = pooled(*await self._embedder.embed_words(page.question), words(page.question))
        rows = []
        for number, text in enumerate(page.passages):
            mine = [(place.start, place.end) for place in page.spans if place.passage == number]
            if mine:
                rows.append(pooled(*await self._embedder.embed_words(text), mine))
        return WordVectors(asked, np.vstack(rows))


def _sentences(page: Page, scene: Scene) -> tuple[Quote, ...]:
    chances = np.exp(_SHARPNESS * (scene.relevance - scene.relevance.max()))
    chances /= chances.sum()
    order = np.argsort(-scene.relevance, kind="stable")
    return tuple(_quote(page.sentence_spans[place], float(chances[place])) for place in order)


def _between(page: Page, scene: Scene, candidate: int) -> Place:
    first, last = page.spans[scene.starts[candidate]], page.spans[scene.ends[candidate] - 1]
    return Place(first.passage, first.start, last.end)


def _quote(place: Place, probability: float) -> Quote:
    return Quote(passage=place.passage, span=Span(start=place.start, end=place.end), probability=probability)
