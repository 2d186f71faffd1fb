"""Ways to put calls on a server, and what they took."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

Call = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Taken:
    """The latencies of some calls, sorted, and the time in which they all were made. Seconds."""

    latencies: tuple[float, ...]
    wall_s: float

    @property
    def per_s(self) -> float:
        return len(self.latencies) / self.wall_s

    def ms(self, quantile: float) -> float:
        return 1000 * self.latencies[min(int(quantile * len(self.latencies)), len(self.latencies) - 1)]


async def at_a_rate(call: Call, per_s: float, count: int) -> Taken:
    """Calls begin at fixed times, whatever the ones before them do. A latency counts from when a call was due."""
    started = time.perf_counter()

    async def due(number: int) -> float:
        at = started + number / per_s
        await asyncio.sleep(at - time.perf_counter())
        await call()
        return time.perf_counter() - at

    latencies = await asyncio.gather(*(due(number) for number in range(count)))
    return Taken(tuple(sorted(latencies)), time.perf_counter() - started)


async def at_once(calls: Sequence[Call], seconds: float) -> Taken:
    """Each of some clients calls, and again as soon as it has its answer."""
    latencies: list[float] = []
    started = time.perf_counter()

    async def client(call: Call) -> None:
        while (begun := time.perf_counter()) < started + seconds:
            await call()
            latencies.append(time.perf_counter() - begun)

    await asyncio.gather(*map(client, calls))
    return Taken(tuple(sorted(latencies)), time.perf_counter() - started)
