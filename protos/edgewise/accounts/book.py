"""What one transaction reads and changes: each row is read once and written once, however many calls touch it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sql

from edgewise.accounts.account import Account, Period, Standing
from edgewise.accounts.moments import Clock, key, stamp
from edgewise.accounts.money import nanos, usd
from edgewise.accounts.tables import ACCOUNTS, FACTS, USAGE
from edgewise.errors import NotFound


@dataclass(slots=True)
class Usage:
    calls: int = 0
    tokens: int = 0
    spent: int = 0
    reserved: int = 0
    unbilled: int = 0


class Book:
    """Open while a transaction is; `write` is its end."""

    def __init__(self, connection: sql.Connection, clock: Clock) -> None:
        self._connection = connection
        clock.saw(self._fact("clock"))
        self.now = clock.now()
        self._accounts: dict[str, Account | None] = {}
        self._usage: dict[tuple[str, str], Usage] = {}
        self._new: set[tuple[str, str]] = set()

    def account(self, name: str) -> Account | None:
        """As it is now, locked where the database locks rows; None for one that is not there, or was revoked."""
        if name not in self._accounts:
            wanted = sql.select(ACCOUNTS).where(ACCOUNTS.c.name == name).with_for_update()
            row = self._connection.execute(wanted).mappings().first()
            self._accounts[name] = account_of(row) if row is not None and row["revoked_at"] is None else None
        return self._accounts[name]

    def usage(self, name: str, period: str) -> Usage:
        """To be changed in place."""
        place = (name, period)
        if place not in self._usage:
            wanted = sql.select(USAGE).where(USAGE.c.account == name, USAGE.c.period == period)
            row = self._connection.execute(wanted).mappings().first()
            if row is None:
                self._new.add(place)
            self._usage[place] = Usage() if row is None else _usage(row)
        return self._usage[place]

    def periods(self) -> tuple[str, ...]:
        return tuple(key(period, self.now) for period in Period)

    def write(self) -> None:
        rows = {
            place: {"account": place[0], "period": place[1], **asdict(usage)} for place, usage in self._usage.items()
        }
        new = [row for place, row in rows.items() if place in self._new]
        old = [{f"_{name}": value for name, value in rows[place].items()} for place in rows.keys() - self._new]
        if new:
            self._connection.execute(sql.insert(USAGE), new)
        if old:
            changed: dict[str, object] = {name: sql.bindparam(f"_{name}") for name in Usage.__slots__}
            here = (USAGE.c.account == sql.bindparam("_account"), USAGE.c.period == sql.bindparam("_period"))
            self._connection.execute(sql.update(USAGE).where(*here).values(changed), old)
        used = [{"_name": name} for name in {account for account, _ in rows}]
        if used:
            here_too = ACCOUNTS.c.name == sql.bindparam("_name")
            self._connection.execute(sql.update(ACCOUNTS).where(here_too).values(last_used_at=self.now), used)
        self._state("clock", self.now)

    # --- the accounts themselves --------------------------------------------------------------------------------------

    def is_taken(self, name: str) -> bool:
        return self._connection.scalar(sql.select(ACCOUNTS.c.name).where(ACCOUNTS.c.name == name)) is not None

    def add(self, account: Account, digest: str) -> None:
        budget = None if account.budget_usd is None else nanos(account.budget_usd)
        allowed = None if account.allowed is None else sorted(account.allowed)
        kept = account.model_dump(include={"name", "requests_per_minute", "requests_per_day", "tokens_per_day"})
        row = {**kept, "digest": digest, "allowed": allowed, "budget": budget, "period": account.period.value}
        self._connection.execute(sql.insert(ACCOUNTS).values(**row, created_at=self.now))
        self._changed()

    def change(self, name: str, **values: object) -> None:
        """NotFound for an account that is not there, or was revoked."""
        here = (ACCOUNTS.c.name == name, ACCOUNTS.c.revoked_at.is_(None))
        if not self._connection.execute(sql.update(ACCOUNTS).where(*here).values(**values)).rowcount:
            raise NotFound(f"there is no `{name}`, or it was revoked; `list` shows who there is")
        self._accounts.pop(name, None)
        self._changed()

    def standings(self) -> tuple[Standing, ...]:
        """As of the last transaction: what this one has changed is not written yet."""
        today = key(Period.DAY, self.now)
        current = sql.select(USAGE).where(USAGE.c.period.in_(self.periods()))
        rows = self._connection.execute(current).mappings()
        usage = {(row["account"], row["period"]): _usage(row) for row in rows}
        return tuple(
            _standing(row, usage, today, self.now)
            for row in self._connection.execute(sql.select(ACCOUNTS).order_by(ACCOUNTS.c.created_at)).mappings()
        )

    def _changed(self) -> None:
        self._state("changes", self._fact("changes") + 1)

    def _fact(self, name: str) -> float:
        return float(self._connection.scalar(sql.select(FACTS.c.value).where(FACTS.c.name == name)) or 0)

    def _state(self, name: str, value: float) -> None:
        self._connection.execute(sql.update(FACTS).where(FACTS.c.name == name).values(value=value))


def account_of(row: sql.RowMapping) -> Account:
    times = {name: None if row[name] is None else stamp(row[name]) for name in ("created_at", "revoked_at")}
    limits = {name: row[name] for name in ("requests_per_minute", "requests_per_day", "tokens_per_day", "period")}
    budget = None if row["budget"] is None else usd(row["budget"])
    return Account.model_validate(
        {"name": row["name"], **times, "allowed": row["allowed"], **limits, "budget_usd": budget}
    )


def _usage(row: sql.RowMapping) -> Usage:
    return Usage(**{name: row[name] for name in Usage.__slots__})


def _standing(row: sql.RowMapping, usage: dict[tuple[str, str], Usage], today: str, now: float) -> Standing:
    account = account_of(row)
    period = Period.ALL if account.budget_usd is None else account.period
    used: Any = usage.get((account.name, key(period, now)), Usage())
    of_today = usage.get((account.name, today), Usage())
    return Standing(
        account=account,
        calls=used.calls,
        tokens=used.tokens,
        spent_usd=usd(used.spent),
        reserved_usd=usd(used.reserved),
        unbilled=used.unbilled,
        calls_today=of_today.calls,
        tokens_today=of_today.tokens,
        last_used_at=None if row["last_used_at"] is None else stamp(row["last_used_at"]),
    )
