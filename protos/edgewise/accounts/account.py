"""What an account is, and how it stands."""

from __future__ import annotations

import re
from enum import StrEnum

from pydantic import Field, field_validator

from edgewise.texts import Value

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Period(StrEnum):
    """What a budget is for. Days and months are those of UTC."""

    DAY = "day"
    MONTH = "month"
    ALL = "all"


class Account(Value):
    """Who has a token, and may do what. A limit that is None is none.

    `allowed` are the models that a key may use, or the collections of an app. Times are UTC, ISO 8601.
    """

    name: str
    created_at: str = ""
    revoked_at: str | None = None
    allowed: frozenset[str] | None = None
    requests_per_minute: int | None = Field(default=None, ge=1, le=1_000_000)
    requests_per_day: int | None = Field(default=None, ge=1, le=1_000_000_000)
    tokens_per_day: int | None = Field(default=None, ge=1, le=1_000_000_000_000)
    budget_usd: float | None = Field(default=None, ge=0, le=1_000_000_000, allow_inf_nan=False)
    period: Period = Period.MONTH

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError("write at most 64 letters, digits, `.`, `_` or `-`, a letter or digit first")
        return name

    @property
    def has_quota(self) -> bool:
        """Whether its calls are counted by the day, which has to outlive this process."""
        return self.requests_per_day is not None or self.tokens_per_day is not None


class Standing(Value):
    """What an account has used in the period of its budget; in all, if it has none.

    `spent_usd` counts what was billed, and for each of the `unbilled` calls whose bill never came the most that it may
    have cost. `reserved_usd` is for calls that run now, and for those whose end nobody saw because the process was
    killed: those stand as spent.
    """

    account: Account
    calls: int
    tokens: int
    spent_usd: float
    reserved_usd: float
    unbilled: int
    calls_today: int
    tokens_today: int
    last_used_at: str | None = None
