"""Which candidate is the answer: a softmax over the likeliest ones, and the text that gains most by it.

`weights.json` comes from `python -m tests.bench.rag.fit_reader`, which says what it was fitted on. There is one ranker
for each embedder, because their cosines differ.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from edge.reader.page import Floats, Ints, sums
from edge.reader.scene import Scene
from edge.reader.vectors import Projection
from edge.reader.words import COMMA, MARK

WEIGHTS = Path(__file__).with_name("weights.json")
KEPT = 80  # candidates that get a probability
# What a text is chosen by: so much for holding the whole answer, the rest for its token F1.
_CONTAINING = 0.35
_LONGEST = 25


@dataclass(frozen=True, slots=True)
class Ranker:
    """Weights: `first` sifts all candidates, `last` weighs those that are kept."""

    names: tuple[str, ...]
    first: Floats
    last: Floats


@dataclass(frozen=True, slots=True)
class Choice:
    """A candidate, and the probability that its text holds the answer."""

    place: int
    probability: float


@cache
def projection() -> Projection:
    axes = _kept()["projection"]
    return Projection(np.asarray(axes["mean"]), np.asarray(axes["axes"]))


@cache
def ranker(embedder: str) -> Ranker | None:
    """That of an embedder; None for one that no ranker was fitted for."""
    found = _kept()["rankers"].get(embedder)
    return Ranker(tuple(found["names"]), *(np.asarray(found[part]) for part in ("first", "last"))) if found else None


@cache
def _kept() -> Any:
    return json.loads(WEIGHTS.read_text(encoding="utf-8"))


def sifted(scene: Scene, first: Floats) -> Ints:
    """The likeliest candidates, best first."""
    order: Ints = np.argsort(-(scene.features @ first), kind="stable")[:KEPT]
    return order


def choose(scene: Scene, chosen_by: Ranker, count: int) -> list[Choice]:
    """The texts with the greatest expected reward (minimum Bayes risk), best first, none inside another one."""
    if not len(scene.starts):
        return []
    kept = sifted(scene, chosen_by.first)
    z = scene.features[kept] @ chosen_by.last
    shares = np.exp(z - z.max())
    shares /= shares.sum()
    rewards, contains = _rewards(scene, kept, shares)
    choices: list[Choice] = []
    for place in np.argsort(-rewards, kind="stable"):
        apart = all(_apart(scene, int(place), other.place) for other in choices)
        if apart:
            choices.append(Choice(int(place), float(contains[place])))
        if len(choices) == count:
            break
    return choices


def _rewards(scene: Scene, kept: Ints, shares: Floats) -> tuple[Floats, Floats]:
    """Of every candidate, what it gains on average if one of those kept is the answer, and how often it holds it."""
    a, b = scene.starts, scene.ends
    truth_a, truth_b = a[kept], b[kept]
    articles = np.isin(np.asarray(scene.page.low, object).astype(str), ("a", "an", "the"))
    counted = sums(~np.isin(scene.page.kinds, (COMMA, MARK)) & ~articles)
    size, truth_size = counted[b] - counted[a], counted[truth_b] - counted[truth_a]
    start, end = np.maximum(a[:, None], truth_a), np.minimum(b[:, None], truth_b)
    shared = np.where(end > start, counted[np.maximum(start, end)] - counted[start], 0.0)
    f1 = 2 * shared / np.maximum(1, size[:, None] + truth_size)
    holds = 1.0 * ((a[:, None] <= truth_a) & (b[:, None] >= truth_b))
    rewards = (_CONTAINING * holds + (1 - _CONTAINING) * f1) @ shares
    rewards[size > _LONGEST] = -1.0
    return rewards, holds @ shares


def _apart(scene: Scene, one: int, other: int) -> bool:
    return bool(scene.ends[one] <= scene.starts[other] or scene.ends[other] <= scene.starts[one])
