"""Wrappers around the two sides that measure and limit every call. The order, outermost first, is

Metered    writes a SideCall for whatever happened, on an injected monotonic clock
Budgeted   reserves money before a cloud call, settles it after
Gated      lets out only what the policy releases, and writes that down first (egress/gate.py)
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import struct
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Literal, Self

from edgewise.errors import LEAVES, Cancelled, CloudUnavailable, EdgewiseError, Internal, OverBudget, Withheld
from edgewise.ports import Edge, Side
from edgewise.types import (
    Author,
    Chunk,
    Completion,
    CostBasis,
    Findings,
    FinishReason,
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
from router.egress.audit import NotAudited

Clock = Callable[[], float]
PlainSide = Side[Prompt, Query]
Kind = Literal["generate", "retrieve", "score", "read", "embed"]
_NO_TOKENS = Tokens()
_AT_WORK = {name for name, error in LEAVES.items() if error.may_be_at_work}


class SideCall(Value):
    """One call of a side, complete enough to be replayed.

    `key` is the SHA-256 of all that was asked for (`content_key`); keys, caches and priorities are no part of that.
    Times are seconds since the question arrived. Costs are as in `Completion`. `response` is what was generated, the
    findings or the reading as JSON, or vectors as `packed` writes them. `error` is a status name, `reason` the error's.
    """

    key: str
    side: Author
    kind: Kind
    request: str
    response: str = ""
    logprobs: tuple[float, ...] = ()
    entropies: tuple[float, ...] = ()
    margins: tuple[float, ...] = ()
    prompt_version: str = ""
    sampling: Sampling | None = None
    model: str = ""
    model_hash: str | None = None
    finish_reason: FinishReason | None = None
    tokens: Tokens = Tokens()
    timings: Timings = Timings()
    started_s: float
    first_s: float | None = None
    ended_s: float
    cost_usd: float | None = None
    cost_basis: CostBasis | None = None
    flops: float | None = None
    error: str = ""
    reason: str = ""

    @property
    def was_refused(self) -> bool:
        """Whether it failed before anybody worked on it. Who is given up before a first token may be working."""
        return bool(self.error) and self.first_s is None and self.reason not in _AT_WORK


class Ledger:
    """The side calls of one question, and their sums."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._start = clock()
        self.calls: list[SideCall] = []
        self.owed_usd = 0.0
        """What the cloud may have cost at the most, where there was a limit to it."""

    def now(self) -> float:
        """Seconds since the question arrived."""
        return self._clock() - self._start

    def of(self, side: Author, kind: str | None = None) -> list[SideCall]:
        return [call for call in self.calls if call.side == side and kind in {None, call.kind}]

    @property
    def usage(self) -> Usage:
        return Usage(
            edge=sum((call.tokens for call in self.of("edge")), _NO_TOKENS),
            cloud=sum((call.tokens for call in self.of("cloud")), _NO_TOKENS),
        )

    @property
    def cost_usd(self) -> float | None:
        """What the cloud calls cost, plus the edge's time where it has a rate; None once a cloud call's is unknown.

        No cloud call costs nothing: that is a fact, not an unknown. The cost of a call that failed before its end is
        unknown, unless the cloud refused it or never had it.
        """
        cloud = [call.cost_usd for call in self.of("cloud") if not call.was_refused]
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
        counts = [call.flops for call in self.calls if call.tokens != _NO_TOKENS]
        return None if any(count is None for count in counts) else sum(count or 0.0 for count in counts)


# Refused here, before anything was sent: no call was made.
_NOT_MADE = (Withheld, OverBudget, NotAudited)


