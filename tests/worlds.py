"""Small worlds that an arbiter learns in seconds: sums, which the edge gets wrong, and birds, which both know."""

from __future__ import annotations

from functools import cache

import numpy as np

from router.arbiter.answers import Answer
from router.arbiter.ensemble import Ensemble
from router.arbiter.labels import Labels
from router.arbiter.metrics import Floats, Outcomes
from router.arbiter.training import fit_gain, fit_trust

COUNT = 300
WIDTH = 8
EMBEDDER = "embedder"
FAR: Floats = np.full(WIDTH, -1 / np.sqrt(WIDTH))
"""A vector unlike all those of `vector`."""


def vector(text: str) -> Floats:
    """One of eight directions: sums in one half of them, birds in the other."""
    found: Floats = np.eye(WIDTH)[len(text) % 4 + (0 if "+" in text else 4)]
    return found


def prompts(chance: np.random.Generator, count: int) -> tuple[str, ...]:
    return tuple(
        f"What is {n} + {n * 7}?" if one else f"Which bird, of the kind {n}, sings at night?"
        for n, one in zip(chance.integers(1, 5000, count), chance.random(count) < 0.5, strict=True)
    )


def questions(seed: int, count: int = COUNT) -> tuple[Labels, Floats]:
    chance = np.random.default_rng(seed)
    asked = prompts(chance, count)
    is_sum = np.array(["+" in prompt for prompt in asked])
    weak = (chance.random(count) < np.where(is_sum, 0.2, 0.7)).astype(np.float64)
    strong = (chance.random(count) < np.where(is_sum, 0.9, 0.7)).astype(np.float64)
    return Labels(asked, Outcomes(weak, strong), digest="labels"), np.array([vector(prompt) for prompt in asked])


def answer(question: str, number: int, *, sure: bool, samples: int = 0) -> Answer:
    """One whose tokens are likely, and whose samples agree, where the edge is `sure`."""
    logprobs = (-0.05, -0.01, -0.1) if sure else (-1.5, -0.9, -2.0)
    return Answer(
        question, f"It is {number}.", logprobs=logprobs, entropies=tuple(-2 * value for value in logprobs),
        margins=tuple(1 + value / 2 for value in logprobs),
        samples=tuple(f"It is {number if sure else number + 1 + n}." for n in range(samples)),
    )  # fmt: skip


def answers(seed: int, count: int = COUNT, samples: int = 0) -> tuple[Labels, Floats]:
    """Nearly all are right where the edge is sure, two in ten where it is not."""
    chance = np.random.default_rng(seed)
    asked, sure = prompts(chance, count), chance.random(count) < 0.5
    right = (chance.random(count) < np.where(sure, 0.97, 0.2)).astype(np.float64)
    given = tuple(
        answer(prompt, number, sure=bool(one), samples=samples)
        for prompt, number, one in zip(asked, map(int, chance.integers(1, 5000, count)), sure, strict=True)
    )
    labels = Labels(asked, Outcomes(right, np.full(count, np.nan)), given, digest="graded answers")
    return labels, np.array([vector(one.text) for one in given])


@cache
def gain() -> Ensemble:
    return fit_gain(*questions(1), EMBEDDER, pair="a pair")


@cache
def trust(samples: int = 0) -> Ensemble:
    return fit_trust(*answers(1, samples=samples), EMBEDDER, pair="a pair")
