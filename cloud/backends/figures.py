"""What can be observed of the gate: counters and states, without a word of what was asked or answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["closed", "open", "half-open"]


@dataclass(slots=True)
class UpstreamFigures:
    """One upstream since the gateway began. All but `state`, its breaker's, only grow.

    `overloaded` are its 429s, which are no `failures`; `denied` the retries that the retry budget did not pay for;
    `passed_over` the calls that went on to the next upstream. `usage_impossible` was not billed, `usage_doubtful` was.
    """

    name: str
    tries: int = 0
    answers: int = 0
    failures: int = 0
    overloaded: int = 0
    retries: int = 0
    denied: int = 0
    opened: int = 0
    passed_over: int = 0
    usage_impossible: int = 0
    usage_doubtful: int = 0
    state: State = "closed"


@dataclass(slots=True)
class GateFigures:
    """The gate as a whole: what was answered without asking anybody."""

    upstreams: tuple[UpstreamFigures, ...] = ()
    cache_hits: int = 0
    cache_misses: int = 0
    repeated: int = 0
