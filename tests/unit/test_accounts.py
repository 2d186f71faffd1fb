"""Accounts: who they are, what they may spend, and that no money is had twice."""

from __future__ import annotations

import asyncio
import stat
import subprocess
import sys
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from edgewise.accounts import Account, Period
from edgewise.accounts.accounts import Accounts
from edgewise.accounts.pace import Pace
from edgewise.callers import OWNER, Either, owner_of
from edgewise.errors import Conflict, NotFound, OverBudget, Overloaded, Unauthenticated
from tests.accounts import FakeClock, opened, standing, tried

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC).timestamp()
DAY_S = 86_400


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(main())


# --- who they are -----------------------------------------------------------------------------------------------------


def test_a_token_is_an_account_until_it_is_revoked(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path / "door" / "keys.db") as accounts:
            assert accounts.is_empty
            zoe, ann = await accounts.add(Account(name="zoe")), await accounts.add(Account(name="ann"))
            assert zoe.startswith("ew_")
            assert zoe != ann
            assert accounts.identify(f"Bearer {zoe}").name == "zoe"
            other = await accounts.rotate("zoe")
            await accounts.revoke("ann")
            assert accounts.identify(f"Bearer {other}").name == "zoe"
            said = set()
            for header in (f"Bearer {zoe}", f"Bearer {ann}", f"Basic {other}", other, "Bearer ", "", "Bearer \udcff"):
                with pytest.raises(Unauthenticated) as caught:
                    accounts.identify(header)
                said.add(caught.value.message)
            assert len(said) == 1
            with pytest.raises(Unauthenticated):
                await accounts.admit("ann")
            with pytest.raises(Unauthenticated):
                await accounts.reserve("ann", 0.1)
        async with opened(tmp_path / "door" / "keys.db") as accounts:
            assert not accounts.is_empty
            assert accounts.identify(f"Bearer {other}").name == "zoe"
            assert [entry.account.revoked_at is None for entry in await accounts.list()] == [True, False]

    run(main)


def test_a_name_is_given_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path / "keys.db") as accounts:
            await accounts.add(Account(name="zoe"))
            with pytest.raises(Conflict):
                await accounts.add(Account(name="zoe"))
            await accounts.revoke("zoe")
            with pytest.raises(Conflict):
                await accounts.add(Account(name="zoe"))
            for change in (accounts.revoke("zoe"), accounts.rotate("zoe"), accounts.revoke("nobody")):
                with pytest.raises(NotFound):
                    await change

    run(main)


def test_the_file_is_the_owners_and_holds_no_token(tmp_path: Path) -> None:
    directory = tmp_path / "door"

    async def main() -> None:
        async with opened(directory / "keys.db") as accounts:
            token = await accounts.add(Account(name="zoe"))
            files = list(directory.iterdir())
            assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
            assert stat.S_IMODE(directory.stat().st_mode) == 0o700
            for file in files:
                data = file.read_bytes()
                assert token.encode() not in data
                assert token.removeprefix("ew_").encode() not in data

    run(main)


def test_what_an_account_may_is_kept(tmp_path: Path) -> None:
    account = Account(
        name="zoe", allowed=frozenset({"a", "b"}), requests_per_minute=1, requests_per_day=2, tokens_per_day=3,
        budget_usd=0.1, period=Period.DAY,
    )  # fmt: skip

    async def main() -> None:
        async with opened(tmp_path / "keys.db") as accounts:
            await accounts.add(account)
            await accounts.add(Account(name="free"))
            assert accounts.account("zoe").model_copy(update={"created_at": ""}) == account
            assert accounts.account("free").allowed is None

    run(main)


@pytest.mark.parametrize("name", ["", "-x", "a b", "a\n", "a/b", 'a"', "x" * 65, "ö"])
def test_a_name_can_stand_anywhere(name: str) -> None:
    with pytest.raises(ValidationError):
        Account(name=name)


def test_the_owner_is_tried_first(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path / "keys.db") as accounts:
            token = await accounts.add(Account(name="zoe"))
            callers = Either(owner_of("the owner's"), accounts)
            assert callers.identify("Bearer the owner's") == OWNER
            assert callers.identify(f"Bearer {token}").name == "zoe"
            with pytest.raises(Unauthenticated):
                callers.identify("Bearer wrong")

    run(main)


# --- pace, days, clocks -----------------------------------------------------------------------------------------------


def test_a_pace_says_truly_when_to_come_again() -> None:
    clock = FakeClock(0.0)
    pace = Pace(3, clock)
    for _ in range(3):
        pace.take()
    for _ in range(5):
        with pytest.raises(Overloaded) as caught:
            pace.take()
        wait_s = caught.value.retry_after_s
        assert wait_s is not None
        clock.now += wait_s * 0.9
        with pytest.raises(Overloaded):
            pace.take()
        clock.now += wait_s * 0.1 + 1e-6
        pace.take()
    clock.now += 3600
    for _ in range(3):
        pace.take()
    with pytest.raises(Overloaded):
        pace.take()


