"""Learning from graded questions, in seconds to minutes on a CPU. Needs scikit-learn.

How strongly each expert is held back is chosen by what it says of questions that it has not seen, all of them among
those that are learned from: whoever scores the result on other questions scores choices that never saw them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgewise.scripts import share_outside_latin
from router.arbiter import calibration
from router.arbiter.answers import groups_of, names_of, seen
from router.arbiter.arbiter import TRUST, TRUST_OF_LITTLE, TRUST_OF_SAMPLES
from router.arbiter.ensemble import About, Domain, Ensemble
from router.arbiter.experts import Expert, Line, Looks, Meaning, Trees, Words, terms, weighed
from router.arbiter.features import LOOKED_AT, NAMES, surface
from router.arbiter.labels import Labels, learnable, learnable_answers
from router.arbiter.metrics import Floats, Ints

_FOLDS = 5
_LANDMARKS, _SHARPNESS = 256, 1.0
_RATE, _LEAVES = 0.04, 4
_GROWN, _ENDS, _TRIED = 200, 100, 0.2  # trees of a forest, leaves of each, and the features that a split chooses from
_PULL = 1000.0  # questions' worth of belief that all experts count the same
_FAR = 0.01
_FOREIGN = 0.05

Setting = float
Fit = Callable[[Looks, Floats, Setting], Expert]


def looked_at(texts: Sequence[str], rows: Sequence[Sequence[float]], vectors: Floats) -> Looks:
    """`rows` are what is seen of each, `vectors` the sentence embeddings, [texts, dimension]."""
    from scipy.sparse import csr_matrix

    found = [terms(text) for text in texts]
    starts = np.concatenate(([0], np.cumsum([len(row) for row in found])))
    values = np.fromiter((value for row in found for value in row.values()), np.float64)
    known, columns = np.unique(np.fromiter((term for row in found for term in row), np.int64), return_inverse=True)
    words = csr_matrix((values, columns, starts), shape=(len(found), len(known)))
    return Looks(known, words, np.array(rows, np.float64), np.asarray(vectors, np.float64))


# --- the experts; targets are [questions, 1] or [questions, weak and strong], their difference is wanted -------------


def wanted(targets: Floats) -> Floats:
    return np.asarray(targets[:, -1] - (targets[:, 0] if targets.shape[1] > 1 else 0.0))


def fit_words(known: Looks, targets: Floats, strength: Setting) -> Words:
    from sklearn.linear_model import Ridge

    in_texts = np.bincount(known.words.indices, minlength=len(known.terms))
    often = np.flatnonzero(in_texts >= 2)
    if not len(often):
        return Words(np.zeros(1, np.int64), np.zeros(1), np.zeros(1), float(wanted(targets).mean()))
    rarity = np.log((1 + len(known)) / (1 + in_texts[often])) + 1
    rows = weighed(known.words[:, often], rarity)
    fitted = Ridge(alpha=strength, solver="lsqr", random_state=0).fit(rows, wanted(targets))
    return Words(known.terms[often], rarity, np.asarray(fitted.coef_, np.float64), float(fitted.intercept_))


def fit_trees(known: Looks, targets: Floats, count: Setting) -> Trees:
    """Boosted, each on the mistakes of those before it."""
    from sklearn.ensemble import GradientBoostingRegressor

    values = wanted(targets)
    fewest = int(np.clip(len(known) // 30, 10, 40))
    fitted = GradientBoostingRegressor(
        n_estimators=int(count), learning_rate=_RATE, max_leaf_nodes=_LEAVES, min_samples_leaf=fewest, subsample=0.7,
        max_features=0.3, random_state=0,
    ).fit(known.seen, values)  # fmt: skip
    trees = [estimator.tree_ for estimator in fitted.estimators_[:, 0]]
    return _joined(trees, [_RATE * tree.value[:, 0, 0] for tree in trees], float(values.mean()))


def fit_forest(known: Looks, targets: Floats, fewest: Setting) -> Trees:
    """Grown on both sides' quality at once, which steadies the difference."""
    from sklearn.ensemble import ExtraTreesRegressor

    fitted = ExtraTreesRegressor(
        _GROWN, min_samples_leaf=int(fewest), max_leaf_nodes=_ENDS, max_features=_TRIED, random_state=0
    ).fit(known.seen, targets if targets.shape[1] > 1 else targets[:, 0])
    trees = [estimator.tree_ for estimator in fitted.estimators_]
    return _joined(trees, [wanted(tree.value[:, :, 0]) / _GROWN for tree in trees], 0.0)


