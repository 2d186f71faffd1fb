"""What is written into the database, on this machine or another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import sqlalchemy as sql
from sqlalchemy.dialects import sqlite

from edgewise.types import Grade
from router.log.backlog import Line
from router.log.egress import Kept, grade_without_content, released
from router.log.reading import unknown
from router.log.tables import call_rows, calls, grade_row, grades, record_row, records

# Made once: SQLAlchemy takes as long to make one as to run it.
_ADD_RECORD, _ADD_CALL, _ADD_GRADE = records.insert(), calls.insert(), grades.insert()
_ROWS_AT_ONCE = 50


def put(connection: sql.Connection, lines: Sequence[Line], *, elsewhere: bool) -> None:
    """Lines that are new. A database that is `elsewhere` gets what `egress` releases."""
    kept = [
        released(line.record, line.calls) if elsewhere else Kept(line.record, line.calls, has_content=True)
        for line in lines
        if line.record is not None
    ]
    if kept:
        _add(connection, _ADD_RECORD, [record_row(one.record, has_content=one.has_content) for one in kept])
    if made := [row for one in kept for row in call_rows(one.record.record_id, one.calls)]:
        _add(connection, _ADD_CALL, made)
    for line in lines:
        if line.grade is not None:
            _put_grade(connection, line.grade, line.grade_id, elsewhere=elsewhere)


def _add(connection: sql.Connection, insert: sql.Insert, rows: Sequence[Mapping[str, object]]) -> None:
    """Every answer is written, and SQLite is faster than SQLAlchemy's way to it.

    All rows in one statement: Python's sqlite3 gives the interpreter's lock away several times for each that it runs.
    """
    if connection.dialect.name != "sqlite":
        connection.execute(insert, rows)
        return
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        some = rows[start : start + _ROWS_AT_ONCE]
        statement, columns = _of_sqlite(insert, len(some))
        connection.connection.cursor().execute(statement, [row[column] for row in some for column in columns])


@cache
def _of_sqlite(insert: sql.Insert, count: int) -> tuple[str, tuple[str, ...]]:
    """The statement for so many rows, and the columns whose values it takes, row by row."""
    columns = tuple(column.name for column in insert.table.columns if column.name != "seq")
    one = str(insert.compile(dialect=sqlite.dialect(), column_keys=columns))
    return one + (", (" + ", ".join("?" * len(columns)) + ")") * (count - 1), columns


def _put_grade(connection: sql.Connection, grade: Grade, grade_id: str, *, elsewhere: bool) -> None:
    has_content = connection.scalar(sql.select(records.c.has_content).where(records.c.record_id == grade.record_id))
    if has_content is None:  # it was forgotten a moment ago
        raise unknown(grade.record_id)
    kept = grade if not elsewhere or has_content else grade_without_content(grade)
    connection.execute(_ADD_GRADE, grade_row(kept, grade_id))


def put_missing(connection: sql.Connection, lines: Sequence[Line], *, elsewhere: bool) -> tuple[Line, ...]:
    """Those of some lines that are not there yet, in their order. Returns the grades whose record is gone."""
    orphans = []
    for line in lines:
        if line.record is not None:
            if not _has(connection, records.c.record_id, line.record.record_id):
                put(connection, (line,), elsewhere=elsewhere)
        elif line.grade is not None and not _has(connection, records.c.record_id, line.grade.record_id):
            orphans.append(line)
        elif not _has(connection, grades.c.grade_id, line.grade_id):
            put(connection, (line,), elsewhere=elsewhere)
    return tuple(orphans)


def _has(connection: sql.Connection, column: sql.Column[str], key: str) -> bool:
    return connection.scalar(sql.select(sql.literal(1)).where(column == key).limit(1)) is not None
