"""The accounts of one door: who may come in, and what they may spend."""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

from edgewise.accounts.account import Account, Period, Standing
from edgewise.accounts.book import Book, Usage
from edgewise.accounts.moments import Clock, end, key
from edgewise.accounts.money import nanos, usd
from edgewise.accounts.pace import Pace
from edgewise.accounts.secrets import digest, new_token
from edgewise.accounts.writer import Known, Writer
from edgewise.callers import Caller, bearer
from edgewise.errors import Conflict, NotReady, OverBudget, Overloaded, Unauthenticated

T = TypeVar("T")

# More than the writer can be held up by another process that writes.
_STALE_S = 15.0
_UNKNOWN = "send a valid token as metadata `authorization: Bearer TOKEN`"
_NO_PRICE = (
    "the price of this call is not known, so that the budget of {name} cannot hold it; give the cloud a price "
    "(cloud.usd_per_mtok_prompt, cloud.usd_per_mtok_completion, cloud.usd_per_fetch), or use an account that has no "
    "budget"
)


@dataclass(frozen=True, slots=True)
class Hold:
    """Money that is kept for one call until `settle`."""

    account: str
    amount: int
    periods: tuple[str, ...]
    number: int

    @property
    def usd(self) -> float:
        return usd(self.amount)


class Accounts:
    """`Callers` who have an account. Several processes may use one file: a change of one is seen by all in a second.

    A call is `admit`, `reserve`, the call itself, `settle`. What limits an account for longer than a minute is on the
    disk before a call begins, whatever happens then; who has no such limit does not wait for the disk. While the file
    cannot be used (a full disk, a lock that stays, damage), everybody gets NotReady.
    """

    def __init__(self, writer: Writer, clock: Clock) -> None:
        self._writer = writer
        self._clock = clock
        self._paces: dict[str, Pace] = {}
        self._numbers = itertools.count()
        self._open: set[int] = set()

    @classmethod
    async def open(cls, file: Path, *, clock: Callable[[], float] = time.time) -> Self:
        """Made if it is not there; NotReady."""
        periods = Clock(clock)
        writer = Writer(file, periods)
        await asyncio.to_thread(writer.start)
        return cls(writer, periods)

    async def close(self) -> None:
        await asyncio.to_thread(self._writer.close)

    # --- who they are -------------------------------------------------------------------------------------------------

    async def add(self, account: Account) -> str:
        """Its token, which nobody can ever read again. Conflict for a name that was given before."""
        token = new_token()

        def add(book: Book) -> None:
            if book.is_taken(account.name):
                raise Conflict(
                    f"`{account.name}` is taken, and stays so when it is revoked, for what was recorded under it is "
                    "not another's; choose another name"
                )
            book.add(account, digest(token))

        await self._ask(add)
        return token

    async def rotate(self, name: str) -> str:
        """Another token for the same account; the old one is worth nothing from now on. NotFound."""
        token = new_token()
        await self._ask(lambda book: book.change(name, digest=digest(token)))
        return token

    async def revoke(self, name: str) -> None:
        """NotFound for who is not there, or was revoked before."""
        await self._ask(lambda book: book.change(name, revoked_at=book.now))

    async def list(self) -> tuple[Standing, ...]:
        """All of them, those that were revoked too, in the order of their making."""
        await self._ask(lambda _: None)  # writes what was told before
        return await self._ask(lambda book: book.standings())

    @property
    def is_empty(self) -> bool:
        """Whether there was never any."""
        return self._writer.known.is_empty

    def identify(self, authorization: str) -> Caller:
        """No reason is told apart: a token that never was, one that was revoked, none at all."""
        account = self._known().by_digest.get(digest(bearer(authorization)))
        if account is None:
            raise Unauthenticated(_UNKNOWN)
        return Caller(account.name)

    def account(self, name: str) -> Account:
        """Unauthenticated for one that is gone."""
        account = self._known().by_name.get(name)
        if account is None:
            raise Unauthenticated(_UNKNOWN)
        return account

    def _known(self) -> Known:
        if time.monotonic() - self._writer.seen_s > _STALE_S:
            raise NotReady(self._writer.trouble or "the accounts cannot be read, so nobody is let in; see the log")
        return self._writer.known

    # --- what they may spend ------------------------------------------------------------------------------------------

    async def admit(self, name: str) -> None:
        """Counts a call; Overloaded says when there may be one again, Unauthenticated that the account is gone."""
        account = self.account(name)
        if account.requests_per_minute is not None:
            self._pace(name, account.requests_per_minute).take()
        if account.has_quota:
            await self._ask(lambda book: self._count(book, name))
        else:
            self._tell(lambda book: _add(book, name, book.periods(), calls=1))

    async def reserve(self, name: str, worst_usd: float | None) -> Hold:
        """Keeps the most that a call may cost, so that nobody else spends it; OverBudget. `settle` has to follow.

        A budget refuses what has no known price. What nobody settles, because the process was killed, stands as spent.
        """
        if self.account(name).budget_usd is None:
            return self._opened(self._hold(name, 0, self._periods()))
        answer = self._writer.ask(lambda book: self._reserve(book, name, worst_usd))
        try:
            return self._opened(await asyncio.shield(asyncio.wrap_future(answer)))
        except asyncio.CancelledError:
            answer.add_done_callback(self._give_back)
            raise

    def settle(self, hold: Hold, usd: float | None, tokens: int = 0) -> None:
        """Spends `usd` of what was kept, and gives the rest back; None, if no bill came, spends all of it.

        It does not wait, so that it may be called wherever a call ends. A hold is settled once: again does nothing.
        """
        if hold.number not in self._open:
            return
        self._open.discard(hold.number)
        is_billed = usd is not None and math.isfinite(usd) and usd >= 0
        spent = nanos(usd) if usd is not None and is_billed else hold.amount
        self._writer.tell(
            lambda book: _add(
                book, hold.account, hold.periods,
                tokens=tokens, spent=spent, reserved=-hold.amount, unbilled=not is_billed,
            )
        )  # fmt: skip

    def _count(self, book: Book, name: str) -> None:
        account = _existing(book, name)
        today = book.usage(name, key(Period.DAY, book.now))
        for used, limit, what in (
            (today.calls, account.requests_per_day, "calls"),
            (today.tokens, account.tokens_per_day, "tokens"),
        ):
            if limit is not None and used >= limit:
                raise Overloaded(
                    f"the {limit} {what} of {name} for this day (UTC) are used up; try again tomorrow",
                    retry_after_s=self._until_end(Period.DAY, book.now),
                )
        _add(book, name, book.periods(), calls=1)

    def _reserve(self, book: Book, name: str, worst_usd: float | None) -> Hold:
        account = _existing(book, name)
        if account.budget_usd is None:
            return self._hold(name, 0, book.periods())
        if worst_usd is None or not math.isfinite(worst_usd) or worst_usd < 0:
            raise OverBudget(_NO_PRICE.format(name=name))
        amount, budget = nanos(worst_usd), nanos(account.budget_usd)
        used = book.usage(name, key(account.period, book.now))
        if used.spent + used.reserved + amount > budget:
            raise self._over(account, used, amount, book.now)
        _add(book, name, book.periods(), reserved=amount)
        return self._hold(name, amount, book.periods())

    def _over(self, account: Account, used: Usage, amount: int, now: float) -> OverBudget:
        """With the time after which it passes for certain; none if it never does."""
        budget = nanos(account.budget_usd or 0)
        span = "in all" if account.period is Period.ALL else f"a {account.period.value}"
        wait_s = self._until_end(account.period, now) if amount <= budget else None
        return OverBudget(
            f"this call may cost up to ${usd(amount):.6f}; of the ${usd(budget):.2f} {span} of {account.name}, "
            f"${usd(used.spent):.6f} is spent and ${usd(used.reserved):.6f} is kept for other calls; ask for a shorter "
            "answer, wait, or have the budget raised",
            retry_after_s=wait_s,
        )

    def _until_end(self, period: Period, now: float) -> float | None:
        moment = end(period, now)
        return None if moment is None else self._clock.until(moment)

    def _pace(self, name: str, per_minute: int) -> Pace:
        pace = self._paces.get(name)
        if pace is None or pace.per_minute != per_minute:
            pace = self._paces[name] = Pace(per_minute)
        return pace

    def _periods(self) -> tuple[str, ...]:
        now = self._clock.now()
        return tuple(key(period, now) for period in Period)

    def _hold(self, name: str, amount: int, periods: tuple[str, ...]) -> Hold:
        return Hold(name, amount, periods, next(self._numbers))

    def _opened(self, hold: Hold) -> Hold:
        self._open.add(hold.number)
        return hold

    def _give_back(self, answer: Future[Hold]) -> None:
        if answer.exception() is None:
            self.settle(self._opened(answer.result()), 0.0)

    async def _ask(self, do: Callable[[Book], T]) -> T:
        return await asyncio.wrap_future(self._writer.ask(do))

    def _tell(self, do: Callable[[Book], None]) -> None:
        if self._writer.trouble:
            raise NotReady(self._writer.trouble)
        self._writer.tell(do)


def _existing(book: Book, name: str) -> Account:
    account = book.account(name)
    if account is None:
        raise Unauthenticated(_UNKNOWN)
    return account


def _add(
    book: Book,
    name: str,
    periods: tuple[str, ...],
    *,
    calls: int = 0,
    tokens: int = 0,
    spent: int = 0,
    reserved: int = 0,
    unbilled: int = 0,
) -> None:
    for period in periods:
        usage = book.usage(name, period)
        usage.calls += calls
        usage.tokens += tokens
        usage.spent += spent
        usage.reserved += reserved
        usage.unbilled += unbilled