def _joined(trees: Sequence[Any], values: Sequence[Floats], bias: float) -> Trees:
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
        value=np.concatenate(values).astype(np.float64),
        depth=max(tree.max_depth for tree in trees),
        bias=bias,
    )


def fit_meaning(known: Looks, targets: Floats, strength: Setting) -> Meaning:
    values = wanted(targets)
    landmarks, bias = _landmarks(known.vectors), float(values.mean())
    near, among = (np.exp(_nearness(vectors, landmarks) - 2 * _SHARPNESS) for vectors in (known.vectors, landmarks))
    weights = np.linalg.solve(
        near.T @ near + strength * among + 1e-6 * np.eye(len(landmarks)), near.T @ (values - bias)
    )
    scaled = (2 * _SHARPNESS * landmarks).astype(np.float32)
    return Meaning(scaled, (np.exp(-2 * _SHARPNESS) * weights).astype(np.float32), bias)


def _nearness(vectors: Floats, landmarks: Floats) -> Floats:
    """As `Meaning.looked_up` has it."""
    return np.asarray(2 * _SHARPNESS * (vectors @ landmarks.T))


def _landmarks(vectors: Floats) -> Floats:
    """The different vectors, or where they are many the middles of so many groups of them, of length 1."""
    from sklearn.cluster import KMeans

    different = np.unique(vectors.round(6), axis=0)
    if len(different) <= _LANDMARKS:
        return different
    grouped = KMeans(_LANDMARKS, init="random", n_init=1, max_iter=5, random_state=0).fit(vectors.astype(np.float32))
    centres = np.asarray(grouped.cluster_centers_, np.float64)
    return np.asarray(centres / np.linalg.norm(centres, axis=1, keepdims=True))


def fit_line(known: Looks, targets: Floats, strength: Setting) -> Line:
    from sklearn.linear_model import Ridge

    mean, spread = known.seen.mean(axis=0), known.seen.std(axis=0) + 1e-9
    fitted = Ridge(alpha=strength).fit((known.seen - mean) / spread, wanted(targets))
    weights = np.asarray(fitted.coef_ / spread, np.float64)
    return Line(weights, mean, float(fitted.intercept_ - weights @ mean))


@dataclass(frozen=True, slots=True)
class _Recipe:
    fit: Fit
    settings: tuple[Setting, ...]


_RECIPES: Mapping[str, _Recipe] = {
    "words": _Recipe(fit_words, (3.0, 10.0, 30.0)),
    "trees": _Recipe(fit_trees, (75, 150)),
    "forest": _Recipe(fit_forest, (5, 10, 20)),
    "meaning": _Recipe(fit_meaning, (3.0, 10.0, 30.0)),
    "line": _Recipe(fit_line, (30.0, 100.0, 300.0, 1000.0)),
}
OF_QUESTIONS = tuple(_RECIPES)
OF_ANSWERS = ("trees", "forest", "meaning", "line")


# --- the experts together ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The experts with the settings that served unseen questions best, and what they said of those."""

    experts: dict[str, Expert]
    said: Floats


def _chosen(known: Looks, targets: Floats, names: Sequence[str], folds: Sequence[Ints]) -> _Chosen:
    experts: dict[str, Expert] = {}
    said: list[Floats] = []
    values = wanted(targets)
    for name in names:
        recipe = _RECIPES[name]
        tried = {setting: np.empty(len(known)) for setting in recipe.settings}
        for held_out in folds:
            others = np.setdiff1d(np.arange(len(known)), held_out)
            learned, asked = known.take(others), known.take(held_out)
            for setting, expected in tried.items():
                expected[held_out] = recipe.fit(learned, targets[others], setting).of_all(asked)
        best = min(tried, key=lambda setting: float(np.mean((tried[setting] - values) ** 2)))
        experts[name] = recipe.fit(known, targets, best)
        said.append(tried[best])
    return _Chosen(experts, np.column_stack(said))


def _weights(scores: Floats, values: Floats) -> Floats:
    """How much each expert counts, [experts]: what served unseen questions best, never less than nothing.

    Least squares, pulled towards experts that count the same.
    """
    from scipy.optimize import nnls

    centred = values - values.mean()
    together = scores.sum(axis=1)
    even = max(1e-6, float(together @ centred / (together @ together + 1e-9)))
    pull = np.sqrt(_PULL)
    rows = np.vstack([scores, pull * np.eye(scores.shape[1])])
    found, _ = nnls(rows, np.concatenate([centred, np.full(scores.shape[1], pull * even)]))
    return np.asarray(found) / max(1e-12, float(found.sum()))


