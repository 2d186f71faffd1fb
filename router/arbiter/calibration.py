"""From a score to what is to be expected: a gain by a line, a probability by Platt's sigmoid or an isotonic curve.

Of the two, the one is taken whose probabilities have the lower Brier score on answers that it was not fitted on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from router.arbiter.metrics import Floats, Ints, brier


@dataclass(frozen=True, slots=True)
class Slope:
    """`mean` at a score of 0."""

    slope: float
    mean: float

    def of(self, score: float) -> float:
        return self.mean + self.slope * score


@dataclass(frozen=True, slots=True)
class Sigmoid:
    """Platt 1999."""

    slope: float
    offset: float

    def of(self, score: float) -> float:
        return 1 / (1 + math.exp(-max(-500.0, min(500.0, self.slope * score + self.offset))))


@dataclass(frozen=True, slots=True)
class Steps:
    """An isotonic curve, straight between its points (Zadrozny and Elkan 2002)."""

    scores: Floats
    probabilities: Floats

    def of(self, score: float) -> float:
        return float(np.interp(score, self.scores, self.probabilities))


Calibration = Slope | Sigmoid | Steps
KINDS: dict[str, type[Calibration]] = {"slope": Slope, "sigmoid": Sigmoid, "steps": Steps}


def slope(scores: Floats, values: Floats) -> Slope:
    """By least squares; flat where a higher score means a lower value."""
    centred = scores - scores.mean()
    steep = max(0.0, float(centred @ (values - values.mean()) / (centred @ centred + 1e-9)))
    return Slope(steep, float(values.mean()) - steep * float(scores.mean()))


def sigmoid(scores: Floats, right: Floats) -> Sigmoid:
    """By Newton's method, with Platt's smoothed targets: no probability is 0 or 1."""
    good, bad = right.sum(), len(right) - right.sum()
    target = np.where(right > 0.5, (good + 1) / (good + 2), 1 / (bad + 2))
    inputs = np.column_stack([scores, np.ones_like(scores)])
    weights = np.array([0.0, math.log((good + 1) / (bad + 1))])
    for _ in range(50):
        predicted = 1 / (1 + np.exp(-np.clip(inputs @ weights, -30, 30)))
        curvature = inputs.T @ (inputs * (predicted * (1 - predicted))[:, None]) + 1e-9 * np.eye(2)
        weights = weights + np.linalg.solve(curvature, inputs.T @ (target - predicted))
    return Sigmoid(float(weights[0]), float(weights[1]))


def steps(scores: Floats, right: Floats) -> Steps:
    """Pooled until nothing falls; ends with too few answers to be sure stay away from 0 and 1."""
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression().fit(scores, right)
    points, heights = np.asarray(fitted.X_thresholds_, np.float64), np.asarray(fitted.y_thresholds_, np.float64)
    least = 1 / (len(right) + 2)
    return Steps(points, np.clip(heights, least, 1 - least))


def probability(scores: Floats, right: Floats, folds: Sequence[Ints]) -> tuple[Sigmoid | Steps, Floats]:
    """The better of the two, and for each answer the probability by one that was fitted without its fold."""
    held_out: dict[str, Floats] = {}
    kinds: dict[str, Callable[[Floats, Floats], Sigmoid | Steps]] = {"sigmoid": sigmoid, "steps": steps}
    for name, fit in kinds.items():
        held_out[name] = np.empty(len(scores))
        for fold in folds:
            others = np.setdiff1d(np.arange(len(scores)), fold)
            fitted = fit(scores[others], right[others])
            held_out[name][fold] = [fitted.of(float(score)) for score in scores[fold]]
    best = min(kinds, key=lambda name: brier(held_out[name], right))
    return kinds[best](scores, right), held_out[best]
