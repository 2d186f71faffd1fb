"""Budgets of accounts: no order of calls spends a cent twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewise.accounts import Account
from edgewise.accounts.accounts import Accounts
from edgewise.accounts.money import PER_USD, nanos
from edgewise.errors import OverBudget
from tests.accounts import opened, standing, tried


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(main())


def test_a_hundred_at_once_get_what_is_there_for_ten(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path / "keys.db") as accounts:
            await accounts.add(Account(name="zoe", budget_usd=1.0))
            done = await asyncio.gather(*(tried(accounts, "zoe", 0.1) for _ in range(100)))
            assert sum(done) == 10
            found = await standing(accounts, "zoe")
            assert (found.spent_usd, found.reserved_usd) == (1.0, 0.0)

    run(main)


def test_what_was_not_spent_comes_back_and_what_has_no_bill_does_not(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path / "keys.db") as accounts:
            await accounts.add(Account(name="zoe", budget_usd=1.0))
            cheap, lost, running = [await accounts.reserve("zoe", 0.3) for _ in range(3)]
            accounts.settle(cheap, 0.05, tokens=7)
            accounts.settle(cheap, 0.3, tokens=7)
            accounts.settle(lost, None)
            found = await standing(accounts, "zoe")
            assert (found.spent_usd, found.reserved_usd, found.unbilled, found.tokens) == (0.35, 0.3, 1, 7)
            assert not await tried(accounts, "zoe", 0.36)
            accounts.settle(running, 0.0)
            assert await tried(accounts, "zoe", 0.65)

    run(main)


def test_a_budget_refuses_what_has_no_price_and_says_what_to_do(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path / "keys.db") as accounts:
            await accounts.add(Account(name="zoe", budget_usd=1.0))
            await accounts.add(Account(name="free"))
            for unknown in (None, float("nan"), float("inf"), -1.0):
                with pytest.raises(OverBudget, match="usd_per_mtok_prompt"):
                    await accounts.reserve("zoe", unknown)
            accounts.settle(await accounts.reserve("free", None), None, tokens=3)
            found = await standing(accounts, "free")
            assert (found.tokens, found.unbilled, found.spent_usd) == (3, 1, 0.0)

    run(main)


def test_a_call_that_is_cancelled_while_it_waits_keeps_no_money(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path / "keys.db") as accounts:
            await accounts.add(Account(name="zoe", budget_usd=1.0))
            for _ in range(20):
                waiting = asyncio.ensure_future(accounts.reserve("zoe", 1.0))
                await asyncio.sleep(0)
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
            assert (await standing(accounts, "zoe")).spent_usd == 0
            assert (await standing(accounts, "zoe")).reserved_usd == 0
            assert await tried(accounts, "zoe", 1.0)

    run(main)


@given(st.lists(st.floats(min_value=0, max_value=5, allow_subnormal=False), min_size=1, max_size=30))
@settings(max_examples=200, deadline=None)
def test_sums_of_money_are_never_less_than_they_are(amounts: list[float]) -> None:
    assert sum(map(nanos, amounts)) >= sum(amounts) * PER_USD * (1 - 1e-12) - 0.001 * len(amounts)
    assert nanos(0.1 + 0.2) == nanos(0.3) == 300_000_000


# What may happen to a call: reserved for so many cents, then settled for a share of that, without a bill, or never.
CALLS = st.lists(
    st.tuples(st.integers(0, 60), st.one_of(st.none(), st.floats(0, 1), st.just("never"))), min_size=1, max_size=40
)


@given(CALLS)
@settings(max_examples=20, deadline=None)
def test_no_order_of_calls_spends_more_than_the_budget(
    tmp_path_factory: pytest.TempPathFactory, calls: list[tuple[int, float | str | None]]
) -> None:
    async def one(accounts: Accounts, cents: int, end: float | str | None) -> float:
        try:
            hold = await accounts.reserve("zoe", cents / 100)
        except OverBudget:
            return 0
        await asyncio.sleep(0)
        if not isinstance(end, str):
            accounts.settle(hold, None if end is None else end * cents / 100)
        return end * cents / 100 if isinstance(end, float) else cents / 100

    async def main() -> None:
        async with opened(tmp_path_factory.mktemp("money") / "keys.db") as accounts:
            await accounts.add(Account(name="zoe", budget_usd=2.0))
            had = sum(await asyncio.gather(*(one(accounts, *call) for call in calls)))
            found = await standing(accounts, "zoe")
            assert found.spent_usd + found.reserved_usd == pytest.approx(had, abs=1e-6)
            assert found.spent_usd + found.reserved_usd <= 2.0

    run(main)