def _scaled(chosen: _Chosen, values: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Centre, spread and weight of each expert, and the score of each question."""
    centre, spread = chosen.said.mean(axis=0), chosen.said.std(axis=0) + 1e-9
    scores = (chosen.said - centre) / spread
    weights = _weights(scores, values)
    return centre, spread, weights, scores @ weights


def _domain(texts: Sequence[str], vectors: Floats, folds: Sequence[Ints]) -> Domain:
    """Nearness is that of vectors to landmarks from the others."""
    foreign = float(np.quantile([share_outside_latin(text[:LOOKED_AT]) for text in texts], 1 - _FAR))
    near = np.empty(len(vectors))
    for held_out in folds:
        landmarks = _landmarks(vectors[np.setdiff1d(np.arange(len(vectors)), held_out)])
        near[held_out] = _nearness(vectors[held_out], landmarks).max(axis=1)
    return Domain(float(np.quantile(near, _FAR)), foreign + _FOREIGN)


def fit_gain(labels: Labels, vectors: Floats, embedder: str, pair: str = "") -> Ensemble:
    """The gain of the cloud, from graded questions and their sentence embeddings, [questions, dimension].

    `embedder` is the hash of its model. InvalidInput where nothing can be learned.
    """
    learnable(labels)
    known = looked_at(labels.prompts, [surface(prompt) for prompt in labels.prompts], vectors)
    targets = np.column_stack([labels.outcomes.weak, labels.outcomes.strong])
    folds = _folds(len(labels))
    chosen = _chosen(known, targets, OF_QUESTIONS, folds)
    centre, spread, weights, scores = _scaled(chosen, wanted(targets))
    fitted = calibration.slope(scores, wanted(targets))
    expected = [fitted.of(float(score)) for score in scores]
    return Ensemble(
        chosen.experts, centre, spread, weights, fitted,
        _domain(labels.prompts, vectors, folds),
        np.column_stack([expected, wanted(targets)]),
        About("gain", NAMES, embedder, labels.digest, len(labels), pair=pair),
    )  # fmt: skip


def fit_trust(labels: Labels, vectors: Floats, embedder: str, pair: str = "") -> Ensemble:
    """P(right) of answers, from graded ones and the sentence embeddings of their texts, [answers, dimension].

    Answers of one group are never held against each other. InvalidInput where nothing can be learned.
    """
    answers, right = labels.answers, labels.outcomes.weak
    learnable_answers(labels)
    kinds = groups_of(answers)
    known = looked_at(labels.prompts, [seen(answer, kinds) or () for answer in answers], vectors)
    folds = _folds(len(answers), labels.groups)
    chosen = _chosen(known, right[:, None], OF_ANSWERS, folds)
    centre, spread, weights, scores = _scaled(chosen, right)
    fitted, expected = calibration.probability(scores, right, folds)
    texts = [f"{answer.question} {answer.text}" for answer in answers]
    return Ensemble(
        chosen.experts, centre, spread, weights, fitted,
        _domain(texts, vectors, folds),
        np.column_stack([expected, right]),
        About("trust", names_of(kinds), embedder, labels.digest, len(answers), kinds, pair),
    )  # fmt: skip


def fit_trusts(labels: Labels, vectors: Floats, embedder: str, pair: str = "") -> dict[str, Ensemble | None]:
    """Trust by its names in `arbiter.py`: plain, with samples, and with little; None where that is no other one."""
    plain = replace(labels, answers=tuple(replace(answer, samples=()) for answer in labels.answers))
    little = replace(plain, answers=tuple(replace(answer, entropies=(), margins=()) for answer in plain.answers))
    kinds = groups_of(labels.answers)
    return {
        TRUST: fit_trust(plain, vectors, embedder, pair),
        TRUST_OF_SAMPLES: fit_trust(labels, vectors, embedder, pair) if "samples" in kinds else None,
        TRUST_OF_LITTLE: fit_trust(little, vectors, embedder, pair) if {"logprobs", "spread"} <= set(kinds) else None,
    }


def _folds(count: int, groups: Sequence[str] = ()) -> Sequence[Ints]:
    """Of about the same size, at random; a group stays together, where there are some in each fold."""
    apart = [str(number) for number in range(count)]
    names = np.array(groups if len(set(groups)) >= 2 * _FOLDS else apart)
    unique, inverse = np.unique(names, return_inverse=True)
    place = np.random.default_rng(0).permutation(len(unique)) % _FOLDS
    return [rows for fold in range(_FOLDS) if len(rows := np.flatnonzero(place[inverse] == fold))]
