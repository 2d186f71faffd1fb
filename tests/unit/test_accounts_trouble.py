"""Accounts whose file cannot be used let nobody in, say why, and come back by themselves."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from edgewise.accounts import Account, database
from edgewise.accounts.accounts import Accounts
from edgewise.errors import NotReady
from tests.accounts import opened, standing


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(main())


async def everybody(accounts: Accounts) -> None:
    await accounts.add(Account(name="paid", budget_usd=1.0))
    await accounts.add(Account(name="counted", requests_per_day=100))
    await accounts.add(Account(name="free"))


async def nobody_comes_in(accounts: Accounts) -> None:
    """Who has a budget or a quota is refused at once, who has none as soon as that is noticed."""
    with pytest.raises(NotReady, match=r"keys\.db"):
        await accounts.reserve("paid", 0.1)
    with pytest.raises(NotReady, match=r"keys\.db"):
        await accounts.admit("counted")
    with pytest.raises(NotReady, match=r"keys\.db"):
        await accounts.admit("free")


async def everybody_comes_in_again(accounts: Accounts) -> None:
    for _ in range(200):
        try:
            await accounts.admit("free")
            break
        except NotReady:
            await asyncio.sleep(0.05)
    await accounts.admit("counted")
    accounts.settle(await accounts.reserve("paid", 0.1), 0.1)


@contextmanager
def full_disk() -> Iterator[None]:
    """No file of this process may have a page more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path / "keys.db") as accounts:
            await everybody(accounts)
            hold = await accounts.reserve("paid", 0.5)
            with full_disk():
                accounts.settle(hold, 0.2)
                await nobody_comes_in(accounts)
            await everybody_comes_in_again(accounts)
            found = await standing(accounts, "paid")
            assert found.spent_usd == pytest.approx(0.3)
            assert found.reserved_usd == 0

    run(main)


def test_a_lock_that_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_S", 0.2)
    file = tmp_path / "keys.db"

    async def main() -> None:
        async with opened(file) as accounts:
            await everybody(accounts)
            with closing(sqlite3.connect(file, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                await nobody_comes_in(accounts)
                other.execute("ROLLBACK")
            await everybody_comes_in_again(accounts)

    run(main)


def test_a_file_that_was_taken_away(tmp_path: Path) -> None:
    file = tmp_path / "keys.db"

    async def main() -> None:
        async with opened(file) as accounts:
            await everybody(accounts)
            file.rename(tmp_path / "elsewhere.db")
            await nobody_comes_in(accounts)

    run(main)


@pytest.mark.parametrize("damage", ["no database", "torn", "a directory", "newer"])
def test_what_is_no_such_file_is_refused_at_start(damage: str, tmp_path: Path) -> None:
    file = tmp_path / "keys.db"

    async def make() -> None:
        async with opened(file) as accounts:
            await everybody(accounts)

    run(make)
    match damage:
        case "no database":
            file.write_bytes(b"#!/bin/sh\n" * 1000)
        case "torn":
            with closing(sqlite3.connect(file)) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            with file.open("r+b") as content:
                content.seek(4096)
                content.write(b"\xff" * 8192)
        case "a directory":
            file.unlink()
            file.mkdir()
        case _:
            with closing(sqlite3.connect(file)) as connection, connection:
                connection.execute("UPDATE facts SET value = 99 WHERE name = 'version'")

    async def main() -> None:
        with pytest.raises(NotReady, match=r"keys\.db"):
            await Accounts.open(file)

    run(main)
