"""How requests ended, what went wrong, and whether the node's memory is flat."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from statistics import fmean, median

from edge.client import EdgeClient
from edgewise.errors import EdgewiseError, Overloaded
from edgewise.types import Value
from tests.soak.child import Sample
from tests.soak.traffic import GivenUp, Request, Violation

_PATIENCE_S = 120.0
_SHOWN = 20
_FLAT = 0.05
"""So much may the last third's memory exceed the first one's: 5 %, of some 350 MB."""
_JUDGED_S = 60.0
"""A shorter run says nothing about memory: caches still fill."""


class Tally:
    """Sends requests and counts how they end."""

    def __init__(self) -> None:
        self.ends: dict[str, Counter[str]] = {}
        self.violations: list[str] = []
        self.violated = 0

    @property
    def requests(self) -> int:
        return sum(sum(ends.values()) for ends in self.ends.values())

    async def send(self, edge: EdgeClient, request: Request) -> None:
        """Returns when the request has ended, however that is."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await request.send(edge)
            end = "answered"
            if request.must:
                self.violation(f"{request.kind}: answered, where {request.must.__name__} was due")
        except EdgewiseError as error:
            end = type(error).__name__
            if not isinstance(error, (Overloaded, *request.may)):
                self.violation(f"{request.kind}: {end}: {error.message}")
        except GivenUp:
            end = "given up"
        except TimeoutError:
            end = "none"
            self.violation(f"{request.kind}: no end within {_PATIENCE_S:g} s")
        except Violation as violation:
            end = "wrong"
            self.violation(f"{request.kind}: {violation}")
        self.ends.setdefault(request.kind, Counter())[end] += 1

    def violation(self, what: str) -> None:
        self.violated += 1
        if len(self.violations) < _SHOWN:
            self.violations.append(what[:500])


class Memory(Value):
    """Of the first and the last third of the samples; `slope_mb` is the growth a minute, by least squares."""

    first_mb: float
    last_mb: float
    peak_mb: float
    slope_mb: float
    threads_first: int
    threads_last: int
    is_judged: bool

    @property
    def is_flat(self) -> bool:
        return self.last_mb <= self.first_mb * (1 + _FLAT) and self.threads_last <= self.threads_first


def memory(samples: Sequence[Sample]) -> Memory:
    third = max(1, len(samples) // 3)
    first, last = samples[:third], samples[-third:]
    return Memory(
        first_mb=median(sample.rss_mb for sample in first),
        last_mb=median(sample.rss_mb for sample in last),
        peak_mb=max(sample.rss_mb for sample in samples),
        slope_mb=_slope(samples) * 60,
        threads_first=max(sample.threads for sample in first),
        threads_last=max(sample.threads for sample in last),
        is_judged=samples[-1].at_s - samples[0].at_s >= _JUDGED_S,
    )


def _slope(samples: Sequence[Sample]) -> float:
    mean_s, mean_mb = fmean(sample.at_s for sample in samples), fmean(sample.rss_mb for sample in samples)
    spread = sum((sample.at_s - mean_s) ** 2 for sample in samples)
    together = sum((sample.at_s - mean_s) * (sample.rss_mb - mean_mb) for sample in samples)
    return together / spread if spread else 0.0
