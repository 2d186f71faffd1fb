"""What the gateway adds: `edgewise cloud serve` over recorded answers, beside the same answers from the backend itself.

Callers have a key. The backend alone is asked in this process, in the same run and at the same rate.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from pathlib import Path

import grpc

from cloud.backends.replay import open_replay
from cloud.config import CloudSettings
from edgewise.types import Message, Options, Prompt, Text
from edgewise.v1 import cloud_pb2, cloud_pb2_grpc, types_pb2
from edgewise.wire import pack
from tests.bench.gateway.load import Call, Taken, at_a_rate, at_once
from tests.bench.gateway.processes import Running, running
from tests.upstream import Upstream

_QUESTION = "When does the ferry sail?"
_PROMPT = Prompt(messages=(Message(role="user", content=Text.ours(_QUESTION)),))
_ONE, _MANY = "Nine", " ".join(["The ferry sails at nine in the morning, and"] * 6)
_LIMITS: Mapping[str, tuple[str, ...]] = {
    "none": (),
    "a budget": ("--budget", "1000"),
    "a quota": ("--per-day", "9999999"),
}
_PRICE = {"EDGEWISE_CLOUD__USD_PER_MTOK_PROMPT": "0.1", "EDGEWISE_CLOUD__USD_PER_MTOK_COMPLETION": "0.4"}
_PER_S = 100
_CLIENTS = 8
_SOAK = 10_000

Rows = list[Mapping[str, object]]


async def added(directory: Path, seconds: float) -> tuple[Rows, dict[str, float | None]]:
    """One token at a fixed rate, then as fast as eight callers can; by what limits the caller's key has."""
    recorded = _recorded(directory, _ONE)
    keys = {name: _new_key(directory, f"bench{at}", *limits) for at, (name, limits) in enumerate(_LIMITS.items())}
    rows: Rows = []
    taken: dict[str, tuple[Taken, Taken]] = {}
    with _gateway(directory, recorded) as served:
        async with _straight(recorded) as bare:
            alone = await at_a_rate(bare, _PER_S, int(seconds * _PER_S))
        for name, key in keys.items():
            async with _calling(served, key) as call:
                await at_once([call] * _CLIENTS, 1)
                taken[name] = (
                    await at_a_rate(call, _PER_S, int(seconds * _PER_S)),
                    await at_once([call] * _CLIENTS, seconds),
                )
    rows.append({"what": "backend", "p50_ms": alone.ms(0.5), "p99_ms": alone.ms(0.99)})
    rows += [
        {"what": "gateway", "limits": name, "p50_ms": steady.ms(0.5), "p99_ms": steady.ms(0.99),
         "one_token_per_s": fast.per_s}
        for name, (steady, fast) in taken.items()
    ]  # fmt: skip
    steady, fast = taken["none"]
    return rows, {
        "overhead_p50_ms": steady.ms(0.5) - alone.ms(0.5),
        "overhead_p99_ms": steady.ms(0.99) - alone.ms(0.99),
        "one_token_generate_per_s": fast.per_s,
    }


