"""The tables, and a value as a row of them: whole as JSON, beside the columns that SQL looks up, adds up or sorts by.

A new field of a value needs no migration; a new column does (`migrations/`).
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sql

from edgewise.types import Grade, Record
from router.meter import SideCall

_ESCAPED = str.maketrans({"\\": "\\\\", "\0": "\\0"})


class _Escaped(sql.types.TypeDecorator[str]):
    """Text that may hold anything where a text cannot hold a character 0: that is written as `\\0`."""

    impl = sql.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, _: sql.Dialect) -> str | None:
        return None if value is None else value.translate(_ESCAPED)

    def process_result_value(self, value: str | None, _: sql.Dialect) -> str | None:
        if value is None:
            return None
        return "\\".join(part.replace("\\0", "\0") for part in value.split("\\\\"))


Words = sql.Text().with_variant(_Escaped(), "postgresql")
TABLES = sql.MetaData()
records = sql.Table(
    "records",
    TABLES,
    sql.Column("seq", sql.Integer, primary_key=True, autoincrement=True),
    sql.Column("record_id", Words, nullable=False),
    sql.Column("app", Words, nullable=False),
    sql.Column("request_id", Words, nullable=False),
    sql.Column("user_id", Words, nullable=False),
    sql.Column("conversation_id", Words, nullable=False),
    sql.Column("created_at", Words, nullable=False),
    sql.Column("mode", Words, nullable=False),
    sql.Column("author", Words),
    sql.Column("privacy", Words, nullable=False),
    sql.Column("grounding", Words),
    sql.Column("error", Words, nullable=False),
    sql.Column("degraded", sql.Boolean, nullable=False),
    sql.Column("cost_usd", sql.Float),
    sql.Column("cost_basis", Words),
    sql.Column("total_s", sql.Float, nullable=False),
    sql.Column("first_kept_s", sql.Float),
    sql.Column("policy_version", Words, nullable=False),
    sql.Column("experiment", Words, nullable=False),
    sql.Column("arm", Words, nullable=False),
    sql.Column("shadow_of", Words, nullable=False),
    sql.Column("has_content", sql.Boolean, nullable=False),
    sql.Column("value", sql.Text, nullable=False),
)
calls = sql.Table(
    "calls",
    TABLES,
    sql.Column("seq", sql.Integer, primary_key=True, autoincrement=True),
    sql.Column("record_id", Words, nullable=False),
    sql.Column("key", Words, nullable=False),
    sql.Column("side", Words, nullable=False),
    sql.Column("kind", Words, nullable=False),
    sql.Column("value", sql.Text, nullable=False),
)
grades = sql.Table(
    "grades",
    TABLES,
    sql.Column("seq", sql.Integer, primary_key=True, autoincrement=True),
    sql.Column("record_id", Words, nullable=False),
    sql.Column("grade_id", Words),
    sql.Column("grader", Words),
    sql.Column("score", sql.Float),
    sql.Column("value", sql.Text, nullable=False),
)

_COPIED = {column.name for column in records.columns} - {"seq", "has_content", "value"}


def record_row(record: Record, *, has_content: bool) -> dict[str, object]:
    return {
        **record.model_dump(mode="json", include=_COPIED),
        "has_content": has_content,
        "value": record.model_dump_json(),
    }


def call_rows(record_id: str, made: Sequence[SideCall]) -> list[dict[str, object]]:
    return [
        {"record_id": record_id, "key": call.key, "side": call.side, "kind": call.kind, "value": call.model_dump_json()}
        for call in made
    ]


def grade_row(grade: Grade, grade_id: str) -> dict[str, object]:
    return {
        "record_id": grade.record_id,
        "grade_id": grade_id,
        "grader": grade.grader,
        "score": grade.score,
        "value": grade.model_dump_json(),
    }
