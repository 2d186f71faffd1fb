"""From a query to passages: embed it, and look for the nearest."""

from __future__ import annotations

import asyncio
import time

import numpy as np

from edge.embedder import Embedder
from edge.ingest.chunking import split
from edge.ingest.cleaning import clean
from edge.ingest.ingester import passage_tokens
from edge.store import Store, Vectors
from edgewise.errors import InvalidInput
from edgewise.types import Findings, Query


class Retriever:
    def __init__(self, embedder: Embedder, store: Store) -> None:
        self._embedder = embedder
        self._store = store

    async def retrieve(self, query: Query) -> Findings:
        """The passages nearest to the query by cosine; InvalidInput for a query without text."""
        started = time.monotonic()
        text = clean(query.text.value).strip()
        if not text:
            raise InvalidInput("the query is empty; ask for something")
        vector = await embed_whole(self._embedder, text)
        passages = await self._store.search(vector, query.k, query.collections)
        return Findings(passages=passages, elapsed_s=time.monotonic() - started)


async def embed_whole(embedder: Embedder, text: str) -> Vectors:
    """One L2-normalised vector, [dimension], for a text of any length that is not blank.

    What exceeds the embedder's window is embedded in consecutive parts, and their mean is the vector: it is near to
    whatever any of the parts is about, if less so the more there are.
    """
    parts = [text]
    if len(text) > embedder.max_tokens - 2:  # a token has a character at least, and two tokens surround the text
        parts = await asyncio.to_thread(lambda: list(split(text, embedder.count_tokens, passage_tokens(embedder))))
    vectors = await embedder.embed(parts)
    mean: Vectors = vectors.mean(axis=0)
    unit: Vectors = mean / np.linalg.norm(mean)
    return unit