def test_calls_a_minute(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path / "keys.db") as accounts:
            await accounts.add(Account(name="zoe", requests_per_minute=2))
            await accounts.admit("zoe")
            await accounts.admit("zoe")
            with pytest.raises(Overloaded) as caught:
                await accounts.admit("zoe")
            assert caught.value.retry_after_s is not None
            assert 0 < caught.value.retry_after_s <= 30
            assert (await standing(accounts, "zoe")).calls == 2

    run(main)


def test_days_end_for_calls_tokens_and_money(tmp_path: Path) -> None:
    clock = FakeClock(NOON)

    async def main() -> None:
        async with opened(tmp_path / "keys.db", clock) as accounts:
            await accounts.add(Account(name="calls", requests_per_day=2))
            await accounts.add(Account(name="tokens", tokens_per_day=10))
            await accounts.add(Account(name="money", budget_usd=1, period=Period.DAY))
            await accounts.add(Account(name="ever", budget_usd=1, period=Period.ALL))
            for _ in range(2):
                await accounts.admit("calls")
            await accounts.admit("tokens")
            accounts.settle(await accounts.reserve("tokens", None), None, tokens=10)
            assert await tried(accounts, "money", 1.0)
            assert await tried(accounts, "ever", 1.0)
        async with opened(tmp_path / "keys.db", clock) as accounts:
            waits = []
            for refused in (
                accounts.admit("calls"), accounts.admit("tokens"), accounts.reserve("money", 0.1),
                accounts.reserve("money", 1.1), accounts.reserve("ever", 0.1),
            ):  # fmt: skip
                with pytest.raises((Overloaded, OverBudget)) as caught:
                    await refused
                waits.append(caught.value.retry_after_s)
            assert waits == [DAY_S / 2, DAY_S / 2, DAY_S / 2, None, None]
            clock.now += DAY_S / 2
            await accounts.admit("calls")
            await accounts.admit("tokens")
            assert await tried(accounts, "money", 1.0)
            assert not await tried(accounts, "ever", 0.1)

    run(main)


def test_a_clock_that_jumps_back_gives_no_day_twice(tmp_path: Path) -> None:
    clock = FakeClock(NOON)

    async def main() -> None:
        async with opened(tmp_path / "keys.db", clock) as accounts:
            await accounts.add(Account(name="zoe", budget_usd=1, period=Period.DAY))
            assert await tried(accounts, "zoe", 1.0)
            clock.now -= 3 * DAY_S
            assert not await tried(accounts, "zoe", 0.1)
        async with opened(tmp_path / "keys.db", clock) as accounts:
            assert not await tried(accounts, "zoe", 0.1)
            with pytest.raises(OverBudget) as caught:
                await accounts.reserve("zoe", 0.1)
            assert caught.value.retry_after_s == 3.5 * DAY_S
            clock.now += 3.5 * DAY_S
            assert await tried(accounts, "zoe", 1.0)

    run(main)


# --- several processes ------------------------------------------------------------------------------------------------


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(400):
        if condition():
            return
        await asyncio.sleep(0.05)
    pytest.fail("not within 20 seconds")


def knows_nobody(accounts: Accounts, token: str) -> bool:
    try:
        accounts.identify(f"Bearer {token}")
    except Unauthenticated:
        return True
    return False


def child(what: str, file: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-m", "tests.accounts", what, file], stdout=subprocess.PIPE, text=True)


def test_what_a_killed_process_had_reserved_stands_as_spent(tmp_path: Path) -> None:
    file = tmp_path / "keys.db"

    async def main() -> None:
        async with opened(file) as accounts:
            await accounts.add(Account(name="zoe", budget_usd=1.0))
        with child("hold", file) as process:
            assert process.stdout is not None
            assert await asyncio.to_thread(process.stdout.readline) == "reserved\n"
            process.kill()
        async with opened(file) as accounts:
            found = await standing(accounts, "zoe")
            assert (found.spent_usd, found.reserved_usd) == (0.0, 0.4)
            assert not await tried(accounts, "zoe", 0.7)
            assert await tried(accounts, "zoe", 0.6)

    run(main)


def test_two_processes_share_one_budget(tmp_path: Path) -> None:
    file = tmp_path / "keys.db"

    async def main() -> None:
        async with opened(file) as accounts:
            await accounts.add(Account(name="zoe", budget_usd=1.5))
        with child("spend", file) as one, child("spend", file) as other:
            said = [await asyncio.to_thread(process.communicate) for process in (one, other)]
        assert sum(int(output) for output, _ in said) == 15

    run(main)


def test_another_process_that_revokes_is_heeded_soon(tmp_path: Path) -> None:
    file = tmp_path / "keys.db"

    async def main() -> None:
        async with opened(file) as serving, opened(file) as commanding:
            token = await commanding.add(Account(name="zoe"))
            await until(lambda: not serving.is_empty)
            assert serving.identify(f"Bearer {token}").name == "zoe"
            await commanding.revoke("zoe")
            await until(lambda: knows_nobody(serving, token))

    run(main)
