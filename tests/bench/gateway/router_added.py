"""What the router adds: the daemon before a stub edge, beside a bare relay of bytes and the stub itself.

Client, middle and edge are processes of their own in each case. Questions are asked in `edge_only`, each one checked,
counted and recorded; the relay knows nothing of what it passes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc

from edgewise.v1 import edge_pb2, edge_pb2_grpc, router_pb2, router_pb2_grpc, types_pb2
from tests.bench.gateway.load import Call, Taken, at_once
from tests.bench.gateway.processes import running

_CLIENTS = 8
_TOKENS = 200
_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class _Way:
    """One way to an answer of so many tokens."""

    name: str
    one: Call
    many: Call


@asynccontextmanager
async def _ways(directory: Path) -> AsyncIterator[tuple[_Way, ...]]:
    async with AsyncExitStack() as stack:
        edge = stack.enter_context(running("tests.bench.gateway.stub_edge", "127.0.0.1:0"))
        relay = stack.enter_context(running("tests.bench.gateway.relay", "127.0.0.1:0", edge.address))
        up = ("router", "up", "--grpc-address", "127.0.0.1:0", "--http-address", "127.0.0.1:0")
        settings = {"EDGEWISE_EDGE__ADDRESS": edge.address}
        daemon = stack.enter_context(running(*up, "--data-dir", str(directory), settings=settings))
        channels = [
            await stack.enter_async_context(grpc.aio.insecure_channel(place.address)) for place in (edge, relay, daemon)
        ]
        token = (directory / "token").read_text(encoding="utf-8").strip()
        yield (
            *(_generating(name, channel) for name, channel in zip(("direct", "relay"), channels, strict=False)),
            _asking("router", channels[2], token),
        )


def _generating(name: str, channel: grpc.aio.Channel) -> _Way:
    stub = edge_pb2_grpc.EdgeServiceStub(channel)
    content = types_pb2.Text(value="When does the ferry sail?")
    prompt = types_pb2.Prompt(messages=[types_pb2.Message(role="user", content=content)])

    def generating(tokens: int) -> Call:
        options = types_pb2.Options(sampling=types_pb2.Sampling(max_tokens=tokens, top_p=1, repeat_penalty=1))
        request = edge_pb2.EdgeServiceGenerateRequest(prompt=prompt, options=options)

        async def call() -> None:
            async for _ in stub.Generate(request):
                pass

        return call

    return _Way(name, generating(1), generating(_TOKENS))


def _asking(name: str, channel: grpc.aio.Channel, token: str) -> _Way:
    stub = router_pb2_grpc.RouterServiceStub(channel)
    metadata = (("authorization", f"Bearer {token}"),)

    def asking(tokens: int) -> Call:
        sampling = types_pb2.Sampling(max_tokens=tokens, top_p=1, repeat_penalty=1)
        request = router_pb2.AskRequest(text="When does the ferry sail?", mode="edge_only", sampling=sampling)

        async def call() -> None:
            async for _ in stub.Ask(request, metadata=metadata):
                pass

        return call

    return _Way(name, asking(1), asking(_TOKENS))


async def measured(directory: Path, seconds: float) -> tuple[list[Mapping[str, object]], dict[str, float | None]]:
    """Each way in turn, and again: at each figure the best round counts, of every way."""
    one: dict[str, list[Taken]] = {}
    eight: dict[str, list[Taken]] = {}
    streams: dict[str, list[Taken]] = {}
    async with _ways(directory) as ways:
        for way in ways:
            await at_once([way.one] * _CLIENTS, 1)  # everything has been used once
        for _ in range(_ROUNDS):
            for way in ways:
                one.setdefault(way.name, []).append(await at_once([way.one], seconds / _ROUNDS))
                eight.setdefault(way.name, []).append(await at_once([way.one] * _CLIENTS, seconds / _ROUNDS))
                streams.setdefault(way.name, []).append(await at_once([way.many] * _CLIENTS, seconds / _ROUNDS))
                await asyncio.sleep(0.1)
    p50 = {name: min(taken.ms(0.5) for taken in rounds) for name, rounds in one.items()}
    p99 = {name: min(taken.ms(0.99) for taken in rounds) for name, rounds in one.items()}
    calls = {name: max(taken.per_s for taken in rounds) for name, rounds in eight.items()}
    tokens = {name: _TOKENS * max(taken.per_s for taken in rounds) for name, rounds in streams.items()}
    rows: list[Mapping[str, object]] = [
        {"what": "router", "way": name, "p50_ms": p50[name], "p99_ms": p99[name], "calls_per_s_of_8": calls[name],
         "tokens_per_s_of_8": tokens[name]}
        for name in calls
    ]  # fmt: skip
    return rows, {
        "routed_vs_bare_relay": calls["router"] / calls["relay"],
        "router_added_p50_ms": p50["router"] - p50["direct"],
        "router_added_p99_ms": p99["router"] - p99["direct"],
        "relayed_tokens_per_s": tokens["router"],
    }