class _Noting:
    """One call while it is made. It goes into the ledger at its end, failed or cancelled too, unless it was not made.

    `first_s` and `known` are what its maker finds out about it. A call that is `over` cannot fail any more.
    """

    def __init__(self, ledger: Ledger, side: Author, kind: Kind, request: str, version: str = "") -> None:
        self._ledger = ledger
        self._side: Author = side
        self._kind: Kind = kind
        self._begun: dict[str, Any] = {"request": request, "prompt_version": version, "started_s": ledger.now()}
        self.asked = request
        self.over = False
        self.first_s: float | None = None
        self.known: dict[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, failure: BaseException | None, __: object) -> None:
        if isinstance(failure, _NOT_MADE):
            return
        end: dict[str, Any] = {"first_s": self.first_s, "ended_s": self._ledger.now(), **self.known}
        if failure is not None and not self.over:
            error = failure if isinstance(failure, EdgewiseError) else _kind_of(failure)
            end |= {"error": error.code, "reason": error.reason}
        key = content_key(self._side, self._kind, self.asked)
        self._ledger.calls.append(SideCall(key=key, side=self._side, kind=self._kind, **self._begun, **end))


class Metered:
    """Writes a SideCall for every call of a side that was made, failed and cancelled ones included."""

    def __init__(self, author: Author, side: PlainSide, ledger: Ledger) -> None:
        self._author: Author = author
        self._side = side
        self._ledger = ledger

    async def generate(self, prompt: Prompt, options: Options) -> AsyncGenerator[Chunk | Completion]:
        chunks: list[Chunk] = []
        with self._noting("generate", _canonical(prompt), prompt.version) as call:
            call.asked = generation_asked(prompt, options)
            call.known = {"sampling": options.sampling}
            try:
                async with aclosing(self._side.generate(prompt, options)) as parts:
                    async for part in parts:
                        if isinstance(part, Chunk):
                            call.first_s = self._ledger.now() if call.first_s is None else call.first_s
                            chunks.append(part)
                        else:
                            call.known |= {name: getattr(part, name) for name in _OF_THE_END}
                            call.over = True
                        yield part
            finally:
                call.known |= _said(chunks)

    async def retrieve(self, query: Query) -> Findings:
        with self._noting("retrieve", _canonical(query)) as call:
            call.asked = retrieval_asked(query)
            findings = await self._side.retrieve(query)
            call.known = {
                "response": _canonical(findings), "cost_usd": findings.cost_usd, "cost_basis": findings.cost_basis,
            }  # fmt: skip
            return findings

    async def status(self) -> SideStatus:
        return await self._side.status()

    def _noting(self, kind: Kind, request: str, version: str = "") -> _Noting:
        return _Noting(self._ledger, self._author, kind, request, version)


class MeteredEdge(Metered):
    """The edge, whose scores cost tokens too; embedding and reading take time and no tokens."""

    def __init__(self, edge: Edge, ledger: Ledger) -> None:
        super().__init__("edge", edge, ledger)
        self._edge = edge

    async def score(self, prompt: Prompt, continuations: tuple[str, ...], cache_key: str = "") -> Scores:
        with self._noting("score", _canonical(prompt) + _json(continuations), prompt.version) as call:
            call.asked = score_asked(prompt, continuations)
            scores = await self._edge.score(prompt, continuations, cache_key)
            call.known = {"logprobs": scores.logprobs, "tokens": scores.tokens, "flops": scores.flops}
            return scores

    async def read(self, question: Text, passages: tuple[Passage, ...]) -> Reading:
        texts = [question.model_dump(mode="json"), *(passage.text.model_dump(mode="json") for passage in passages)]
        with self._noting("read", _json(texts)) as call:
            call.asked = read_asked(question, passages)
            reading = await self._edge.read(question, passages)
            call.known = {"response": _canonical(reading)}
            return reading

    async def embed(self, texts: tuple[str, ...]) -> tuple[tuple[float, ...], ...]:
        with self._noting("embed", embed_asked(texts)) as call:
            vectors = await self._edge.embed(texts)
            call.known = {"response": packed(vectors)}
            return vectors


