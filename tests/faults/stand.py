"""A router with everything behind it on loopback, and a wire that can fail in front of each part; what went where.

    caller -gRPC-> router -near-> gateway -far-> upstream        (and a collector that the router tells of its answers)

The edge is a fake in this process: its own faults are those of `test_daemon_faults.py` and `test_process_faults.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

from cloud.client import CloudClient
from cloud.config import CloudSettings
from cloud.gateway import CloudGateway
from cloud.server import service as cloud_service
from cloud.terms import Gate, Terms
from edgewise.callers import owner_of
from edgewise.client import Client
from edgewise.rpc import start_server
from edgewise.types import Chunk, Completion, Findings, Options, Prompt, Query, Released, SideStatus
from router.config import RouterSettings
from router.egress import AuditLog, Boundary, Policy, read_rows
from router.log import Log
from router.server import service as router_service
from router.service import Router, local_time
from router.telemetry.config import TelemetrySettings
from router.telemetry.telemetry import Telemetry
from tests.arbiters import an_arbiter
from tests.collectors import Collector
from tests.faults.wire import Wire
from tests.routers import TOKEN, log_url
from tests.sides import FakeEdge
from tests.upstream import KEY, WORDS, Upstream

SILENT = {"timeout_s": 0.3, "connect_timeout_s": 0.3}
"""The settings of a gateway whose upstream is to say nothing; any other one has patience with a machine at work."""
USD_PER_MTOK = 1000.0
"""A price that no rounding hides."""


class Misbehaving(Upstream):
    """Does what `behaves` says, whatever model is asked for."""

    behaves = "ok"
    pause_s = 0.01
    """Between two tokens, so that a wire can break between them."""

    def behaviour(self, _: dict[str, Any]) -> str:
        return self.behaves

    async def _stream(self, model: str, body: dict[str, Any]) -> AsyncIterator[str]:
        async for event in super()._stream(model, body):
            yield event
            await asyncio.sleep(self.pause_s)


@dataclass(frozen=True, slots=True)
class Sinks:
    """What stays from one fault to the next: an upstream and a collector, which run on threads of their own."""

    upstream: Misbehaving
    collector: Collector

    def reset(self) -> None:
        self.upstream.reset()
        self.upstream.behaves = "ok"
        self.collector.status, self.collector.stuck = 200, False
        self.collector.released.clear()
        self.collector.requests.clear()


@dataclass
class Book:
    """What a gateway has served: the cost of every call, None where it did not come to its end.

    `unnoted` counts the calls that came in before the device had written them down.
    """

    directory: Path
    served: list[float | None] = field(default_factory=list)
    arrived: int = 0
    unnoted: int = 0
    of_question: dict[str, list[int]] = field(default_factory=dict)
    is_watched: bool = True

    def begins(self, options: Options) -> int:
        """The place of a call's cost, which is not known yet."""
        self.served.append(None)
        self.of_question.setdefault(options.question_hash, []).append(len(self.served) - 1)
        return len(self.served) - 1

    def arrives(self) -> None:
        self.arrived += 1
        if self.is_watched:
            self.unnoted += self.noted < self.arrived

    @property
    def noted(self) -> int:
        """The tries that the device has written down."""
        rows = read_rows(self.directory)
        return sum(row.event == "try" and row.destination == "cloud" for row in rows)


@dataclass(frozen=True)
class Till:
    """The gate, with a book of its own."""

    gate: Gate
    book: Book

    async def generate(self, prompt: Released[Prompt], options: Options) -> AsyncGenerator[Chunk | Completion]:
        self.book.arrives()
        place: int | None = None
        async with aclosing(self.gate.generate(prompt, options)) as events:
            async for event in events:
                if place is None:
                    place = self.book.begins(options)
                if isinstance(event, Completion):
                    self.book.served[place] = event.cost_usd
                yield event

    async def retrieve(self, query: Released[Query], timeout_s: float | None = None) -> Findings:
        self.book.arrives()
        findings = await self.gate.retrieve(query, timeout_s)
        self.book.served.append(findings.cost_usd)
        return findings

    async def status(self) -> SideStatus:
        return await self.gate.status()

    @property
    def most_bills(self) -> int:
        return self.gate.most_bills

    def under(self, terms: Terms) -> Self:
        return replace(self, gate=self.gate.under(terms))

    async def forget_answers(self) -> int:
        return await self.gate.forget_answers()


