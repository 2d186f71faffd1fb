"""The tables. Money is in billionths of a dollar, times in Unix seconds."""

from __future__ import annotations

import sqlalchemy as sql

VERSION = 1
METADATA = sql.MetaData()

ACCOUNTS = sql.Table(
    "accounts", METADATA,
    sql.Column("name", sql.String(64), primary_key=True),
    sql.Column("digest", sql.String(64), nullable=False, unique=True),
    sql.Column("created_at", sql.Float, nullable=False),
    sql.Column("revoked_at", sql.Float),
    sql.Column("last_used_at", sql.Float),
    sql.Column("allowed", sql.JSON(none_as_null=True)),
    sql.Column("requests_per_minute", sql.Integer),
    sql.Column("requests_per_day", sql.BigInteger),
    sql.Column("tokens_per_day", sql.BigInteger),
    sql.Column("budget", sql.BigInteger),
    sql.Column("period", sql.String(8), nullable=False),
)  # fmt: skip

# One row an account and a day, one a month, one in all.
USAGE = sql.Table(
    "usage", METADATA,
    sql.Column("account", sql.String(64), primary_key=True),
    sql.Column("period", sql.String(10), primary_key=True),
    sql.Column("calls", sql.BigInteger, nullable=False),
    sql.Column("tokens", sql.BigInteger, nullable=False),
    sql.Column("spent", sql.BigInteger, nullable=False),
    sql.Column("reserved", sql.BigInteger, nullable=False),
    sql.Column("unbilled", sql.BigInteger, nullable=False),
)  # fmt: skip

# `version` of the tables; `changes` of the accounts, by which other processes see that there was one; the `clock`.
FACTS = sql.Table(
    "facts", METADATA,
    sql.Column("name", sql.String(16), primary_key=True),
    sql.Column("value", sql.Float, nullable=False),
)  # fmt: skip
