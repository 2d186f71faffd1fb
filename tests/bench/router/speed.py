"""How long a decision takes: after the embedding is there, and from the question on, its embedding included."""

from __future__ import annotations

import asyncio
import time

import numpy as np

from edge.embedder import Embedder
from router.arbiter.features import surface
from router.arbiter.training import fit_gain
from tests.bench.router.baselines import Known
from tests.bench.router.tables import Row

_ASKED = 500
_LEARNED = 3000


def measured(embedder: Embedder, known: Known) -> list[Row]:
    """Of questions of the set that were not learned from; the rest of a decision runs while the embedding is made."""
    order = np.random.default_rng(0).permutation(len(known))
    learned, asked = known.take(order[_ASKED:][:_LEARNED]), known.take(order[:_ASKED])
    ensemble = fit_gain(learned.labels, learned.vectors, "")
    decision, rest, whole = [], [], []

    async def ask(prompt: str) -> None:
        started = time.perf_counter()
        embedding = asyncio.ensure_future(embedder.embed_queries([prompt]))
        await asyncio.sleep(0)
        begins = time.perf_counter()
        begun = ensemble.begin(prompt, np.array(surface(prompt)))
        rest.append(time.perf_counter() - begins)
        vector = np.asarray((await embedding)[0], np.float64)
        there = time.perf_counter()
        ensemble.finish(begun, vector)
        decision.append(time.perf_counter() - there)
        whole.append(time.perf_counter() - started)

    async def ask_all() -> None:
        for prompt in asked.labels.prompts:
            if embedder.count_tokens(prompt) <= embedder.max_tokens:
                await ask(prompt)

    asyncio.run(ask_all())
    kinds = (("decision_us", decision, 1e6), ("meanwhile_us", rest, 1e6), ("end_to_end_ms", whole, 1e3))
    return [
        {"what": what, "n": len(times)} | {f"p{share}": float(np.percentile(times, share) * unit) for share in (50, 95)}
        for what, times, unit in kinds
    ]
