"""Four small models that look at a question in different ways, as they are served: plain weights, numpy and no more.

words      its words and pairs of words, hashed: what it is about
trees      boosted trees over what can be seen of it (features.py): combinations
meaning    its sentence embedding, by nearness to some hundred questions
surface    a line through what can be seen of it: holds where the others have seen nothing alike
"""

from __future__ import annotations

import math
import re
import zlib
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from router.arbiter.metrics import Floats, Ints

BUCKETS = 1 << 18
_WORD = re.compile(r"[^\W_]{2,}(?:['’][^\W_]+)*")


def terms(question: str) -> dict[int, float]:
    """The buckets of its words and of its pairs of words, each with 1 + log of how often."""
    words = _WORD.findall(question.casefold())
    counts = Counter(zlib.crc32(term.encode()) % BUCKETS for term in (*words, *map(" ".join, pairwise(words))))
    return {bucket: 1 + math.log(count) for bucket, count in counts.items()}


@dataclass(frozen=True, slots=True)
class Words:
    """Ridge regression on TF-IDF of length 1; `rarity` and `weights` are [buckets], 0 for those that were too rare."""

    rarity: Floats
    weights: Floats
    bias: float

    def of(self, question: str) -> float:
        found = terms(question)
        buckets = np.fromiter(found, np.int64, len(found))
        values = np.fromiter(found.values(), np.float64, len(found)) * self.rarity[buckets]
        length = math.sqrt(float(values @ values))
        return self.bias + (float(values @ self.weights[buckets]) / length if length else 0.0)


@dataclass(frozen=True, slots=True)
class Trees:
    """All trees as one list of nodes: go `left` while a feature is at most `limit`. A leaf leads to itself."""

    roots: Ints
    feature: Ints
    limit: Floats
    left: Ints
    right: Ints
    value: Floats
    depth: int
    bias: float

    def of(self, seen: Floats) -> float:
        at = self.roots
        for _ in range(self.depth):
            at = np.where(seen[self.feature[at]] <= self.limit[at], self.left[at], self.right[at])
        return self.bias + float(self.value[at].sum())


@dataclass(frozen=True, slots=True)
class Meaning:
    """Kernel ridge regression on `landmarks`, [count, dimension] of length 1 (Nystroem's approximation)."""

    landmarks: NDArray[np.float32]
    weights: Floats
    sharpness: float
    bias: float

    def of(self, vector: Floats) -> float:
        return self.bias + float(self.nearness(vector) @ self.weights)

    def nearness(self, vectors: Floats) -> Floats:
        """Of vectors of length 1, [..., dimension], to the landmarks: 1 for the same."""
        cosines = vectors.astype(np.float32) @ self.landmarks.T
        return np.exp(2 * self.sharpness * (cosines.astype(np.float64) - 1))


@dataclass(frozen=True, slots=True)
class Surface:
    """Ridge regression; `weights` are for the values as they are."""

    weights: Floats
    bias: float

    def of(self, seen: Floats) -> float:
        return self.bias + float(seen @ self.weights)
