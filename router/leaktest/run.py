"""Asks what the plan says, and looks for every secret at every sink."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from edgewise.errors import EdgewiseError, NotReady
from edgewise.types import Done, Event, Ingested, Question, SideStatus, Text, Upload
from router.egress import Policy
from router.leaktest.plan import Batch, Plan, Probe
from router.leaktest.report import Control, Leak, Report
from router.leaktest.sinks import Fault, Sinks

_AT_ONCE = 4
_PATIENCE_S = 1.0
"""Of a question while the cloud hangs."""
_MOST_S = 60.0
OnProgress = Callable[[int, str], None]
Ingest = Callable[[Upload], Awaitable[Ingested]]


class Asked(Protocol):
    """What of a router is tested."""

    def ask(self, question: Question) -> AsyncGenerator[Event]: ...

    async def status(self) -> tuple[SideStatus, SideStatus]: ...

    def trace(self) -> AsyncGenerator[tuple[str, int]]: ...


class OpenPolicy(Policy):
    """Holds nothing, to see that a test finds what gets out."""

    def held_because(self, text: Text) -> str | None:
        return None


@dataclass
class Run:
    """What was asked, of any number of plans, and how it ended; `report` says what got out."""

    sinks: Sinks
    on_progress: OnProgress
    asked: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    probed: list[tuple[Probe, Fault | str]] = field(default_factory=list)

    async def carry_out(self, plan: Plan, router: Asked, ingest: Ingest) -> None:
        for document in plan.documents:
            result = await ingest(document)
            if result.status != "INGESTED":
                raise NotReady(f"a document of the test cannot be ingested: {result.reason or result.status}")
        for batch in plan.batches:
            await self.sinks.be(batch.fault)
            if batch.fault != "refused":
                await _cloud_is_there(router)
            await self._ask_all(batch, router)
        await self.sinks.be("none")
        async with aclosing(router.trace()) as lines:
            async for line, _ in lines:
                self.sinks.exports.raw.append(line.encode())
                self.sinks.exports.calls += 1

    async def _ask_all(self, batch: Batch, router: Asked) -> None:
        room = asyncio.Semaphore(_AT_ONCE)
        name = "edge killed" if batch.kills_edge else batch.fault

        async def ask(probe: Probe) -> None:
            async with room:
                self.probed.append((probe, name))
                for question in probe.questions:
                    self.ends[await _end_of(question, router, hangs=batch.fault == "hang")] += 1
                    self.asked += 1
                self.on_progress(self.asked, f"{probe.mode}, {probe.place}, {name}")

        async with asyncio.TaskGroup() as group:
            for probe in batch.probes:
                group.create_task(ask(probe))
            if batch.kills_edge:
                group.create_task(_kill_edge())

    def report(self, seed: int) -> Report:
        """Once everything that was to be delivered has been."""
        places = {name: place.haystack for name, place in self.sinks.places.items()}
        leaks = [
            Leak(at=place, found=form, secret=probe.place, mode=probe.mode, fault=fault)
            for probe, fault in self.probed
            if not probe.may_leave
            for place, haystack in places.items()
            if (form := haystack.has(probe.mark))
        ]
        controls = [probe for probe, _ in self.probed if probe.may_leave]
        kept = [probe for probe in controls if not places["cloud"].has(probe.mark)]
        return Report(
            seed=seed,
            questions=self.asked,
            ends=dict(self.ends),
            secrets=len(self.probed) - len(controls),
            arrived={name: place.calls for name, place in self.sinks.places.items()},
            bytes={name: place.size for name, place in self.sinks.places.items()},
            seen={name: sum(bool(hay.has(probe.mark)) for probe in controls) for name, hay in places.items()},
            leaks=tuple(leaks),
            public=_control(controls, kept, "public"),
            harmless=_control(controls, kept, "harmless"),
        )


async def _cloud_is_there(router: Asked) -> None:
    """After it has taken no connection, gRPC waits for a while before it tries again."""
    async with asyncio.timeout(_MOST_S):
        while not (await router.status())[1].ready:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.05)


def _control(asked: Sequence[Probe], kept: Sequence[Probe], kind: str) -> Control:
    stayed = [f"{probe.mode}, {probe.place}" for probe in kept if probe.kind == kind]
    return Control(asked=sum(probe.kind == kind for probe in asked), kept=len(stayed), which=tuple(stayed[:20]))


async def _end_of(question: Question, router: Asked, *, hangs: bool) -> str:
    """`edge`, `cloud`, or the name of an error."""
    given = question.model_copy(update={"max_latency_s": _PATIENCE_S if hangs else _MOST_S})
    end = "none"
    try:
        async with aclosing(router.ask(given)) as events:
            async for event in events:
                if isinstance(event, Done):
                    end = event.author
    except EdgewiseError as error:
        return error.reason
    return end


async def _kill_edge() -> None:
    """Our child, while it works."""
    await asyncio.sleep(0.1)
    await asyncio.to_thread(_kill_edges)


def _kill_edges() -> None:
    """Where there is no /proc to find it in, nothing is killed."""
    with suppress(OSError):
        for task in Path("/proc/self/task").iterdir():
            for pid in (task / "children").read_text(encoding="ascii").split():
                if b"\0edge\0serve\0" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(int(pid), signal.SIGKILL)