class Watch:
    """The wall clock of the device, which a fault may set."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def __call__(self) -> datetime:
        return local_time() + self.ahead


@dataclass(slots=True)
class Stand:
    directory: Path
    router: Router
    log: Log
    edge: FakeEdge
    client: Client
    address: str
    near: Wire
    far: Wire
    book: Book
    sinks: Sinks
    watch: Watch
    gateway: Gatehouse
    beside: list[asyncio.Task[None]]
    """What is to happen while something is asked; its failures are the test's."""


@dataclass
class Gatehouse:
    """The gateway's server, which can go away and come back at its port."""

    gate: Gate
    address: str = "127.0.0.1:0"
    _server: Any = None

    async def open(self) -> None:
        self._server, self.address = await start_server(
            [cloud_service(self.gate)], self.address, callers=owner_of(TOKEN)
        )

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(0)
            self._server = None

    async def restart(self) -> None:
        await self.stop()
        await self.open()


@asynccontextmanager
async def standing(
    directory: Path,
    sinks: Sinks,
    edge: FakeEdge,
    *,
    cloud: Mapping[str, object] = {},
    router: RouterSettings = RouterSettings(gain_threshold=0),
    gateway_address: str = "",
    token: str = TOKEN,
) -> AsyncIterator[Stand]:
    """All of it, in this process; `gateway_address` in the place of the near wire's, which is `{near}` in it."""
    async with AsyncExitStack() as exits:
        far = await exits.enter_async_context(Wire(_place(sinks.upstream.url), WORDS[0].encode()))
        gateway = await CloudGateway.open(_cloud_settings(far, cloud), directory)
        exits.push_async_callback(gateway.close)
        book = Book(directory)
        gatehouse = Gatehouse(Till(gateway, book))
        await gatehouse.open()
        exits.push_async_callback(gatehouse.stop)
        near = await exits.enter_async_context(Wire(gatehouse.address, WORDS[0].encode()))
        client = CloudClient.to(_address(directory, near, gateway_address, token))
        exits.push_async_callback(client.close)
        watch = Watch()
        audit = AuditLog(directory, wall=watch)
        exits.push_async_callback(asyncio.to_thread, audit.close)
        boundary = Boundary(Policy("allow"), audit, near.address)
        telemetry = Telemetry.open(
            TelemetrySettings(otlp_endpoint=sinks.collector.url, interval_s=0.05, content=True, timeout_s=1, close_s=1),
            boundary,
        )
        exits.push_async_callback(asyncio.to_thread, telemetry.close)
        records = await Log.open(log_url(directory), backlog=directory / "backlog.jsonl", retry_s=0.05)
        exits.push_async_callback(records.close)
        asked = Router(
            edge, client, records, boundary, router, arbiter=an_arbiter(router), observers=(telemetry,),
            wall=watch,
        )  # fmt: skip
        exits.push_async_callback(asked.close)
        server, address = await start_server([router_service(asked)], "127.0.0.1:0", callers=owner_of(TOKEN))
        exits.push_async_callback(server.stop, None)
        door = await exits.enter_async_context(Client(address, TOKEN))
        beside: list[asyncio.Task[None]] = []
        yield Stand(
            directory, asked, records, edge, door, address, near, far, book, sinks, watch, gatehouse, beside
        )  # fmt: skip
        await asyncio.gather(*beside)


def _cloud_settings(far: Wire, changes: Mapping[str, object]) -> CloudSettings:
    given: dict[str, object] = {
        "backend": "openai_compatible",
        "base_url": "http://{far}/v1",
        "model": "m",
        "api_key": KEY,
        "attempts": 2,
        "timeout_s": 30,
        "connect_timeout_s": 30,
        "retry_budget_s": 0.5,
        "breaker_failures": 1000,
        "usd_per_mtok_prompt": USD_PER_MTOK,
        "usd_per_mtok_completion": USD_PER_MTOK,
    }
    given |= changes
    given["base_url"] = str(given["base_url"]).format(far=far.address)
    return CloudSettings.model_validate(given)


def _address(directory: Path, near: Wire, gateway_address: str, token: str) -> CloudSettings:
    """Of the gateway, as a router has it in its settings."""
    file = directory / "gateway-token"
    file.write_text(token)
    address = (gateway_address or "{near}").format(near=near.address)
    return CloudSettings(address=address, token_file=file, connect_timeout_s=1.0, plaintext=True)


def _place(url: str) -> str:
    return url.removeprefix("http://").partition("/")[0]
