"""The tables as Edgewise made them before it kept versions of them. In a database of that time they are there."""

import sqlalchemy as sql
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "records",
        sql.Column("seq", sql.Integer, primary_key=True, autoincrement=True),
        sql.Column("record_id", sql.Text, unique=True, nullable=False),
        sql.Column("app", sql.Text, nullable=False),
        sql.Column("request_id", sql.Text, nullable=False),
        sql.Column("conversation_id", sql.Text, nullable=False),
        sql.Column("mode", sql.Text, nullable=False),
        sql.Column("error", sql.Text, nullable=False),
        sql.Column("created_at", sql.Text, nullable=False),
        sql.Column("value", sql.Text, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "calls",
        sql.Column("seq", sql.Integer, primary_key=True, autoincrement=True),
        sql.Column("record_id", sql.Text, nullable=False),
        sql.Column("key", sql.Text, nullable=False),
        sql.Column("side", sql.Text, nullable=False),
        sql.Column("kind", sql.Text, nullable=False),
        sql.Column("value", sql.Text, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "grades",
        sql.Column("seq", sql.Integer, primary_key=True, autoincrement=True),
        sql.Column("record_id", sql.Text, nullable=False),
        sql.Column("value", sql.Text, nullable=False),
        if_not_exists=True,
    )
    for table, columns, name in (
        ("records", ("conversation_id",), "ix_records_conversation_id"),
        ("records", ("mode",), "ix_records_mode"),
        ("records", ("app", "request_id"), "records_by_request"),
        ("calls", ("record_id",), "ix_calls_record_id"),
        ("calls", ("key",), "ix_calls_key"),
        ("grades", ("record_id",), "ix_grades_record_id"),
    ):
        op.create_index(name, table, columns, if_not_exists=True)
