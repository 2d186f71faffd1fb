"""Accounts on a real file, and a process of its own that uses them until it is killed."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from edgewise.accounts import Standing
from edgewise.accounts.accounts import Accounts
from edgewise.errors import OverBudget


class FakeClock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def opened(file: Path, clock: Callable[[], float] | None = None) -> AsyncGenerator[Accounts]:
    accounts = await (Accounts.open(file, clock=clock) if clock else Accounts.open(file))
    try:
        yield accounts
    finally:
        await accounts.close()


async def standing(accounts: Accounts, name: str) -> Standing:
    (found,) = (standing for standing in await accounts.list() if standing.account.name == name)
    return found


async def tried(accounts: Accounts, name: str, worst_usd: float | None) -> bool:
    """Whether the budget gives that much; it is spent."""
    try:
        hold = await accounts.reserve(name, worst_usd)
    except OverBudget:
        return False
    accounts.settle(hold, worst_usd)
    return True


async def _hold_until_killed(file: Path) -> None:
    """Reserves 0.4 of the budget of zoe, says so, and never settles."""
    async with opened(file) as accounts:
        await accounts.admit("zoe")
        await accounts.reserve("zoe", 0.4)
        print("reserved", flush=True)
        await asyncio.sleep(600)


async def _spend(file: Path) -> None:
    """What one of several processes can have of the budget of zoe, in tenths."""
    had = 0
    async with opened(file) as accounts:
        for _ in range(20):
            try:
                hold = await accounts.reserve("zoe", 0.1)
            except OverBudget:
                continue
            accounts.settle(hold, 0.1)
            had += 1
    print(had)


if __name__ == "__main__":
    asyncio.run({"hold": _hold_until_killed, "spend": _spend}[sys.argv[1]](Path(sys.argv[2])))
