"""A gateway as `edgewise cloud serve` runs it, in this process: with keys, certificates and an end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cloud.client import CloudClient
from cloud.config import CloudSettings
from cloud.keys import open_keys
from cloud.server import serve
from edgewise.accounts import Account, Standing
from edgewise.ports import Cloud
from edgewise.types import Completion, Message, Options, Prompt, Released, Sampling, Text

PROMPT = Released(Prompt(messages=(Message(role="user", content=Text.ours("Who wrote Hamlet?")),)))
OPTIONS = Options(sampling=Sampling(max_tokens=8))


@dataclass(frozen=True, slots=True)
class Served:
    address: str
    metrics_url: str
    task: asyncio.Task[None]

    @asynccontextmanager
    async def client(self, token: str = "", timeout_s: float | None = 30) -> AsyncGenerator[CloudClient]:
        client = CloudClient(self.address, token, timeout_s=timeout_s)
        try:
            yield client
        finally:
            await client.close()


@asynccontextmanager
async def serving(
    settings: CloudSettings, data_dir: Path, address: str = "127.0.0.1:0", metrics_address: str = ""
) -> AsyncGenerator[Served]:
    """Until the block ends; `task.cancel()` stops it before, as SIGTERM does."""
    ready = asyncio.get_running_loop().create_future()
    task = asyncio.ensure_future(
        serve(
            settings,
            data_dir,
            address,
            on_ready=lambda bound, page: ready.set_result((bound, page)),
            metrics_address=metrics_address,
        )
    )
    await asyncio.wait((task, ready), return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    bound, page = await ready
    try:
        yield Served(bound, page, task)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def new_key(data_dir: Path, account: Account) -> str:
    """As `edgewise cloud keys add` makes it, in another process than the gateway's."""
    accounts = await open_keys(data_dir)
    try:
        return await accounts.add(account)
    finally:
        await accounts.close()


async def revoke(data_dir: Path, name: str) -> None:
    accounts = await open_keys(data_dir)
    await accounts.revoke(name)
    await accounts.close()


async def standing(data_dir: Path, name: str) -> Standing:
    accounts = await open_keys(data_dir)
    try:
        (found,) = (standing for standing in await accounts.list() if standing.account.name == name)
        return found
    finally:
        await accounts.close()


async def answer(cloud: Cloud, prompt: Released[Prompt] = PROMPT) -> Completion:
    async with aclosing(cloud.generate(prompt, OPTIONS)) as events:
        *_, last = [event async for event in events]
    assert isinstance(last, Completion)
    return last
