"""Columns that SQL filters and adds up by, filled from the JSON of old rows; grades that can be written twice, once.

The table of records is made anew, because SQLite reads through a long value to get at the columns behind it.
"""

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sql
from alembic import op

revision = "0002"
down_revision = "0001"

_BATCH = 500
# Copied as they are, with what an old record without them means.
_FROM_JSON: Mapping[str, object] = {
    "user_id": "", "author": None, "privacy": "UNKNOWN", "grounding": None, "degraded": False, "cost_usd": None,
    "cost_basis": None, "total_s": 0.0, "first_kept_s": None, "policy_version": "", "experiment": "", "arm": "",
    "shadow_of": "",
}  # fmt: skip
_KEPT = ("record_id", "app", "request_id", "conversation_id", "mode", "error", "created_at", "value")


def upgrade() -> None:
    connection = op.get_bind()
    op.rename_table("records", "records_before")
    for index in ("ix_records_conversation_id", "ix_records_mode", "records_by_request"):
        op.drop_index(index, "records_before")
    records = op.create_table("records", *_columns())
    before = sql.table("records_before", *map(sql.column, ("seq", *_KEPT)))
    last = 0
    while (
        rows := connection.execute(sql.select(before).where(before.c.seq > last).order_by(before.c.seq).limit(_BATCH))
        .mappings()
        .all()
    ):
        connection.execute(records.insert(), [_filled(row) for row in rows])
        last = rows[-1]["seq"]
    op.drop_table("records_before")
    op.create_index("records_by_id", "records", ["record_id"], unique=True)
    op.create_index("records_by_request", "records", ["app", "request_id"])
    op.create_index("records_by_conversation", "records", ["conversation_id"])
    op.create_index("records_by_mode", "records", ["mode"])
    op.create_index("records_by_time", "records", ["created_at"])
    # All that a sum by mode needs, so that it reads no record.
    op.create_index(
        "records_to_add_up",
        "records",
        ["mode", "created_at", "shadow_of", "error", "degraded", "cost_usd", "record_id"],
    )
    for index, columns in (("records_by_experiment", ["experiment", "arm"]), ("records_by_shadow", ["shadow_of"])):
        given = sql.text(f"{columns[0]} <> ''")
        op.create_index(index, "records", columns, sqlite_where=given, postgresql_where=given)
    _upgrade_grades(connection)


def _columns() -> tuple[sql.Column[Any], ...]:
    # Times are compared as text: by their characters, whatever the language of a server.
    moment = sql.Text().with_variant(sql.Text(collation="C"), "postgresql")
    return (
        sql.Column("seq", sql.Integer, primary_key=True, autoincrement=True),
        sql.Column("record_id", sql.Text, nullable=False),
        sql.Column("app", sql.Text, nullable=False),
        sql.Column("request_id", sql.Text, nullable=False),
        sql.Column("user_id", sql.Text, nullable=False),
        sql.Column("conversation_id", sql.Text, nullable=False),
        sql.Column("created_at", moment, nullable=False),
        sql.Column("mode", sql.Text, nullable=False),
        sql.Column("author", sql.Text),
        sql.Column("privacy", sql.Text, nullable=False),
        sql.Column("grounding", sql.Text),
        sql.Column("error", sql.Text, nullable=False),
        sql.Column("degraded", sql.Boolean, nullable=False),
        sql.Column("cost_usd", sql.Float),
        sql.Column("cost_basis", sql.Text),
        sql.Column("total_s", sql.Float, nullable=False),
        sql.Column("first_kept_s", sql.Float),
        sql.Column("policy_version", sql.Text, nullable=False),
        sql.Column("experiment", sql.Text, nullable=False),
        sql.Column("arm", sql.Text, nullable=False),
        sql.Column("shadow_of", sql.Text, nullable=False),
        sql.Column("has_content", sql.Boolean, nullable=False),
        sql.Column("value", sql.Text, nullable=False),
    )


def _upgrade_grades(connection: sql.Connection) -> None:
    op.add_column("grades", sql.Column("grade_id", sql.Text))
    op.add_column("grades", sql.Column("grader", sql.Text))
    op.add_column("grades", sql.Column("score", sql.Float))
    grades = sql.table("grades", *map(sql.column, ("seq", "value", "grader", "score")))
    for seq, value in connection.execute(sql.select(grades.c.seq, grades.c.value)).all():
        known = _parsed(value)
        columns = {"grader": known.get("grader"), "score": known.get("score")}
        connection.execute(grades.update().where(grades.c.seq == seq), columns)
    op.create_index("grades_by_id", "grades", ["grade_id"], unique=True)


def _filled(row: sql.RowMapping) -> dict[str, object]:
    known = _parsed(row["value"])
    filled = {name: default if known.get(name) is None else known[name] for name, default in _FROM_JSON.items()}
    return {**{name: row[name] for name in _KEPT}, **filled, "has_content": True}


def _parsed(value: str) -> dict[str, Any]:
    """Of a value that cannot be read nothing is known; it is kept, and reading it says so, as before."""
    try:
        parsed = json.loads(value)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
