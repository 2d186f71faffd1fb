"""Wrappers around the two sides that measure and limit every call. The order, outermost first, is

Metered    writes a SideCall for whatever happened, on an injected monotonic clock
Budgeted   reserves money before a cloud call, settles it after
Gated      lets out only what the policy releases (privacy.py)
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal

from edgewise.errors import Cancelled, CloudUnavailable, EdgewiseError, Internal, OverBudget, Withheld
from edgewise.ports import Edge, Side
from edgewise.types import (
    Author,
    Chunk,
    Completion,
    CostBasis,
    Findings,
    Options,
    Passage,
    Prompt,
    Query,
    Reading,
    Sampling,
    Scores,
    SideStatus,
    Text,
    Timings,
    Tokens,
    Usage,
    Value,
)

Clock = Callable[[], float]
PlainSide = Side[Prompt, Query]


class SideCall(Value):
    """One call of a side, complete enough to be replayed.

    `key` is the SHA-256 of what determines the answer: side, kind, model, prompt or query, sampling, schema. Times are
    seconds since the question arrived. Costs are as in `Completion`.
    """

    key: str
    side: Author
    kind: Literal["generate", "retrieve", "score"]
    request: str
    response: str = ""
    logprobs: tuple[float, ...] = ()
    entropies: tuple[float, ...] = ()
    margins: tuple[float, ...] = ()
    prompt_version: str = ""
    sampling: Sampling | None = None
    model: str = ""
    model_hash: str | None = None
    finish_reason: str | None = None
    tokens: Tokens = Tokens()
    timings: Timings = Timings()
    started_s: float
    first_s: float | None = None
    ended_s: float
    cost_usd: float | None = None
    cost_basis: CostBasis | None = None
    flops: float | None = None
    error: str = ""


class Ledger:
    """The side calls of one question, and their sums."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._start = clock()
        self.calls: list[SideCall] = []

    def now(self) -> float:
        """Seconds since the question arrived."""
        return self._clock() - self._start

    def of(self, side: Author, kind: str | None = None) -> list[SideCall]:
        return [call for call in self.calls if call.side == side and kind in {None, call.kind}]

    @property
    def usage(self) -> Usage:
        return Usage(
            edge=sum((call.tokens for call in self.of("edge")), Tokens()),
            cloud=sum((call.tokens for call in self.of("cloud")), Tokens()),
        )

    @property
    def cost_usd(self) -> float | None:
        """What the cloud calls cost, plus the edge's time where it has a rate; None once a cloud call's is unknown.

        No cloud call costs nothing: that is a fact, not an unknown. The cost of a call that failed before its end is
        unknown, unless it never started generating.
        """
        cloud = [call.cost_usd for call in self.of("cloud") if not call.error or call.first_s is not None]
        if any(cost is None for cost in cloud):
            return None
        return sum(cost or 0.0 for cost in cloud) + sum(call.cost_usd or 0.0 for call in self.of("edge"))

    @property
    def cost_basis(self) -> CostBasis | None:
        """The weakest basis of any cloud call's cost; None when there was none."""
        return CostBasis.weakest(call.cost_basis for call in self.of("cloud"))

    @property
    def flops(self) -> float | None:
        """Of both sides, or None when that of a call which counted tokens is unknown."""
        counts = [call.flops for call in self.calls if call.kind != "retrieve" and call.tokens != Tokens()]
        return None if any(count is None for count in counts) else sum(count or 0.0 for count in counts)


# Refused here, before anything was sent: no call was made.
_NOT_MADE = (Withheld, OverBudget)


class Metered:
    """Writes a SideCall for every call of a side that was made, failed and cancelled ones included."""

    def __init__(self, author: Author, side: PlainSide, ledger: Ledger) -> None:
        self._author: Author = author
        self._side = side
        self._ledger = ledger

    async def generate(self, prompt: Prompt, options: Options) -> AsyncGenerator[Chunk | Completion]:
        started, first = self._ledger.now(), None
        chunks: list[Chunk] = []
        end: Completion | None = None
        error, made = "", True
        try:
            async with aclosing(self._side.generate(prompt, options)) as parts:
                async for part in parts:
                    if isinstance(part, Chunk):
                        first = self._ledger.now() if first is None else first
                        chunks.append(part)
                    else:
                        end = part
                    yield part
        except BaseException as failure:
            error, made = "" if end else _code_of(failure), not isinstance(failure, _NOT_MADE)
            raise
        finally:
            request = _canonical(prompt) + _canonical(options.sampling) + options.response_schema
            call = SideCall(
                key=_key(self._author, "generate", (end.model_hash or end.model) if end else "", request),
                side=self._author,
                kind="generate",
                request=_canonical(prompt),
                response="".join(chunk.text for chunk in chunks),
                logprobs=tuple(value for chunk in chunks for value in chunk.logprobs),
                entropies=tuple(value for chunk in chunks for value in chunk.entropies),
                margins=tuple(value for chunk in chunks for value in chunk.margins),
                prompt_version=prompt.version,
                sampling=options.sampling,
                started_s=started,
                first_s=first,
                ended_s=self._ledger.now(),
                error=error,
            )
            if made:
                self._ledger.calls.append(_with_end(call, end) if end else call)

    async def retrieve(self, query: Query) -> Findings:
        started = self._ledger.now()
        findings, error, made = Findings(), "", True
        try:
            findings = await self._side.retrieve(query)
            return findings
        except BaseException as failure:
            error, made = _code_of(failure), not isinstance(failure, _NOT_MADE)
            raise
        finally:
            call = SideCall(
                key=_key(self._author, "retrieve", "", _canonical(query)),
                side=self._author,
                kind="retrieve",
                request=_canonical(query),
                response=_canonical(findings),
                started_s=started,
                ended_s=self._ledger.now(),
                cost_usd=findings.cost_usd,
                cost_basis=findings.cost_basis,
                error=error,
            )
            if made:
                self._ledger.calls.append(call)

    async def status(self) -> SideStatus:
        return await self._side.status()


