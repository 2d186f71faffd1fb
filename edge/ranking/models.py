"""How relevant a passage is, and whether an answer is there at all: two logistic models with fitted weights.

`weights.json` comes from `python -m tests.bench.rag.fit`, which says what it was fitted on. There is one pair of models
for each embedder, because cosines of two embedders mean different things, and one for a search without vectors.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from edge.ranking.features import NAMES

_HIGHEST = ("cosine", "coverage", "sentence_coverage")
GATE_NAMES = (
    *(f"best_{name}" for name in NAMES),
    "relevance",
    "lead",
    "is_nearest",
    "is_first_by_words",
    *(f"highest_{name}" for name in _HIGHEST),
    "cosine_outlier",
    "lexical_outlier",
    "cosine_lead",
    "lexical_lead",
    "cosine_crowd",
    "lexical_crowd",
)
WITHOUT_VECTORS = "none"
WEIGHTS = Path(__file__).with_name("weights.json")
# The tail of a search, to which its best hit is compared: the rest of what it found.
_HEAD, _TAIL = 10, 100


@dataclass(frozen=True, slots=True)
class Logistic:
    weights: tuple[float, ...]
    bias: float

    def logit(self, values: Sequence[float]) -> float:
        return self.bias + sum(weight * value for weight, value in zip(self.weights, values, strict=True))


@dataclass(frozen=True, slots=True)
class Models:
    relevance: Logistic
    gate: Logistic


def probability(logit: float) -> float:
    return 1 / (1 + math.exp(-logit)) if logit > -700 else 0.0


@cache
def models(embedder: str) -> Models:
    """Those for an embedder of the catalogue; of one that is not known, its cosines are left out of account."""
    kept = json.loads(WEIGHTS.read_text(encoding="utf-8"))["models"]
    chosen = kept.get(embedder) or kept[WITHOUT_VECTORS]
    return Models(*(Logistic(tuple(chosen[name]["weights"]), chosen[name]["bias"]) for name in ("relevance", "gate")))


def gate_features(
    rows: Sequence[Sequence[float]], relevance: Logistic, cosines: Sequence[float], scores: Sequence[float]
) -> tuple[float, ...]:
    """The numbers of `GATE_NAMES` for the features of some passages; `cosines` and BM25 `scores` are best first.

    A passage that others refer to is half of an answer at best, so here that does not count for it.
    """
    direct = [tuple(0.0 if name == "linked" else value for name, value in zip(NAMES, row, strict=True)) for row in rows]
    (logit, best), *others = sorted(((relevance.logit(row), row) for row in direct), reverse=True)
    highest = {name: max(row[place] for row in direct) for place, name in enumerate(NAMES)}
    return (
        *best,
        logit,
        logit - others[0][0] if others else 1.0,
        *(float(best[NAMES.index(name)] == highest[name]) for name in ("dense_rank", "lexical_rank")),
        *(highest[name] for name in _HIGHEST),
        _outlier(cosines),
        _outlier(scores),
        _lead(cosines, 1.0),
        _lead(scores, scores[0] if scores else 1.0),
        *(min(len(found), _TAIL) / _TAIL for found in (cosines, scores)),
    )


def _outlier(scores: Sequence[float]) -> float:
    """How far the best stands out from the rest of a search, in standard deviations of that; 0 if it is too small."""
    tail = scores[_HEAD:_TAIL]
    if len(tail) < _HEAD:
        return 0.0
    mean = sum(tail) / len(tail)
    deviation = math.sqrt(sum((score - mean) ** 2 for score in tail) / len(tail))
    return (scores[0] - mean) / (deviation + 1e-3)


def _lead(scores: Sequence[float], unit: float) -> float:
    """How far the best is ahead of the fifth; 0 if there is none."""
    return (scores[0] - scores[4]) / unit if len(scores) > 4 else 0.0
