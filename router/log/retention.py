"""How long records are kept: what is too old goes, with its calls and grades."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sql

from router.log.tables import calls, grades, records

# A transaction of its own each, so that a long farewell keeps no record waiting.
BATCH = 500


@dataclass(frozen=True, slots=True)
class Keep:
    """At most so many days, and so many records; None is for ever, and all. A record without a time has no age."""

    days: float | None = None
    records: int | None = None


def expire_some(connection: sql.Connection, before: str, most: int | None) -> int:
    """Removes some of the records from `before` a time (empty: none), and of those beyond the newest `most`."""
    old = []
    if before:
        old.append(sql.and_(records.c.created_at != "", records.c.created_at < before))
    if most is not None:
        newest = sql.select(records.c.seq).order_by(records.c.seq.desc()).offset(most).limit(1)
        last = connection.scalar(newest)
        if last is not None:
            old.append(records.c.seq <= last)
    if not old:
        return 0
    found = sql.select(records.c.record_id).where(sql.or_(*old)).order_by(records.c.seq).limit(BATCH)
    ids = list(connection.execute(found).scalars())
    for table in (grades, calls, records):
        connection.execute(table.delete().where(table.c.record_id.in_(ids)))
    return len(ids)
