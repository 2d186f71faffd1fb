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
    """Of questions of the set that were not learned from.

    `decision_us` is what is left to do once the embedding is there, question after question; `decision_cold_us` the
    same right after waiting for it, when the processor has seen other things; `meanwhile_us` is done while it is made.
    """
    order = np.random.default_rng(0).permutation(len(known))
    learned, asked = known.take(order[_ASKED:][:_LEARNED]), known.take(order[:_ASKED])
    ensemble = fit_gain(learned.labels, learned.vectors, "")
    times: dict[str, list[float]] = {"decision": [], "decision_cold": [], "meanwhile": [], "end_to_end": []}

    async def ask(prompt: str) -> None:
        started = time.perf_counter()
        embedding = asyncio.ensure_future(embedder.embed_queries([prompt]))
        await asyncio.sleep(0)
        begins = time.perf_counter()
        begun = ensemble.begin(prompt, np.array(surface(prompt)))
        times["meanwhile"].append(time.perf_counter() - begins)
        vector = np.asarray((await embedding)[0])
        there = time.perf_counter()
        ensemble.finish(begun, vector)
        ended = time.perf_counter()
        times["decision_cold"].append(ended - there)
        times["end_to_end"].append(ended - started)

    async def ask_all() -> None:
        for prompt in asked.labels.prompts:
            if embedder.count_tokens(prompt) <= embedder.max_tokens:
                await ask(prompt)

    asyncio.run(ask_all())
    for prompt, vector in zip(asked.labels.prompts, asked.vectors, strict=True):
        begun = ensemble.begin(prompt, np.array(surface(prompt)))
        there = time.perf_counter()
        ensemble.finish(begun, vector)
        times["decision"].append(time.perf_counter() - there)
    units = {"decision": ("us", 1e6), "decision_cold": ("us", 1e6), "meanwhile": ("us", 1e6), "end_to_end": ("ms", 1e3)}
    return [
        {"what": f"{what}_{units[what][0]}", "n": len(some)}
        | {f"p{share}": float(np.percentile(some, share) * units[what][1]) for share in (50, 95)}
        for what, some in times.items()
    ]