async def drift(directory: Path, calls: int = _SOAK) -> tuple[Rows, dict[str, float | None]]:
    """The gateway's memory after a fifth of some calls of fifty tokens, and after all of them."""
    key = _new_key(directory, "soak", "--budget", "1000000")
    with _gateway(directory, _recorded(directory, _MANY)) as served:
        async with _calling(served, key) as call:
            sizes = []
            for _ in range(5):
                await _in_all(call, calls // 5)
                sizes.append(served.rss_mb)
    return [{"what": "memory", "calls": calls, "rss_mb": sizes}], {"rss_drift": sizes[-1] / sizes[0] - 1}


async def cancels(directory: Path, count: int) -> tuple[Rows, dict[str, float | None]]:
    """From a caller's cancel to the end of the connection upstream: before the first token, and in mid-answer."""
    rows: Rows = []
    key = _new_key(directory, "cancels")
    for behaviour in ("hang", "hang-midway"):
        with Upstream() as upstream:
            settings = {"EDGEWISE_CLOUD__BASE_URL": upstream.url, "EDGEWISE_CLOUD__MODEL": behaviour}
            with _gateway(directory, None, settings) as served:
                times = sorted([await _cancelled(served, key, upstream) for _ in range(count)])
        rows.append(
            {"what": "cancel", "upstream": behaviour, "p50_ms": 1000 * times[len(times) // 2],
             "p99_ms": 1000 * times[min(int(0.99 * count), count - 1)]}
        )  # fmt: skip
    return rows, {"cancel_p99_ms": max(float(str(row["p99_ms"])) for row in rows)}


async def _cancelled(served: Running, key: str, upstream: Upstream) -> float:
    upstream.reset()
    async with grpc.aio.insecure_channel(served.address) as channel:
        call = cloud_pb2_grpc.CloudServiceStub(channel).Generate(_request(), metadata=_metadata(key))
        reading = asyncio.ensure_future(_read(call))
        await asyncio.to_thread(upstream.arrived.wait, 10)
        await asyncio.sleep(0.05)  # so that an answer that begins has begun
        cancelled = time.perf_counter()
        call.cancel()
        if not await asyncio.to_thread(upstream.released.wait, 10):
            raise SystemExit("a cancelled call held its connection upstream for ten seconds")
        taken = time.perf_counter() - cancelled
        await asyncio.wait({reading})
        return taken


async def _read(call: grpc.aio.UnaryStreamCall[object, object]) -> None:
    try:
        async for _ in call:
            pass
    except asyncio.CancelledError:
        return


async def _in_all(call: Call, count: int) -> None:
    for _ in range(count // _CLIENTS):
        await asyncio.gather(*(call() for _ in range(_CLIENTS)))


def _recorded(directory: Path, answer: str) -> Path:
    file = directory / "recorded.jsonl"
    line = {"prompt": _QUESTION, "answer": answer, "prompt_tokens": 12, "cost_usd": 0.000001}
    file.write_text(json.dumps(line) + "\n", encoding="utf-8")
    return file


def _new_key(data_dir: Path, name: str, *limits: str) -> str:
    command = (sys.executable, "-m", "router", "cloud", "keys", "add", name, *limits, "--data-dir", str(data_dir))
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return next(word for word in done.stdout.split() if word.startswith("ew_"))


@contextmanager
def _gateway(data_dir: Path, recorded: Path | None, settings: Mapping[str, str] | None = None) -> Iterator[Running]:
    replay = {"EDGEWISE_CLOUD__BACKEND": "replay", "EDGEWISE_CLOUD__REPLAY_FILE": str(recorded), **_PRICE}
    chosen = replay if recorded else {"EDGEWISE_CLOUD__BACKEND": "openai_compatible", **(settings or {})}
    where = ("--address", "127.0.0.1:0", "--data-dir", str(data_dir))
    # More than the callers, so that none of them is refused because another one's call is still being ended.
    with running("cloud", "serve", *where, settings={**chosen, "EDGEWISE_CLOUD__MAX_CONCURRENT": "64"}) as served:
        yield served


@asynccontextmanager
async def _straight(recorded: Path) -> AsyncIterator[Call]:
    backend = await open_replay(CloudSettings(backend="replay", replay_file=recorded))

    async def call() -> None:
        async with aclosing(backend.generate(_PROMPT, Options())) as events:
            async for _ in events:
                pass

    yield call
    await backend.close()


@asynccontextmanager
async def _calling(served: Running, key: str) -> AsyncIterator[Call]:
    request, metadata = _request(), _metadata(key)
    async with grpc.aio.insecure_channel(served.address) as channel:
        stub = cloud_pb2_grpc.CloudServiceStub(channel)

        async def call() -> None:
            async for _ in stub.Generate(request, metadata=metadata):
                pass

        yield call


def _request() -> cloud_pb2.CloudServiceGenerateRequest:
    return cloud_pb2.CloudServiceGenerateRequest(
        prompt=pack(_PROMPT, types_pb2.Prompt), options=pack(Options(), types_pb2.Options)
    )


def _metadata(key: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {key}"),)
