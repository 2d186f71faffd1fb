"""What every router must beat. Each learns from some graded questions and scores others; higher is rather the cloud.

A strength of regularisation is chosen inside the questions that are learned from, never by those that are scored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from router.arbiter.labels import Labels
from router.arbiter.metrics import Floats, Ints, apgr

_STRENGTHS = (1.0, 3.0, 10.0, 30.0)
_INNER_FOLDS = 4
_PRIOR = 20.0  # questions' worth of the overall gain that a group starts with


@dataclass(frozen=True, slots=True)
class Known:
    """Graded questions, and the sentence embedding of each, [questions, dimension]."""

    labels: Labels
    vectors: Floats

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Ints) -> Known:
        return Known(self.labels.take(rows), self.vectors[rows])

    @property
    def gains(self) -> Floats:
        return np.asarray(self.labels.outcomes.strong - self.labels.outcomes.weak)


Router = Callable[[Known, Known], Floats]


def random(_: Known, scored: Known) -> Floats:
    """One draw; its area is 0.5 on average."""
    return np.random.default_rng(len(scored)).random(len(scored))


def oracle(_: Known, scored: Known) -> Floats:
    return scored.gains


def length(_: Known, scored: Known) -> Floats:
    return np.array([len(prompt) for prompt in scored.labels.prompts], np.float64)


def tfidf(learned: Known, scored: Known) -> Floats:
    """Ridge regression of the gain on words and pairs of words."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    return _ridge(words.fit_transform(learned.labels.prompts), words.transform(scored.labels.prompts), learned)


def embedding(learned: Known, scored: Known) -> Floats:
    """Ridge regression of the gain on the sentence embedding."""
    return _ridge(learned.vectors, scored.vectors, learned)


def prior(learned: Known, scored: Known) -> Floats:
    """The mean gain of a question's group, which no other router is told."""
    overall = float(learned.gains.mean())
    groups = np.array(learned.labels.groups)
    means = {
        group: (float(learned.gains[groups == group].sum()) + _PRIOR * overall) / ((groups == group).sum() + _PRIOR)
        for group in set(learned.labels.groups)
    }
    return np.array([means.get(group, overall) for group in scored.labels.groups], np.float64)


BASELINES: Mapping[str, Router] = {
    "random": random,
    "oracle": oracle,
    "length": length,
    "tfidf": tfidf,
    "embedding": embedding,
    "prior": prior,
}
SIMPLE = ("length", "tfidf", "embedding", "prior")
"""Those that a router is compared with: one that learns nothing, and those that learn the least."""


def _ridge(learned_rows: Any, scored_rows: Any, learned: Known) -> Floats:
    from sklearn.linear_model import Ridge

    def fitted(rows: Any, gains: Floats, strength: float) -> Any:
        return Ridge(alpha=strength, solver="lsqr", random_state=0).fit(rows, gains)

    def inner(strength: float) -> float:
        scores = np.empty(len(learned))
        for held_out in folds(len(learned), _INNER_FOLDS, seed=1):
            others = np.setdiff1d(np.arange(len(learned)), held_out)
            scores[held_out] = fitted(learned_rows[others], learned.gains[others], strength).predict(
                learned_rows[held_out]
            )
        return apgr(scores, learned.labels.outcomes)

    best = max(_STRENGTHS, key=inner)
    return np.asarray(fitted(learned_rows, learned.gains, best).predict(scored_rows), np.float64)


def folds(count: int, number: int, seed: int = 0) -> Sequence[Ints]:
    """So many parts of about the same size, at random."""
    return np.array_split(np.random.default_rng(seed).permutation(count), number)
