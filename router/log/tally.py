"""The records added up by mode."""

from __future__ import annotations

import math
from collections.abc import Sequence

import sqlalchemy as sql

from edgewise.types import CostBasis, Value
from router.log.tables import grades, records

_NEWEST = 2_000


class ModeTally(Value):
    """What the answers of one mode cost and took, and how they were graded.

    `cost_usd` is their sum, None if that of any is unknown. Times are those of answers without an error; their
    percentiles are of at most the newest 2,000 of a mode, None where there is none. `graded` counts
    records, and `mean_grade` is the mean over them, each with the mean of its graders, whose latest grade counts.
    Answers that nobody saw (the shadows of an experiment) are in none of these.
    """

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
    """The known costs of `n` records since a time, and how many have an unknown one. `cost_basis` is the weakest.

    `shadows` of them are shadow answers: somebody pays for these, too.
    """

    since: str
    n: int
    known_usd: float
    unknown: int
    shadows: int
    cost_basis: CostBasis | None


def spend(connection: sql.Connection, since: str) -> Spend:
    is_wanted = records.c.created_at >= since if since else sql.true()
    shadows = sql.func.sum(sql.case((records.c.shadow_of != "", 1), else_=0))
    sums = sql.select(sql.func.count(), sql.func.count(records.c.cost_usd), sql.func.sum(records.c.cost_usd), shadows)
    n, known, usd, shadowed = connection.execute(sums.select_from(records).where(is_wanted)).one()
    bases = connection.execute(sql.select(records.c.cost_basis).distinct().where(is_wanted)).scalars()
    weakest = CostBasis.weakest(CostBasis(basis) if basis else None for basis in bases)
    return Spend(since=since, n=n, known_usd=usd or 0.0, unknown=n - known, shadows=shadowed or 0, cost_basis=weakest)


def tally(connection: sql.Connection, since: str) -> tuple[ModeTally, ...]:
    """By the names of the modes."""
    is_wanted = sql.and_(records.c.shadow_of == "", records.c.created_at >= since if since else sql.true())
    latest = sql.select(sql.func.max(grades.c.seq)).group_by(grades.c.record_id, grades.c.grader)
    by_record = (
        sql.select(grades.c.record_id, sql.func.avg(grades.c.score).label("score"))
        .where(grades.c.seq.in_(latest))
        .group_by(grades.c.record_id)
        .subquery()
    )
    sums = connection.execute(
        sql.select(
            records.c.mode,
            sql.func.count().label("n"),
            sql.func.sum(sql.case((records.c.error != "", 1), else_=0)).label("errors"),
            sql.func.sum(sql.case((records.c.degraded, 1), else_=0)).label("degraded"),
            sql.func.sum(records.c.cost_usd).label("cost_usd"),
            sql.func.count(records.c.cost_usd).label("costs"),
            sql.func.count(by_record.c.score).label("graded"),
            sql.func.avg(by_record.c.score).label("mean_grade"),
        )
        .outerjoin_from(records, by_record, by_record.c.record_id == records.c.record_id)
        .where(is_wanted)
        .group_by(records.c.mode)
        .order_by(records.c.mode)
    ).all()
    tallies = []
    for row in sums:
        times = connection.execute(
            sql.select(records.c.total_s, records.c.first_kept_s)
            .where(is_wanted, records.c.mode == row.mode, records.c.error == "")
            .order_by(records.c.created_at.desc())
            .limit(_NEWEST)
        ).all()
        totals = sorted(time.total_s for time in times)
        firsts = sorted(time.first_kept_s for time in times if time.first_kept_s is not None)
        tallies.append(
            ModeTally(
                mode=row.mode,
                n=row.n,
                errors=row.errors,
                degraded=row.degraded,
                cost_usd=row.cost_usd if row.costs == row.n else None,
                total_s_p50=_percentile(totals, 0.5),
                total_s_p95=_percentile(totals, 0.95),
                first_kept_s_p50=_percentile(firsts, 0.5),
                graded=row.graded,
                mean_grade=row.mean_grade,
            )
        )
    return tuple(tallies)


def _percentile(ordered: Sequence[float], share: float) -> float | None:
    """Linearly interpolated, as a comparison's are."""
    if not ordered:
        return None
    place = share * (len(ordered) - 1)
    low, high = ordered[math.floor(place)], ordered[math.ceil(place)]
    return low + (high - low) * (place % 1)
