"""Scores of questions that a router did not learn from, and rows of figures with their intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from router.arbiter.metrics import Floats, Interval, Ints, Outcomes, apgr, bootstrap, cpt
from tests.bench.router.baselines import SIMPLE, Known, Router, folds

Row = dict[str, Any]
_FOLDS = 5


def crossed(known: Known, router: Router, number: int = _FOLDS) -> Floats:
    """The score of every question from a router that learned from the other folds."""
    scores = np.empty(len(known))
    for held_out in folds(len(known), number):
        others = np.setdiff1d(np.arange(len(known)), held_out)
        scores[held_out] = _ranked(router(known.take(others), known.take(held_out)))
    return scores


def few(known: Known, router: Router, count: int, number: int = _FOLDS) -> Floats:
    """The same from so many questions only, drawn from the other folds."""

    def from_few(learned: Known, scored: Known) -> Floats:
        some = np.random.default_rng(count).permutation(len(learned))[:count]
        return router(learned.take(some), scored)

    return crossed(known, from_few, number)


def across(known: Known, routers: Mapping[str, Router], splits: int) -> list[Row]:
    """So many times: learned from three quarters of the groups, drawn at random, and scored on the others.

    The interval is of the mean over splits; they overlap, so it is narrower than one over new groups would be.
    """
    groups = np.array(known.labels.groups)
    areas: dict[str, list[float]] = {name: [] for name in routers}
    for split in range(splits):
        names = np.random.default_rng(split).permutation(np.unique(groups))
        is_scored = np.isin(groups, names[: max(1, len(names) // 4)])
        learned, scored = (known.take(np.flatnonzero(part)) for part in (~is_scored, is_scored))
        for name, router in routers.items():
            areas[name].append(apgr(router(learned, scored), scored.labels.outcomes))
    by_length = np.array(areas["length"])
    return [
        {
            "router": name,
            "splits": splits,
            "apgr": row(_mean(np.array(values))),
            "minus_length": row(_mean(np.array(values) - by_length)),
        }
        for name, values in areas.items()
    ]


def _mean(values: Floats) -> Interval:
    return bootstrap(lambda at: float(values[at].mean()), len(values))


def rows(scores: Mapping[str, Floats], outcomes: Outcomes, resamples: int) -> list[Row]:
    """A row a router, with its difference to the best of the simple ones, paired by question."""
    simple = {name: apgr(scores[name], outcomes) for name in SIMPLE if name in scores}
    best = max(simple, key=simple.__getitem__)
    return [
        {
            "router": name,
            "n": len(outcomes),
            "apgr": row(difference(mine, None, outcomes, resamples)),
            "cpt50": cpt(mine, outcomes, 0.5),
            "cpt80": cpt(mine, outcomes, 0.8),
            "against": best,
            "difference": row(difference(mine, scores[best], outcomes, resamples)),
        }
        for name, mine in scores.items()
    ]


def difference(mine: Floats, other: Floats | None, outcomes: Outcomes, resamples: int) -> Interval:
    """Of the areas on the same questions; the area itself where there is no other."""

    def of(at: Ints) -> float:
        some = outcomes.take(at)
        return apgr(mine[at], some) - (0.0 if other is None else apgr(other[at], some))

    return bootstrap(of, len(outcomes), resamples)


def row(interval: Interval) -> dict[str, float]:
    return {"value": interval.value, "lo": interval.lo, "hi": interval.hi}


def _ranked(scores: Floats) -> Floats:
    """Ranks in (0, 1), so that the scores of different folds are on one scale; ties stay ties."""
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts - 1) / 2
    return np.asarray(middle[inverse] / (len(scores) + 1))
