"""How each mode has done lately and what was spent, counted over the newest records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from edgewise.types import CostBasis, Record, Value
from router.service import Router

_LOOKED_AT = 1000


class ModeTally(Value):
    """One mode's records. Times are of answers that did not fail; `cost_usd` is their sum, None if one is unknown."""

    mode: str
    n: int
    errors: int
    degraded: int
    cost_usd: float | None
    total_s_p50: float | None
    total_s_p95: float | None
    first_kept_s_p50: float | None
    graded: int
    mean_grade: float | None


class Spend(Value):
    """The known costs of the records since a time, and how many have an unknown one. `cost_basis` is the weakest."""

    since: str
    n: int
    known_usd: float
    unknown: int
    cost_basis: CostBasis | None


async def newest(router: Router, since: str) -> tuple[tuple[Record, ...], str]:
    """The records since an RFC 3339 time in UTC, and the time that they really go back to.

    That is later than `since` when there are more than a thousand: then only these are looked at.
    """
    found = await router.records(limit=_LOOKED_AT)
    kept = tuple(record for record in found if record.created_at >= since)
    return kept, kept[-1].created_at if len(kept) == _LOOKED_AT else since


def tallies(records: Iterable[Record]) -> tuple[ModeTally, ...]:
    """By mode, the most used one first."""
    by_mode: dict[str, list[Record]] = {}
    for record in records:
        by_mode.setdefault(record.mode, []).append(record)
    return tuple(
        _tally(mode, found) for mode, found in sorted(by_mode.items(), key=lambda item: (-len(item[1]), item[0]))
    )


def spend(records: Iterable[Record], since: str, known_since: str) -> Spend:
    """Of the records since a time, or since `known_since` where that is later."""
    since = max(since, known_since)
    counted = [record for record in records if record.created_at >= since]
    return Spend(
        since=since,
        n=len(counted),
        known_usd=sum(record.cost_usd or 0.0 for record in counted),
        unknown=sum(record.cost_usd is None for record in counted),
        cost_basis=CostBasis.weakest(record.cost_basis for record in counted),
    )


def mean_grade(record: Record) -> float | None:
    """The mean over its graders; of each, the latest grade counts."""
    latest = {grade.grader: grade.score for grade in record.grades}
    return sum(latest.values()) / len(latest) if latest else None


def _tally(mode: str, records: Sequence[Record]) -> ModeTally:
    ended = [record for record in records if not record.error]
    costs = [record.cost_usd for record in records]
    grades = [grade for grade in map(mean_grade, records) if grade is not None]
    totals = [record.total_s for record in ended]
    return ModeTally(
        mode=mode,
        n=len(records),
        errors=len(records) - len(ended),
        degraded=sum(record.degraded for record in records),
        cost_usd=None if None in costs else sum(cost or 0.0 for cost in costs),
        total_s_p50=_quantile(totals, 0.5),
        total_s_p95=_quantile(totals, 0.95),
        first_kept_s_p50=_quantile([at for record in ended if (at := record.first_kept_s) is not None], 0.5),
        graded=len(grades),
        mean_grade=sum(grades) / len(grades) if grades else None,
    )


def _quantile(values: Sequence[float], share: float) -> float | None:
    return float(np.quantile(values, share)) if values else None
