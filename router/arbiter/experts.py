"""Small models that look at a question or an answer in different ways, as they are served: plain weights, numpy only.

words      its words and pairs of words, hashed: what it is about
trees      boosted trees over what can be seen of it (features.py, answers.py): combinations
forest     many trees grown at random over the same: the steadiest where much is seen and little is graded
meaning    its sentence embedding, by nearness to some hundred others
line       a line through what can be seen of it: holds where the others have seen nothing alike
"""

from __future__ import annotations

import math
import re
import zlib
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router.arbiter.metrics import Floats, Ints

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|\w\w+")


@dataclass(frozen=True, slots=True)
class Look:
    """What the experts see of one question or answer; `vector` is its sentence embedding, of length 1."""

    text: str
    seen: Floats
    vector: Floats


@dataclass(frozen=True, slots=True)
class Looks:
    """The same of many, one row each; `words` are how often (CSR), [count, terms], they have which `terms`."""

    terms: Ints
    words: Any
    seen: Floats
    vectors: Floats

    def __len__(self) -> int:
        return len(self.seen)

    def take(self, rows: Ints) -> Looks:
        return Looks(self.terms, self.words[rows], self.seen[rows], self.vectors[rows])


def terms(text: str) -> dict[int, float]:
    """Its words and its pairs of words, hashed to 32 bits, each with 1 + log of how often."""
    words = _WORD.findall(text.casefold())
    counts = Counter(zlib.crc32(term.encode("utf-8", "replace")) for term in (*words, *map(" ".join, pairwise(words))))
    return {term: 1 + math.log(count) for term, count in counts.items()}


@dataclass(frozen=True, slots=True)
class Words:
    """Ridge regression on TF-IDF of length 1, over `known` terms in ascending order; the others count as if not there.

    `rarity` and `weights` are [known].
    """

    known: Ints
    rarity: Floats
    weights: Floats
    bias: float

    def of(self, look: Look) -> float:
        found = terms(look.text)
        asked = np.fromiter(found, np.int64, len(found))
        at = np.minimum(np.searchsorted(self.known, asked), len(self.known) - 1)
        values = np.fromiter(found.values(), np.float64, len(found)) * self.rarity[at] * (self.known[at] == asked)
        length = math.sqrt(float(values @ values))
        return self.bias + (float(values @ self.weights[at]) / length if length else 0.0)

    def of_all(self, looks: Looks) -> Floats:
        if not len(looks.terms):
            return np.full(len(looks), self.bias)
        columns = np.searchsorted(looks.terms, self.known)
        found = np.minimum(columns, len(looks.terms) - 1)
        rarity, weights = np.zeros((2, len(looks.terms)))
        there = looks.terms[found] == self.known
        rarity[found[there]], weights[found[there]] = self.rarity[there], self.weights[there]
        return np.asarray(weighed(looks.words, rarity) @ weights + self.bias)


def weighed(words: Any, rarity: Floats) -> Any:
    """Rows of TF-IDF (CSR), each of length 1."""
    from scipy.sparse import diags

    rows = words.multiply(rarity).tocsr()
    lengths = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
    return diags(1 / np.maximum(lengths, 1e-12)) @ rows


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

    def of(self, look: Look) -> float:
        at = self.roots
        for _ in range(self.depth):
            at = np.where(look.seen[self.feature[at]] <= self.limit[at], self.left[at], self.right[at])
        return self.bias + float(self.value[at].sum())

    def of_all(self, looks: Looks) -> Floats:
        at = np.tile(self.roots, (len(looks), 1))
        rows = np.arange(len(looks))[:, None]
        for _ in range(self.depth):
            at = np.where(looks.seen[rows, self.feature[at]] <= self.limit[at], self.left[at], self.right[at])
        return np.asarray(self.bias + self.value[at].sum(axis=1))


@dataclass(frozen=True, slots=True)
class Meaning:
    """Kernel ridge regression on landmarks (Nystroem's approximation): `bias + exp(vector @ landmarks.T) @ weights`.

    `landmarks` are vectors of length 1 times twice the sharpness of the kernel, which is Gaussian for such vectors.
    """

    landmarks: NDArray[np.float32]
    weights: NDArray[np.float32]
    bias: float

    def of(self, look: Look) -> float:
        return self.looked_up(look.vector)[0]

    def of_all(self, looks: Looks) -> Floats:
        near = np.exp(looks.vectors.astype(np.float32) @ self.landmarks.T)
        return np.asarray(self.bias + near @ self.weights, np.float64)

    def looked_up(self, vector: Floats) -> tuple[float, float]:
        """What it says of a vector, and how near the nearest landmark is: twice the sharpness for the same."""
        near = self.landmarks @ vector.astype(np.float32, copy=False)
        return self.bias + float(np.exp(near) @ self.weights), float(near.max())


@dataclass(frozen=True, slots=True)
class Line:
    """Ridge regression; `weights` are for the values as they are, `usual` is their mean over what was learned from."""

    weights: Floats
    usual: Floats
    bias: float

    def of(self, look: Look) -> float:
        return self.bias + float(look.seen @ self.weights)

    def of_all(self, looks: Looks) -> Floats:
        return np.asarray(self.bias + looks.seen @ self.weights)

    def adds(self, seen: Floats) -> Floats:
        """What each value, as far as it is unusual, adds."""
        return np.asarray((seen - self.usual) * self.weights)


Expert = Words | Trees | Meaning | Line
KINDS: dict[str, type[Expert]] = {
    "words": Words,
    "trees": Trees,
    "forest": Trees,
    "meaning": Meaning,
    "line": Line,
}
