"""Rows as columns of numbers, so that statistics go over all of them at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgewise.errors import InvalidInput
from router.compare.rows import Row

Metric = Literal["accuracy", "f1", "cost_usd", "latency_s", "first_kept_s", "first_shown_s"]
Numbers = NDArray[np.float64]

METRICS: dict[Metric, Callable[[Row], float | None]] = {
    "accuracy": lambda row: row.score,
    "f1": lambda row: row.f1,
    "cost_usd": lambda row: row.cost_usd,
    "latency_s": lambda row: None if row.error else row.total_s,
    "first_kept_s": lambda row: None if row.error else row.first_kept_s,
    "first_shown_s": lambda row: None if row.error else row.first_shown_s,
}
_COUNTS: dict[str, Callable[[Row], float | None]] = {
    "failed": lambda row: float(bool(row.error)),
    "ungraded": lambda row: float(row.score is None),
    "cloud_calls": lambda row: float(row.cloud_calls),
    "escalated": lambda row: float(row.cloud_generates > 0),
    "retracted": lambda row: float(row.retractions > 0),
    "flops": lambda row: row.flops,
}


@dataclass(frozen=True, slots=True)
class Columns:
    """For each metric a table (questions, modes), questions in the order of their ids. NaN: not asked, or not known.

    Failed answers have a score, but no times.
    """

    modes: tuple[str, ...]
    groups: NDArray[np.str_]  # of each question
    values: dict[str, Numbers]

    def of(self, metric: Metric, mode: str) -> Numbers:
        """What one mode has on each question. A metric of which an answer lacks the value is NaN throughout.

        A mean over the known costs alone would mislead, and so would one over some of the operations.
        """
        column = self._column(metric, mode)
        if metric == "cost_usd" and self._gaps(column, mode):
            return np.full_like(column, math.nan)
        return column

    def count(self, name: str, mode: str) -> Numbers:
        """The counts of the questions that were put to the mode; empty for `flops` if an answer lacks them."""
        column = self._column(name, mode)
        if name == "flops" and self._gaps(column, mode):
            return np.empty(0)
        return column[~np.isnan(column)]

    def part(self, group: str) -> Columns:
        """The questions of one group."""
        inside = self.groups == group
        return replace(
            self, groups=self.groups[inside], values={name: table[inside] for name, table in self.values.items()}
        )

    def asked(self, mode: str) -> bool:
        return not bool(np.isnan(self._column("failed", mode)).all())

    def _column(self, name: str, mode: str) -> Numbers:
        return self.values[name][:, self.modes.index(mode)]

    def _gaps(self, column: Numbers, mode: str) -> bool:
        return bool((np.isnan(column) & (self._column("failed", mode) == 0)).any())


def columns_of(rows: Sequence[Row], modes: Sequence[str]) -> Columns:
    """The columns of the rows of these modes. InvalidInput where a row is there twice or a number is none."""
    at_mode = {mode: at for at, mode in enumerate(modes)}
    used = [row for row in rows if row.mode in at_mode]
    ids = sorted({row.id for row in used})
    at_id = {key: at for at, key in enumerate(ids)}
    places = np.array([at_id[row.id] * len(modes) + at_mode[row.mode] for row in used], dtype=np.int64)
    _refuse_twice(used, places)
    group_of = {row.id: row.group for row in used}
    values: dict[str, Numbers] = {}
    sources: list[tuple[str, Callable[[Row], float | None]]] = [*METRICS.items(), *_COUNTS.items()]
    for name, value in sources:
        found = np.array([math.nan if (known := value(row)) is None else known for row in used], dtype=np.float64)
        _refuse_no_number(used, name, value, found)
        table = np.full(len(ids) * len(modes), math.nan)
        table[places] = found
        values[name] = table.reshape(len(ids), len(modes))
    return Columns(tuple(modes), np.array([group_of[key] for key in ids], dtype=np.str_), values)


def _refuse_twice(rows: Sequence[Row], places: NDArray[np.int64]) -> None:
    if len(np.unique(places)) == len(places):
        return
    seen: set[tuple[str, str]] = set()
    for row in rows:
        if (row.id, row.mode) in seen:
            raise InvalidInput(f"question {row.id!r} is recorded twice in mode {row.mode}; delete one of the two lines")
        seen.add((row.id, row.mode))


def _refuse_no_number(rows: Sequence[Row], name: str, value: Callable[[Row], float | None], found: Numbers) -> None:
    for at in np.flatnonzero(~np.isfinite(found)).tolist():
        if value(rows[at]) is not None:
            raise InvalidInput(
                f"the {name} of question {rows[at].id!r} in mode {rows[at].mode} is {found[at]}, not a number; "
                "delete that line to have it asked again"
            )
