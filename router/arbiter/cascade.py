"""Before and after together: a draft is written only where it may well stay (as in Dekoninck et al. 2024)."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from edgewise.errors import InvalidInput
from router.arbiter.metrics import Floats

_KEPT = 41


@dataclass(frozen=True, slots=True)
class Both:
    """What the cloud is expected to gain once a draft is seen: `base + of_gain * gain + of_trust * trust`.

    `changes` are how much that differed from what was expected before, at even quantiles over graded questions.
    """

    base: float
    of_gain: float
    of_trust: float
    changes: tuple[float, ...]

    def after(self, gain: float, trust: float | None) -> float:
        """An answer of which nothing can be told is taken for wrong."""
        return self.base + self.of_gain * gain + self.of_trust * (trust or 0.0)

    def worth(self, gain: float, threshold: float) -> float:
        """What a draft is expected to save, in gain, by turning out better than asking the cloud is worth.

        The mean of max(0, threshold - gain after the draft).
        """
        return float(np.maximum(0.0, threshold - gain - np.array(self.changes)).mean())

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Both:
        """InvalidInput for what is no such file."""
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            changes = tuple(map(float, found["changes"]))
            both = cls(float(found["base"]), float(found["of_gain"]), float(found["of_trust"]), changes)
            if changes and np.isfinite((both.base, both.of_gain, both.of_trust, *changes)).all():
                return both
            raise ValueError("it has no numbers to go by")
        except (OSError, ValueError, TypeError, KeyError, ArithmeticError, RecursionError):
            raise InvalidInput(f"{path} is damaged; train it again: edgewise train post") from None


SUPPOSED = Both(1.0, 0.0, -1.0, tuple(float(change) for change in np.linspace(-0.6, 0.6, _KEPT)))
"""Before anything was learned: the cloud is right, and a draft may change much."""


def fit_both(gains: Floats, trust: Floats, came_true: Floats) -> Both:
    """By least squares from what was expected of graded questions by weights that had not seen them, [questions]."""
    rows = np.column_stack([np.ones_like(gains), gains, trust])
    base, of_gain, of_trust = np.linalg.solve(rows.T @ rows + np.diag([0.0, 1.0, 1.0]), rows.T @ came_true)
    changes = rows @ np.array([base, of_gain, of_trust]) - gains
    kept = np.quantile(changes, (np.arange(_KEPT) + 0.5) / _KEPT)
    return Both(float(base), float(of_gain), float(of_trust), tuple(map(float, kept)))
