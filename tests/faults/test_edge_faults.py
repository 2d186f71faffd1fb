"""What goes wrong around an edge node: places that are taken, signals, a killed process, a full disk."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from edge.client import EdgeClient
from edgewise.errors import EdgeUnavailable
from edgewise.types import Chunk, Message, Options, Prompt, Sampling, Text, Upload

Environment = dict[str, str]


def prompt() -> Prompt:
    return Prompt(messages=(Message(role="user", content=Text(value="Tell me a long story.")),))


@pytest.fixture
def light(tmp_path: Path) -> Environment:
    """A node that starts without a model: it replays."""
    (tmp_path / "answers.jsonl").write_text('{"prompt": "Hi", "answer": "Hello"}')
    return {"EDGEWISE_EDGE__ENGINE": "replay", "EDGEWISE_EDGE__REPLAY_FILE": str(tmp_path / "answers.jsonl")}


async def start(*arguments: str, environment: Environment) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "edge",
        "serve",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "EDGEWISE_CONFIG": os.devnull, **environment},
    )


@asynccontextmanager
async def running(data_dir: Path, environment: Environment) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A node that ends when its standard input does, and its address."""
    arguments = ("--address", "127.0.0.1:0", "--data-dir", str(data_dir), "--until-stdin-closes")
    process = await start(*arguments, environment=environment)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = (await process.stdout.readline()).decode()
        assert line.startswith("ready grpc=127.0.0.1:")
        yield process, line.removeprefix("ready grpc=").strip()
    finally:
        process.stdin.close()
        rest, _ = await process.communicate()
    assert rest == b""


def refusal(*arguments: str, environment: Environment) -> str:
    """The one line with which a node that cannot start says why."""

    async def main() -> str:
        process = await start(*arguments, environment=environment)
        output, errors = await process.communicate()
        assert (process.returncode in {1, 2}, output) == (True, b"")
        (line,) = errors.decode().splitlines()
        assert line.startswith("error: ")
        return line

    return asyncio.run(main())


def test_a_data_directory_and_a_port_have_one_owner(tmp_path: Path, light: Environment) -> None:
    async def main() -> None:
        async with running(tmp_path, light) as (process, address):
            taken = ("--address", "127.0.0.1:0", "--data-dir", str(tmp_path))
            line = await asyncio.to_thread(refusal, *taken, environment=light)
            assert f"{tmp_path / 'edge'} is in use by process {process.pid}" in line
            other = ("--address", address, "--data-dir", str(tmp_path / "other"))
            assert f"{address} is in use" in await asyncio.to_thread(refusal, *other, environment=light)
        assert process.returncode == 0  # its standard input has ended

    asyncio.run(main())


def test_places_that_cannot_be_used(tmp_path: Path, light: Environment) -> None:
    (tmp_path / "file").write_text("x")
    line = refusal("--address", "127.0.0.1:0", "--data-dir", str(tmp_path / "file"), environment=light)
    assert "cannot be used" in line
    assert "--token-file" in refusal("--address", "0.0.0.0:0", environment=light)
    assert "is empty" in refusal("--token-file", os.devnull, environment=light)
    assert "cannot be read" in refusal("--token-file", str(tmp_path / "none"), environment=light)


def test_bad_settings_are_named(tmp_path: Path, light: Environment) -> None:
    line = refusal(environment={**light, "EDGEWISE_EDGE__THREADS": "0", "EDGEWISE_EDGE__MODLE": "x"})
    assert "edge.threads" in line
    assert "edge.modle is not a setting" in line
    missing = {"EDGEWISE_EDGE__MODEL": str(tmp_path / "none.gguf")}
    assert "none.gguf cannot be read" in refusal("--data-dir", str(tmp_path), environment=missing)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_signals_end_it_in_order(tmp_path: Path, light: Environment, number: signal.Signals, code: int) -> None:
    async def main() -> None:
        async with running(tmp_path, light) as (process, _):
            process.send_signal(number)
            await process.wait()
        assert process.returncode == code

    asyncio.run(main())


def test_a_killed_node_is_unavailable_and_starts_again(tmp_path: Path) -> None:
    environment = {"EDGEWISE_EDGE__THREADS": "1", "EDGEWISE_EDGE__CONTEXT_TOKENS": "2048"}

    async def main() -> None:
        async with running(tmp_path, environment) as (process, address):
            client = EdgeClient(address)
            assert (await client.ingest(Upload(source="a.txt", data=b"The door opens at nine."))).status == "INGESTED"
            events = client.generate(prompt(), Options(sampling=Sampling(max_tokens=1500)))
            assert isinstance(await anext(events), Chunk)
            process.kill()
            with pytest.raises(EdgeUnavailable, match="is down"):
                async for _ in events:
                    pass
            with pytest.raises(EdgeUnavailable, match="is down"):
                await client.status()
            await client.close()
        async with running(tmp_path, environment) as (_, address):
            client = EdgeClient(address)
            assert (await client.status()).documents == 1
            await client.close()

    asyncio.run(main())


def test_a_node_that_crashes_tells_all_whom_it_had(tmp_path: Path) -> None:
    """Those that it answered, those that waited, and one whose labels it weighed."""
    environment = {"EDGEWISE_EDGE__THREADS": "1", "EDGEWISE_EDGE__CONTEXT_TOKENS": "1024"}

    async def main() -> None:
        async with running(tmp_path, environment) as (process, address):
            client = EdgeClient(address)
            begun = asyncio.Event()

            async def ask(number: int) -> None:
                options = Options(cache_key=str(number), sampling=Sampling(max_tokens=900))
                async for _ in client.generate(prompt(), options):
                    begun.set()

            async with asyncio.timeout(90):
                asked = [asyncio.create_task(ask(number)) for number in range(10)]
                await begun.wait()
                asked.append(asyncio.create_task(_score(client)))
                for _ in range(500):
                    if (await client.status()).queued == 7:
                        break
                    await asyncio.sleep(0.05)
                process.send_signal(signal.SIGSEGV)
                ends = await asyncio.gather(*asked, return_exceptions=True)
            assert [type(end) for end in ends] == [EdgeUnavailable] * 11
            await client.close()
        assert process.returncode == -signal.SIGSEGV

    asyncio.run(main())


async def _score(client: EdgeClient) -> None:
    await client.score(prompt(), ("yes", "no"))
