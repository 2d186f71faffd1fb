"""Before anything is generated: how much would the cloud gain over the edge on this question?

The gain, P(cloud right) - P(edge right), is what a decision needs; difficulty is not, because both may fail. This
default has hand-set weights over surface features, so that the mode works before any training.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

_QUESTION_OF_THOUGHT = re.compile(r"\b(why|how|explain|compare|derive|prove|plan|design|analy[sz]e)\b", re.IGNORECASE)
_SEVERAL_PARTS = re.compile(r"\b(and then|after that|before|both|each|respectively|if|unless)\b|;", re.IGNORECASE)
_FORMAL = re.compile(r"\d.*\d|[=^∑∫√{}]|```|\bdef \b|\bfunction\b|\bSELECT\b")
_NOT_LATIN = re.compile(r"[^\x00-\u024f\u2000-\u206f]")


_WEIGHTS: Mapping[str, float] = {"length": 0.55, "thought": 0.9, "parts": 0.6, "formal": 1.0, "not_latin": 1.5}
_BIAS = -2.2


@dataclass(frozen=True, slots=True)
class Estimate:
    """A predicted gain in [0, 1] (0.5: even odds that the cloud does better); what each feature adds to its logit."""

    gain: float
    contributions: dict[str, float]


class GainModel:
    version = "surface-1"

    def estimate(self, question: str) -> Estimate:
        """Microseconds, no model and no network."""
        features = surface_features(question)
        contributions = {name: weight * features[name] for name, weight in _WEIGHTS.items()}
        return Estimate(_sigmoid(_BIAS + sum(contributions.values())), contributions)


def surface_features(question: str) -> dict[str, float]:
    """Length as log2(1 + words / 4), the other features in [0, 1]."""
    letters = max(len(question), 1)
    return {
        "length": math.log2(1 + len(question.split()) / 4),
        "thought": float(bool(_QUESTION_OF_THOUGHT.search(question))),
        "parts": float(bool(_SEVERAL_PARTS.search(question))),
        "formal": float(bool(_FORMAL.search(question))),
        "not_latin": len(_NOT_LATIN.findall(question)) / letters,
    }


def _sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))
