"""An arbiter that a test can foresee: trust rises with the mean log-probability, and the cloud always gains 0.5."""

from __future__ import annotations

import numpy as np

from router.arbiter import answers, features
from router.arbiter.arbiter import Arbiter, Models
from router.arbiter.calibration import Sigmoid, Slope
from router.arbiter.ensemble import About, Domain, Ensemble
from router.arbiter.experts import Line
from router.config import RouterSettings

GAIN = 0.5
_NEVER = Domain(0.0, 0.3)
_PLAIN = (np.zeros(1), np.ones(1), np.ones(1))  # centre, spread and weight of one expert


def an_arbiter(settings: RouterSettings) -> Arbiter:
    return Arbiter(Models(_gain(), _trust("logprobs"), _trust("logprobs", "samples")), settings)


def _gain() -> Ensemble:
    line = Line(np.zeros(len(features.NAMES)), np.zeros(len(features.NAMES)), 0.0)
    held_out = np.column_stack([np.linspace(0, 1, 101), np.linspace(0, 1, 101)])
    about = About("gain", features.NAMES, "an embedder", "nothing", 101)
    return Ensemble({"line": line}, *_PLAIN, Slope(0.0, GAIN), _NEVER, held_out, about)


def _trust(*groups: str) -> Ensemble:
    names = answers.names_of(groups)
    weights = np.array([float(name == "mean logprob") for name in names])
    held_out = np.column_stack([np.linspace(0, 1, 101), np.linspace(0, 1, 101) > 0.5])
    about = About("trust", names, "an embedder", "nothing", 101, groups)
    line = Line(weights, np.zeros(len(names)), 0.0)
    return Ensemble({"line": line}, *_PLAIN, Sigmoid(5.0, 2.7), _NEVER, held_out, about)
