"""What stands in the place of everybody off the device: a cloud and a collector that write down all that arrives.

They fail on demand, because that is when a program reaches for another way out.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from google.protobuf.message import Message

from edgewise.errors import CloudUnavailable, Internal, Overloaded
from edgewise.rpc import Context, Service, start_server
from edgewise.types import Chunk, Completion, CostBasis, Findings, Passage, Privacy, SideStatus, Text, Tokens
from edgewise.v1 import cloud_pb2, types_pb2
from edgewise.wire import pack, pack_chunk
from router.leaktest.marks import Haystack

Fault = Literal["none", "refused", "hang", "error", "overloaded", "cut", "cut after a token"]
"""What the cloud does: nothing wrong; take no connection; never answer; fail; have no room; end without an answer,
before or after its first token. The collector hangs with it, or fails."""
_HANGS_S = 5.0
CLOUD_SAYS = "Nobody here knows for certain"
CLOUD_INFORMS = "The harbour office keeps a list of all vault codes and of every visitor."


@dataclass
class Arrived:
    """Everything that came in at one place."""

    raw: list[bytes] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    calls: int = 0

    @property
    def size(self) -> int:
        return sum(map(len, self.raw))

    @property
    def haystack(self) -> Haystack:
        return Haystack(self.raw, self.texts)


@dataclass
class CloudSink:
    """CloudService for whoever calls."""

    arrived: Arrived = field(default_factory=Arrived)
    fault: Fault = "none"
    address: str = "127.0.0.1:0"
    _server: Any = None

    async def be(self, fault: Fault) -> None:
        self.fault = fault
        if fault == "refused":
            await self.stop()
        elif self._server is None:
            service = Service(cloud_pb2.DESCRIPTOR.services_by_name["CloudService"], self)
            self._server, self.address = await start_server([service], self.address)

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(0)
            self._server = None

    async def Generate(
        self, request: cloud_pb2.CloudServiceGenerateRequest, context: Context
    ) -> AsyncGenerator[cloud_pb2.CloudServiceGenerateResponse]:
        self._take(request, context)
        await self._fail()
        words = CLOUD_SAYS.split()
        for place, word in enumerate(words):
            chunk = Chunk(text=f" {word}" if place else word)
            yield cloud_pb2.CloudServiceGenerateResponse(chunk=pack_chunk(chunk))
            if self.fault == "cut after a token":
                return
        end = Completion(
            finish_reason="stop",
            tokens=Tokens(prompt_tokens=9, completion_tokens=len(words)),
            model="sink",
            cost_usd=0.0,
            cost_basis=CostBasis.SIMULATED,
        )
        yield cloud_pb2.CloudServiceGenerateResponse(completion=pack(end, types_pb2.Completion))

    async def FetchInfo(self, request: cloud_pb2.FetchInfoRequest, context: Context) -> cloud_pb2.FetchInfoResponse:
        self._take(request, context)
        await self._fail()
        text = Text(value=CLOUD_INFORMS, label=Privacy.PUBLIC, sources=("sink",))
        now = datetime.now(UTC)
        found = Passage(
            id=f"sink-{self.arrived.calls}",
            text=text,
            source="sink",
            score=0.9,
            origin="cloud",
            as_of=now.isoformat(),
            expires_at=(now + timedelta(days=1)).isoformat(),
        )
        findings = Findings(passages=(found,), answerable=0.9, cost_usd=0.0)
        return cloud_pb2.FetchInfoResponse(findings=pack(findings, types_pb2.Findings))

    async def GetStatus(
        self, request: cloud_pb2.CloudServiceGetStatusRequest, context: Context
    ) -> cloud_pb2.CloudServiceGetStatusResponse:
        self._take(request, context)
        status = SideStatus(
            ready=True, model="sink", label="a recording sink", usd_per_mtok_prompt=0.0, usd_per_mtok_completion=0.0
        )  # fmt: skip
        return cloud_pb2.CloudServiceGetStatusResponse(status=pack(status, types_pb2.SideStatus))

    async def ForgetAnswers(self, request: Message, context: Context) -> Message:
        self._take(request, context)
        raise Internal("a sink forgets nothing")

    def _take(self, request: Message, context: Context) -> None:
        metadata = [(key, value) for key, value in context.invocation_metadata() or ()]
        self.arrived.raw += [request.SerializeToString(), repr(metadata).encode()]
        self.arrived.texts += _strings(request)
        self.arrived.calls += 1

    async def _fail(self) -> None:
        match self.fault:
            case "hang":
                await asyncio.Event().wait()
            case "error":
                raise Internal("a fault of the sink")
            case "overloaded":
                raise Overloaded("the sink is full", retry_after_s=1)
            case "cut":
                raise CloudUnavailable("the sink broke off")


def _strings(message: Message) -> Iterator[str]:
    """Every string of a message, in order."""
    for description, value in message.ListFields():
        for one in value if description.is_repeated else (value,):
            if isinstance(one, Message):
                yield from _strings(one)
            elif isinstance(one, str):
                yield one


@dataclass
class Collector:
    """Takes OTLP over HTTP."""

    arrived: Arrived = field(default_factory=Arrived)
    fault: Fault = "none"
    url: str = ""

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One delivery and its answer; as much of HTTP as that needs."""
        with suppress(OSError, asyncio.IncompleteReadError), closing(writer):
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
            body = await reader.readexactly(int(length.group(1))) if length else b""
            self.arrived.raw += [head, body]
            self.arrived.calls += 1
            if self.fault == "hang":
                await asyncio.sleep(_HANGS_S)
            status = "200 OK" if self.fault in {"none", "hang"} else "503 Service Unavailable"
            writer.write(f"HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
            await writer.drain()


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    collector = Collector()
    server = await asyncio.start_server(collector.take, "127.0.0.1", 0)
    collector.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield collector
    finally:
        server.close()


@dataclass(frozen=True, slots=True)
class Sinks:
    """All of them. `places` are what is searched, by name."""

    cloud: CloudSink
    collector: Collector
    exports: Arrived

    async def be(self, fault: Fault) -> None:
        self.collector.fault = fault
        await self.cloud.be(fault)

    @property
    def places(self) -> dict[str, Arrived]:
        return {"cloud": self.cloud.arrived, "collector": self.collector.arrived, "exported trace": self.exports}


@asynccontextmanager
async def standing() -> AsyncIterator[Sinks]:
    async with collecting() as collector:
        sinks = Sinks(CloudSink(), collector, Arrived())
        await sinks.be("none")
        try:
            yield sinks
        finally:
            await sinks.cloud.stop()
