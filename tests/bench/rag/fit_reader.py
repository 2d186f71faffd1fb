"""The weights of `edge/reader`, fitted to questions whose answers stand in known passages.

python -m tests.bench.rag.fit_reader --squad FILE --corpus FILE

retrieves for every question among the distractors of the corpus, as a user's question would be, and writes
`edge/reader/weights.json`. Candidates are weighed twice: `first` tells the answer from candidates at random, `last`
from those that `first` likes.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.embedder import EMBEDDERS, Embedder
from edge.reader.page import Floats, open_page, unit
from edge.reader.ranker import KEPT, WEIGHTS, Ranker
from edge.reader.reader import Reader
from edge.reader.scene import Scene
from edge.reader.vectors import DIMENSIONS, Projection, pooled
from edgewise.types import Query, Text
from router.compare.scorers import Key, exact, f1
from tests.bench.rag.filled import Filled, filled
from tests.bench.rag.sets import Asked, Given, distractors, folds, squad

_RETRIEVED = 4
_RANDOM = 120
_FIRST_STRENGTH, _LAST_STRENGTH = 15.0, 25.0  # of the L2 penalty on standardised features
_FOLDS = 6
_AXES_TEXTS = 400
_ALMOST = 0.5

Rows = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Example:
    """The candidates of one question [n, features], and which of them are the answer."""

    group: str
    names: tuple[str, ...]
    rows: Rows
    right: NDArray[np.bool_]


async def gather(filled: Filled, reader: Reader, asked: Sequence[Asked], axes: Projection) -> list[Example]:
    """One example a question, from the passages that are retrieved for it."""
    examples: list[Example] = []
    for one in asked:
        findings = await filled.retriever.retrieve(Query(text=Text(value=one.text), k=_RETRIEVED))
        places = [filled.place(passage.id) for passage in findings.passages]
        passages = [passage.text.value for passage in findings.passages]
        scene = await reader.scene(one.text, passages, axes)
        right = _right(scene, one, places)
        examples.append(Example(one.group, scene.names, scene.features.astype(np.float32), right))
    return examples


def _right(scene: Scene, asked: Asked, places: Sequence[int]) -> NDArray[np.bool_]:
    """The candidates that are the answer where it stands; failing these, those that overlap it most."""
    start, end = asked.start - 2, asked.start + len(asked.answers[0]) + 2
    likeness = np.zeros(len(scene.starts))
    for row, (a, b) in enumerate(zip(scene.starts, scene.ends, strict=True)):
        first, last = scene.page.spans[a], scene.page.spans[b - 1]
        if places[first.passage] in asked.gold and first.start < end and last.end > start:
            text = scene.page.passages[first.passage][first.start : last.end]
            is_same = exact(text, Key(asked.answers[:1]))
            likeness[row] = 2.0 if is_same else f1(text, Key(asked.answers))
    best = likeness.max(initial=0.0)
    return np.asarray(likeness >= best - 1e-9) if best >= _ALMOST else np.zeros(len(likeness), bool)


def fit(examples: Sequence[Example]) -> Ranker:
    chance = np.random.default_rng(0)
    useful = [one for one in examples if one.right.any()]
    some = [_some(one, chance) for one in useful]
    first = _softmax([one.rows[keep] for one, keep in some], [one.right[keep] for one, keep in some], _FIRST_STRENGTH)
    kept = [(one, np.argsort(-(one.rows @ first), kind="stable")[:KEPT]) for one in useful]
    kept = [(one, keep) for one, keep in kept if one.right[keep].any()]
    last = _softmax([one.rows[keep] for one, keep in kept], [one.right[keep] for one, keep in kept], _LAST_STRENGTH)
    return Ranker(useful[0].names, first, last)


def cross_fitted(examples: Sequence[Example]) -> Mapping[str, Ranker]:
    """For each article a ranker that never saw its questions."""
    rankers: dict[str, Ranker] = {}
    for held_out in folds([one.group for one in examples], _FOLDS):
        fitted = fit([one for one in examples if one.group not in held_out])
        rankers |= dict.fromkeys(held_out, fitted)
    return rankers


def _some(example: Example, chance: np.random.Generator) -> tuple[Example, NDArray[np.int64]]:
    """The right candidates, and some at random."""
    count = len(example.right)
    return example, np.union1d(np.flatnonzero(example.right), chance.choice(count, min(_RANDOM, count), replace=False))


def _softmax(groups: Sequence[Rows], rights: Sequence[NDArray[np.bool_]], strength: float) -> Floats:
    """Weights that give the right rows of each group the most probability together."""
    from scipy.optimize import minimize

    rows = np.concatenate(groups)
    deviation = rows.std(0).astype(np.float64)
    deviation[deviation < 1e-6] = np.inf
    scaled = (rows - rows.mean(0)) / deviation.astype(np.float32)
    right = np.concatenate(rights).astype(np.float64)
    sizes = np.asarray([len(one) for one in groups])
    starts = np.concatenate(([0], np.cumsum(sizes)[:-1]))
    group = np.repeat(np.arange(len(sizes)), sizes)

    def loss(weights: Floats) -> tuple[float, Floats]:
        z = (scaled @ weights.astype(np.float32)).astype(np.float64)
        shares = np.exp(z - np.maximum.reduceat(z, starts)[group])
        shares /= np.add.reduceat(shares, starts)[group]
        good = np.maximum(np.add.reduceat(shares * right, starts), 1e-300)
        slope = scaled.T @ (shares * right / good[group] - shares).astype(np.float32)
        return float(-np.log(good).sum() + strength / 2 * weights @ weights), strength * weights - slope

    found = minimize(loss, np.zeros(rows.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 150})
    return np.asarray(found.x / deviation, np.float64)


async def axes_of(embedder: Embedder, given: Sequence[Given]) -> Projection:
    """The principal axes of the vectors of words; zeros for an embedder that has none."""
    if not embedder.has_words:
        return Projection(np.zeros(embedder.dimension), np.zeros((DIMENSIONS, embedder.dimension)))
    rows: list[Floats] = []
    for passage in given[:_AXES_TEXTS]:
        spans = [(place.start, place.end) for place in open_page("", [passage.text]).spans]
        if spans:
            rows.append(unit(pooled(*await embedder.embed_words(passage.text), spans))[::3])
    vectors = np.vstack(rows)
    mean = vectors.mean(0)
    return Projection(mean, np.linalg.svd(vectors - mean, full_matrices=False)[2][:DIMENSIONS])


async def _all(squad_path: Path, corpus: Path) -> dict[str, object]:
    questions, others = squad(squad_path), distractors(corpus)
    rankers: dict[str, Ranker] = {}
    axes: Projection | None = None
    for name in EMBEDDERS:
        embedder = await asyncio.to_thread(Embedder.open, name, words=True)
        own_axes = await axes_of(embedder, others)
        axes = axes or own_axes
        with tempfile.TemporaryDirectory() as folder:
            async with filled(embedder, questions.passages, others, Path(folder), "sqlite") as there:
                rankers[name] = fit(await gather(there, Reader(embedder), questions.asked, own_axes))
        embedder.close()
        print(f"{name}: fitted", flush=True)
    assert axes is not None
    return {
        "projection": {"mean": _rounded(axes.mean), "axes": [_rounded(axis) for axis in axes.axes]},
        "rankers": {
            name: {"names": one.names, "first": _rounded(one.first), "last": _rounded(one.last)}
            for name, one in rankers.items()
        },
    }


def _rounded(values: Floats) -> list[float]:
    return [float(f"{value:.4g}") for value in values]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--squad", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, required=True)
    arguments = parser.parse_args()
    paths = (arguments.squad, arguments.corpus)
    fitted_on = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    kept = {"fitted_on": fitted_on, **asyncio.run(_all(*paths))}
    WEIGHTS.write_text(json.dumps(kept) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
