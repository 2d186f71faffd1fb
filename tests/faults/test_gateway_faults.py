"""A gateway that is killed: what its callers had reserved is not had again."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path

import pytest

from cloud.client import CloudClient
from edgewise.accounts import Account
from edgewise.errors import CloudUnavailable
from tests.clouds import run
from tests.gateways import OPTIONS, PROMPT, answer, new_key, standing
from tests.stack import environment
from tests.upstream import Upstream

MOST = (len("Who wrote Hamlet?") + 512 + 32 + (8 + 16) * 10) / 1e6


@contextmanager
def gateway(data_dir: Path, upstream: Upstream) -> Iterator[tuple[subprocess.Popen[str], str]]:
    settings = {
        "BACKEND": "openai_compatible",
        "BASE_URL": upstream.url,
        "MODEL": "hang-midway",
        "USD_PER_MTOK_PROMPT": "1",
        "USD_PER_MTOK_COMPLETION": "10",
    }
    command = (sys.executable, "-m", "cloud", "serve", "--address", "127.0.0.1:0", "--data-dir", str(data_dir))
    given = environment({f"EDGEWISE_CLOUD__{name}": value for name, value in settings.items()})
    with (
        (data_dir / "log").open("a") as log,
        subprocess.Popen(command, env=given, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().removeprefix("ready grpc=").strip()
        finally:
            process.kill()


async def call_and_kill(client: CloudClient, process: subprocess.Popen[str]) -> None:
    async with aclosing(client.generate(PROMPT, OPTIONS)) as events:
        async for _ in events:
            process.kill()


def test_a_gateway_that_is_killed_gives_no_money_twice(tmp_path: Path) -> None:
    async def main(upstream: Upstream) -> None:
        token = await new_key(tmp_path, Account(name="zoe", budget_usd=1.5 * MOST))
        with gateway(tmp_path, upstream) as (process, address):
            client = CloudClient(address, token)
            with pytest.raises(CloudUnavailable):
                await call_and_kill(client, process)
            await client.close()
        assert await asyncio.to_thread(upstream.released.wait, 10)
        found = await standing(tmp_path, "zoe")
        assert found.reserved_usd == pytest.approx(MOST, abs=1e-9)
        with gateway(tmp_path, upstream) as (_, address):
            client = CloudClient(address, token)
            with pytest.raises(CloudUnavailable, match=r"of zoe, .* is kept for other calls"):
                await answer(client)
            await client.close()
        assert len(upstream.requests) == 1

    with Upstream() as upstream:
        run(lambda: main(upstream))
    assert "Hamlet" not in (tmp_path / "log").read_text()
