"""Learning the gain of the cloud from graded questions, in seconds on a CPU. Needs scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from router.arbiter.ensemble import EXPERTS, Ensemble
from router.arbiter.experts import BUCKETS, Meaning, Surface, Trees, Words, terms
from router.arbiter.features import surface
from router.arbiter.labels import Labels, learnable
from router.arbiter.metrics import Floats, Ints

_WORDS_STRENGTH, _MEANING_STRENGTH, _SURFACE_STRENGTH = 10.0, 10.0, 300.0
_LANDMARKS, _SHARPNESS = 400, 1.0
_FOLDS = 5
_TREES, _RATE, _LEAVES = 150, 0.04, 4


@dataclass(frozen=True, slots=True)
class Questions:
    """Questions as the experts see them: hashed words (CSR), surface features, embeddings; one row each."""

    words: Any
    seen: Floats
    vectors: Floats

    def __len__(self) -> int:
        return len(self.seen)

    def take(self, rows: Ints) -> Questions:
        return Questions(self.words[rows], self.seen[rows], self.vectors[rows])


def looked_at(prompts: Sequence[str], vectors: Floats) -> Questions:
    """`vectors` are the sentence embeddings, [prompts, dimension]."""
    from scipy.sparse import csr_matrix

    rows = [terms(prompt) for prompt in prompts]
    starts = np.concatenate(([0], np.cumsum([len(row) for row in rows])))
    values = np.fromiter((value for row in rows for value in row.values()), np.float64)
    buckets = np.fromiter((bucket for row in rows for bucket in row), np.int64)
    words = csr_matrix((values, buckets, starts), shape=(len(rows), BUCKETS))
    return Questions(words, np.array([surface(prompt) for prompt in prompts]), np.asarray(vectors, np.float64))


def fit_words(known: Questions, gains: Floats) -> Words:
    from sklearn.linear_model import Ridge

    seen_in = np.bincount(known.words.indices, minlength=BUCKETS)
    rarity = np.where(seen_in >= 2, np.log((1 + len(known)) / (1 + seen_in)) + 1, 0.0)
    fitted = Ridge(alpha=_WORDS_STRENGTH, solver="lsqr").fit(weighed(known.words, rarity), gains)
    return Words(rarity, np.asarray(fitted.coef_, np.float64), float(fitted.intercept_))


def weighed(words: Any, rarity: Floats) -> Any:
    """Rows of TF-IDF, each of length 1."""
    from sklearn.preprocessing import normalize

    return normalize(words.multiply(rarity).tocsr())


def fit_trees(known: Questions, gains: Floats) -> Trees:
    from sklearn.ensemble import GradientBoostingRegressor

    fewest = int(np.clip(len(known) // 30, 10, 40))
    fitted = GradientBoostingRegressor(
        n_estimators=_TREES, learning_rate=_RATE, max_leaf_nodes=_LEAVES, min_samples_leaf=fewest, subsample=0.7,
        random_state=0,
    ).fit(known.seen, gains)  # fmt: skip
    trees = [estimator.tree_ for estimator in fitted.estimators_[:, 0]]
    roots = np.concatenate(([0], np.cumsum([tree.node_count for tree in trees])[:-1]))
    own = [np.arange(tree.node_count) + root for tree, root in zip(trees, roots, strict=True)]

    def children(name: str) -> Ints:
        parts = []
        for tree, root, itself in zip(trees, roots, own, strict=True):
            child = getattr(tree, name)
            parts.append(np.where(child < 0, itself, child + root))
        return np.concatenate(parts).astype(np.int64)

    return Trees(
        roots=roots.astype(np.int64),
        feature=np.maximum(0, np.concatenate([tree.feature for tree in trees])).astype(np.int64),
        limit=np.concatenate([tree.threshold for tree in trees]).astype(np.float64),
        left=children("children_left"),
        right=children("children_right"),
        value=_RATE * np.concatenate([tree.value[:, 0, 0] for tree in trees]).astype(np.float64),
        depth=max(tree.max_depth for tree in trees),
        bias=float(gains.mean()),
    )


def fit_meaning(known: Questions, gains: Floats) -> Meaning:
    chosen = np.random.default_rng(0).permutation(len(known))[:_LANDMARKS]
    blank = Meaning(known.vectors[chosen].astype(np.float32), np.zeros(len(chosen)), _SHARPNESS, float(gains.mean()))
    near = blank.nearness(known.vectors)
    among = blank.nearness(known.vectors[chosen])
    weights = np.linalg.solve(
        near.T @ near + _MEANING_STRENGTH * among + 1e-6 * np.eye(len(chosen)), near.T @ (gains - blank.bias)
    )
    return Meaning(blank.landmarks, np.asarray(weights), _SHARPNESS, blank.bias)


def fit_surface(known: Questions, gains: Floats) -> Surface:
    from sklearn.linear_model import Ridge

    mean, spread = known.seen.mean(axis=0), known.seen.std(axis=0) + 1e-9
    fitted = Ridge(alpha=_SURFACE_STRENGTH).fit((known.seen - mean) / spread, gains)
    weights = np.asarray(fitted.coef_ / spread, np.float64)
    return Surface(weights, float(fitted.intercept_ - weights @ mean))


def fit_ensemble(labels: Labels, vectors: Floats, embedder: str) -> Ensemble:
    """From graded questions and their sentence embeddings, [questions, dimension]; `embedder` is its model's hash.

    InvalidInput where nothing can be learned.
    """
    learnable(labels)
    known, gains = looked_at(labels.prompts, vectors), labels.outcomes.strong - labels.outcomes.weak
    said = np.empty((len(known), len(EXPERTS)))
    for held_out in np.array_split(np.random.default_rng(0).permutation(len(known)), _FOLDS):
        others = np.setdiff1d(np.arange(len(known)), held_out)
        said[held_out] = _said(_fit(known.take(others), gains[others]), known.take(held_out))
    centre, spread = said.mean(axis=0), said.std(axis=0) + 1e-9
    together = ((said - centre) / spread).sum(axis=1)
    slope = max(0.0, float(together @ (gains - gains.mean()) / (together @ together + 1e-9)))
    return Ensemble(
        *_fit(known, gains), centre, spread, slope, float(gains.mean()), embedder, labels.digest, len(known)
    )


def _fit(known: Questions, gains: Floats) -> tuple[Words, Trees, Meaning, Surface]:
    return fit_words(known, gains), fit_trees(known, gains), fit_meaning(known, gains), fit_surface(known, gains)


def _said(experts: tuple[Words, Trees, Meaning, Surface], asked: Questions) -> Floats:
    """What each expert says of each question, [questions, experts]."""
    words, trees, meaning, surface = experts
    return np.column_stack(
        (
            weighed(asked.words, words.rarity) @ words.weights + words.bias,
            [trees.of(seen) for seen in asked.seen],
            meaning.nearness(asked.vectors) @ meaning.weights + meaning.bias,
            asked.seen @ surface.weights + surface.bias,
        )
    )
