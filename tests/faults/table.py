"""The faults between a router and what is behind it: how each is provoked, and what must come out. One row, one fault.

`test_fault_table.py` runs them all through one harness, which checks the six invariants (`invariants.py`) after each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from tests.faults.stand import SILENT, Stand
from tests.faults.wire import Moment, Way

Provoke = Callable[[Stand], Awaitable[None]]
Comes = Literal["the edge", "the edge, or nothing once it began", "the cloud", "nothing in time"]
"""Who answers in the place of the cloud: `the edge` (degraded, and saying why); the same, but an answer that the caller
already sees the beginning of ends with an error, because nobody takes over; `the cloud` all the same; or nobody before
the time is over that the caller gave."""

WRITING = ("cloud_only", "pre_arbitration", "post_arbitration")
ALL = (*WRITING, "cloud_only+rag", "post_arbitration+cascade", "cloud_info_edge_rag", "agent", "auto")


@dataclass(frozen=True, slots=True)
class Fault:
    """`says` is in the reason of a degraded answer, or in the error. `cloud` are settings of the gateway."""

    name: str
    provoke: Provoke
    comes: Comes
    says: str = ""
    modes: tuple[str, ...] = WRITING
    cloud: Mapping[str, object] = field(default_factory=dict)
    gateway_address: str = ""
    token: str = ""

    def __str__(self) -> str:
        return self.name


def upstream(behaves: str) -> Provoke:
    async def provoke(stand: Stand) -> None:
        stand.sinks.upstream.behaves = behaves

    return provoke


def far(way: Way, moment: Moment = "at once") -> Provoke:
    """Of the wire between the gateway and its upstream."""

    async def provoke(stand: Stand) -> None:
        await stand.far.breaks(way, moment)

    return provoke


def near(way: Way, moment: Moment = "at once") -> Provoke:
    """Of the wire between the router and its gateway."""

    async def provoke(stand: Stand) -> None:
        await stand.near.breaks(way, moment)
        if moment != "at once":  # after the break before, gRPC waits a moment until it connects again
            async with asyncio.timeout(10):
                while not (await stand.router.status())[1].ready:  # noqa: ASYNC110 - of things that tell nobody
                    await asyncio.sleep(0.02)

    return provoke


async def nothing(_: Stand) -> None:
    """The fault is in the settings."""


async def collector_stuck(stand: Stand) -> None:
    stand.sinks.collector.stuck = True


async def collector_fails(stand: Stand) -> None:
    stand.sinks.collector.status = 503


async def gateway_gone(stand: Stand) -> None:
    await stand.gateway.stop()


async def gateway_restarted(stand: Stand) -> None:
    await stand.gateway.restart()


def gateway_restarted_during(behaves: str) -> Provoke:
    """While the upstream does that."""

    async def provoke(stand: Stand) -> None:
        stand.sinks.upstream.behaves = behaves
        stand.sinks.upstream.arrived.clear()
        stand.beside.append(asyncio.create_task(restart(stand)))

    async def restart(stand: Stand) -> None:
        async with asyncio.timeout(10):
            while not stand.sinks.upstream.arrived.is_set():  # noqa: ASYNC110 - it is set by another thread
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)  # for some tokens
        await stand.gateway.restart()

    return provoke


EDGE: Comes = "the edge"
BROKEN: Comes = "the edge, or nothing once it began"
CLOUD: Comes = "the cloud"
LATE: Comes = "nothing in time"
_FAR: tuple[Fault, ...] = (
    Fault("upstream refuses connections", far("refused"), EDGE, "cannot be reached"),
    Fault("upstream accepts and never answers", far("black hole"), EDGE, "sent nothing for 0.3 s", cloud=SILENT),
    Fault("upstream half-open from the start", far("half-open"), EDGE, "sent nothing for 0.3 s", cloud=SILENT),
    Fault(
        "upstream half-open after a token",
        far("half-open", "after the first token"),
        BROKEN,
        "sent nothing",
        cloud=SILENT,
    ),
    Fault("upstream drips a byte a second", far("drip"), EDGE, "sent nothing for 0.3 s", cloud=SILENT),
    Fault("upstream cut before the first token", far("cut", "before the first token"), EDGE),
    Fault("upstream cut after the first token", far("cut", "after the first token"), BROKEN),
    Fault("upstream reset before the first token", far("reset", "before the first token"), EDGE),
    Fault("upstream reset after the first token", far("reset", "after the first token"), BROKEN),
    Fault("upstream speaks another protocol", far("garbage"), EDGE, cloud=SILENT),
    Fault("upstream is slow", far("slow"), CLOUD),
    Fault("upstream has no TLS", nothing, EDGE, "cannot be reached", cloud={"base_url": "https://{far}/v1"}),
    Fault("429 with Retry-After", upstream("429"), EDGE, "429"),
    Fault("429 with an odd Retry-After", upstream("429-odd"), EDGE, "429"),
    Fault("429 for want of money", upstream("quota"), EDGE, "billing"),
    Fault("401", upstream("401"), EDGE, "refused the API key"),
    Fault("404", upstream("404"), EDGE, "check cloud.model"),
    Fault("500", upstream("500"), EDGE, "failed (500)"),
    Fault("503", upstream("503"), EDGE, "failed (503)"),
    Fault("a web page", upstream("html"), EDGE, "check cloud.base_url"),
    Fault("a redirect", upstream("redirect"), EDGE, "HTTP 307"),
    Fault("no JSON", upstream("not-json"), EDGE, "check cloud.base_url"),
    Fault("no UTF-8", upstream("not-utf8"), EDGE, "check cloud.base_url"),
    Fault("other JSON", upstream("other-json"), EDGE, "check cloud.base_url"),
    Fault("an error in the middle", upstream("error-midway"), BROKEN, "the engine died"),
    Fault("an end in the middle", upstream("short"), BROKEN, "not a whole answer"),
    Fault("silence in the middle", upstream("hang-midway"), BROKEN, "sent nothing", cloud=SILENT),
    Fault("keep-alives for ever", upstream("keep-alive"), BROKEN, "sent nothing", cloud=SILENT),
    Fault("an answer withheld by the provider", upstream("filter"), BROKEN, "withheld"),
    Fault("no usage", upstream("no-usage"), CLOUD),
    Fault("a failure, then an answer", upstream("flaky-1"), CLOUD),
    Fault("429 without Retry-After", upstream("429-bare"), EDGE, "429"),
    Fault("503 with Retry-After", upstream("503-wait"), EDGE, "503"),
    Fault("an endless answer", upstream("endless"), CLOUD),
    Fault("endless pieces without words", upstream("endless-silence"), LATE),
    Fault("an endless line", upstream("endless-line"), EDGE),
    Fault("an endless error", upstream("endless-refusal"), EDGE),
    Fault("usage below zero", upstream("usage-negative"), CLOUD),
    Fault("usage of nothing", upstream("usage-none"), CLOUD),
    Fault("usage of a million tokens", upstream("usage-absurd"), CLOUD),
    Fault("usage in words", upstream("usage-words"), CLOUD),
)
_NEAR: tuple[Fault, ...] = (
    Fault("gateway refuses connections", near("refused"), EDGE, "cannot be reached", ALL),
    Fault("gateway cut at once", near("cut"), EDGE, "", ALL),
    Fault("gateway reset at once", near("reset"), EDGE, "", ALL),
    Fault("gateway speaks another protocol", near("garbage"), EDGE, "", ALL),
    Fault("gateway accepts and never answers", near("black hole"), EDGE, "", ("cloud_only", "cloud_info_edge_rag")),
    Fault("gateway cut before the first token", near("cut", "before the first token"), EDGE),
    Fault("gateway cut after the first token", near("cut", "after the first token"), BROKEN),
    Fault("gateway reset after the first token", near("reset", "after the first token"), BROKEN),
    Fault("gateway half-open after a token", near("half-open", "after the first token"), LATE),
    Fault("gateway is slow", near("slow"), CLOUD),
    Fault("gateway gone", gateway_gone, EDGE, "", ALL),
    Fault("gateway restarted", gateway_restarted, CLOUD),
    Fault("gateway restarted before the first token", gateway_restarted_during("hang"), EDGE, cloud=SILENT),
    Fault("gateway restarted after the first token", gateway_restarted_during("hang-midway"), BROKEN, cloud=SILENT),
    Fault("gateway's name is unknown", nothing, EDGE, "cannot be reached", ALL, gateway_address=f"{'x' * 64}.test:1"),
    Fault("gateway has no TLS", nothing, EDGE, "has no TLS", ALL, gateway_address="https://{near}"),
    Fault("gateway refuses the token", nothing, EDGE, "refused the token", ALL, token="another"),
)
_BESIDE: tuple[Fault, ...] = (
    Fault("collector hangs", collector_stuck, CLOUD, modes=("cloud_only", "post_arbitration")),
    Fault("collector fails", collector_fails, CLOUD, modes=("cloud_only", "post_arbitration")),
)
FAULTS = (*_FAR, *_NEAR, *_BESIDE)