class MeteredEdge(Metered):
    """The edge, whose scores cost tokens too. Embedding and reading take milliseconds and no tokens: no calls."""

    def __init__(self, edge: Edge, ledger: Ledger) -> None:
        super().__init__("edge", edge, ledger)
        self._edge = edge

    async def score(self, prompt: Prompt, continuations: tuple[str, ...], cache_key: str = "") -> Scores:
        started, error = self._ledger.now(), ""
        scores = Scores(logprobs=())
        try:
            scores = await self._edge.score(prompt, continuations, cache_key)
            return scores
        except BaseException as failure:
            error = _code_of(failure)
            raise
        finally:
            request = _canonical(prompt) + json.dumps(continuations)
            self._ledger.calls.append(
                SideCall(
                    key=_key("edge", "score", "", request),
                    side="edge",
                    kind="score",
                    request=request,
                    logprobs=scores.logprobs,
                    prompt_version=prompt.version,
                    tokens=scores.tokens,
                    flops=scores.flops,
                    started_s=started,
                    ended_s=self._ledger.now(),
                    error=error,
                )
            )

    async def read(self, question: Text, passages: tuple[Passage, ...]) -> Reading:
        return await self._edge.read(question, passages)

    async def embed(self, texts: tuple[str, ...]) -> tuple[tuple[float, ...], ...]:
        return await self._edge.embed(texts)


def _code_of(failure: BaseException) -> str:
    """The status name of whatever ended a call early."""
    match failure:
        case EdgewiseError():
            return failure.code
        case asyncio.CancelledError() | GeneratorExit():
            return Cancelled.code
    return Internal.code


def _with_end(call: SideCall, end: Completion) -> SideCall:
    same = {name: getattr(end, name) for name in _OF_THE_END}
    return call.model_copy(update=same)


_OF_THE_END = ("model", "model_hash", "finish_reason", "tokens", "timings", "cost_usd", "cost_basis", "flops")


def _canonical(value: Value) -> str:
    return value.model_dump_json()


def _key(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


class Budgeted:
    """Refuses a call whose worst case does not fit what is left of the question's money.

    The worst case is what the cloud's status says that a look-up or a generation may cost. Money that concurrent calls
    have reserved is not available to others; what was not used is given back.
    """

    def __init__(self, side: PlainSide, limit_usd: float | None) -> None:
        self._side = side
        self._limit = limit_usd
        self._spent = 0.0

    async def generate(self, prompt: Prompt, options: Options) -> AsyncGenerator[Chunk | Completion]:
        reserved = await self._reserve(lambda status: status.most_usd(prompt, options.sampling.max_tokens), _GENERATION)
        cost: float | None = None
        try:
            async with aclosing(self._side.generate(prompt, options)) as parts:
                async for part in parts:
                    if isinstance(part, Completion):
                        cost = part.cost_usd
                    yield part
        finally:
            self._settle(reserved, cost)

    async def retrieve(self, query: Query) -> Findings:
        reserved = await self._reserve(lambda status: status.usd_per_fetch, _LOOK_UP)
        cost: float | None = None
        try:
            findings = await self._side.retrieve(query)
            cost = findings.cost_usd
            return findings
        finally:
            self._settle(reserved, cost)

    async def status(self) -> SideStatus:
        return await self._side.status()

    async def _reserve(self, price: Callable[[SideStatus], float | None], call: _Paid) -> float:
        if self._limit is None:
            return 0.0
        status = await self._side.status()
        if not status.ready:
            raise CloudUnavailable(status.reason or "the cloud is not ready; ask again later")
        worst = price(status)
        if worst is None:
            raise OverBudget(
                f"the price of {call.priced(status)} is unknown, so max_cost_usd cannot be kept; "
                f"set {call.settings}, or ask without max_cost_usd"
            )
        if worst and self._spent + worst > self._limit:
            raise OverBudget(
                f"this {call.name} may cost ${worst:.6f}, and ${max(self._limit - self._spent, 0):.6f} of max_cost_usd "
                f"(${self._limit:.6f}) is left; raise it{call.otherwise}"
            )
        self._spent += worst
        return worst

    def _settle(self, reserved: float, cost: float | None) -> None:
        """Without a bill the reservation stands: spending less than allowed is safe, spending more is not."""
        if cost is not None:
            self._spent += cost - reserved


@dataclass(frozen=True, slots=True)
class _Paid:
    """A kind of call, as a refusal speaks of it."""

    name: str
    priced: Callable[[SideStatus], str]
    settings: str
    otherwise: str


_MODEL_PRICES = "cloud.usd_per_mtok_prompt and cloud.usd_per_mtok_completion"
_GENERATION = _Paid(
    "cloud call", lambda status: status.model or "the cloud model", _MODEL_PRICES, ", or ask for a shorter answer"
)
_LOOK_UP = _Paid("look-up in the cloud", lambda _: "cloud information", f"{_MODEL_PRICES} for its facts", "")