def content_key(side: Author, kind: Kind, asked: str) -> str:
    """What a call is found under: the SHA-256 of all that it asks for. Which model answers is another matter."""
    return hashlib.sha256("\x1f".join((side, kind, asked)).encode("utf-8", "surrogatepass")).hexdigest()


def generation_asked(prompt: Prompt, options: Options) -> str:
    """A prefix of JSON values, each of which ends by itself, before the one text that may be anything."""
    rare = ""
    if options.grammar or options.adapter or options.surprisal:
        rare = _json(options.model_dump(include={"grammar", "adapter", "surprisal"}, exclude_defaults=True))
    return rare + _messages(prompt) + _canonical(options.sampling) + options.response_schema


def score_asked(prompt: Prompt, continuations: tuple[str, ...]) -> str:
    return _messages(prompt) + _json(continuations)


def retrieval_asked(query: Query) -> str:
    return _json(query.model_dump(mode="json") | {"text": query.text.value})


def embed_asked(texts: tuple[str, ...]) -> str:
    return _json(texts)


def read_asked(question: Text, passages: tuple[Passage, ...]) -> str:
    """Passages count by what they say: how relevant they were found is no part of the request."""
    texts = (question.value, *(passage.text.value for passage in passages))
    return "\x1f".join(text.replace("\x1b", "\x1b\x1b").replace("\x1f", "\x1b.") for text in texts)


def _messages(prompt: Prompt) -> str:
    """Who said what. Labels, sources and versions are of no interest to a model."""
    return _json([(message.role, message.content.value) for message in prompt.messages])


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def packed(vectors: tuple[tuple[float, ...], ...]) -> str:
    """Vectors as text, exactly: a line each, base64 of little-endian doubles."""
    return "\n".join(base64.b64encode(struct.pack(f"<{len(one)}d", *one)).decode() for one in vectors)


def unpacked(text: str) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(value for (value,) in struct.iter_unpack("<d", base64.b64decode(line))) for line in text.split())


def _said(chunks: list[Chunk]) -> dict[str, object]:
    known: dict[str, object] = {
        name: tuple(value for chunk in chunks for value in getattr(chunk, name))
        for name in ("logprobs", "entropies", "margins")
    }
    return known | {"response": "".join(chunk.text for chunk in chunks)}


def _kind_of(failure: BaseException) -> EdgewiseError:
    if isinstance(failure, asyncio.CancelledError | GeneratorExit):
        return Cancelled("its caller went away")
    return Internal(type(failure).__name__)


_OF_THE_END = ("model", "model_hash", "finish_reason", "tokens", "timings", "cost_usd", "cost_basis", "flops")


def _canonical(value: Value) -> str:
    return value.model_dump_json()


class Budgeted:
    """Refuses a call whose worst case does not fit what is left of the question's money.

    The worst case is what the cloud's status says that a look-up or a generation may cost. Money that concurrent calls
    have reserved is not available to others; what was not used is given back.
    """

    def __init__(self, side: PlainSide, limit_usd: float | None, ledger: Ledger | None = None) -> None:
        self._side = side
        self._limit = limit_usd
        self._ledger = ledger
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
                f"the price of {call.priced(status)} is unknown, so no limit of cost can be kept; "
                f"set {call.settings}, or ask without max_cost_usd, or as an app without a budget"
            )
        if worst and self._spent + worst > self._limit:
            raise OverBudget(
                f"this {call.name} may cost ${worst:.6f}, and ${max(self._limit - self._spent, 0):.6f} of the "
                f"${self._limit:.6f} for this answer is left; raise max_cost_usd, or the app's budget{call.otherwise}"
            )
        self._owe(worst)
        return worst

    def _settle(self, reserved: float, cost: float | None) -> None:
        """Without a bill the reservation stands: spending less than allowed is safe, spending more is not."""
        if cost is not None:
            self._owe(cost - reserved)

    def _owe(self, usd: float) -> None:
        self._spent += usd
        if self._ledger is not None and self._limit is not None:
            self._ledger.owed_usd += usd


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
