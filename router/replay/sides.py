"""An edge and a cloud that give what a trace has, and nothing that it does not have."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from edgewise.errors import LEAVES, EdgewiseError, NotFound
from edgewise.types import (
    CLOUD_INFO,
    Author,
    Chunk,
    Completion,
    Findings,
    Options,
    Passage,
    Prompt,
    Query,
    Reading,
    Released,
    Scores,
    SideStatus,
    Text,
    Value,
)
from router.meter import (
    Kind,
    SideCall,
    content_key,
    embed_asked,
    generation_asked,
    read_asked,
    retrieval_asked,
    score_asked,
    unpacked,
)
from router.trace import Trace

_SHOWN = 200


class Missing(Value):
    """A call that a question in a mode would have made, and that no trace has; `asked` is how its request ends."""

    question: str
    mode: str
    side: Author
    kind: Kind
    key: str
    asked: str


class NotRecorded(NotFound):
    """Not a fault of the side: nobody ever asked it this."""


@dataclass
class Stage:
    """Which question is answered in which mode just now, and what was missing so far."""

    trace: Trace
    question: str = ""
    mode: str = ""
    missing: list[Missing] = field(default_factory=list)

    async def take(self, side: Author, kind: Kind, asked: str) -> SideCall:
        """The recorded call, after the time to its first token."""
        key = content_key(side, kind, asked)
        call = self.trace.find(key, self.question, self.mode)
        if call is None:
            told = {"question": self.question, "mode": self.mode, "side": side, "kind": kind}
            self.missing.append(Missing.model_validate({**told, "key": key, "asked": asked[-_SHOWN:]}))
            raise NotRecorded(f"the trace has no such call of the {side} ({kind}, key {key[:12]}); record it")
        await asyncio.sleep((call.ended_s if call.first_s is None else call.first_s) - call.started_s)
        return call


class _Recorded:
    author: Author

    def __init__(self, stage: Stage, status: SideStatus) -> None:
        self._stage = stage
        self._status = status

    async def status(self) -> SideStatus:
        return self._status

    async def _generate(self, prompt: Prompt, options: Options) -> AsyncGenerator[Chunk | Completion]:
        call = await self._stage.take(self.author, "generate", generation_asked(prompt, options))
        if call.response:
            yield Chunk(text=call.response, logprobs=call.logprobs, entropies=call.entropies, margins=call.margins)
        if call.first_s is not None:
            await asyncio.sleep(call.ended_s - call.first_s)
        _raise_as_recorded(call)
        yield Completion(
            finish_reason=call.finish_reason or "stop",
            tokens=call.tokens,
            timings=call.timings,
            model=call.model,
            model_hash=call.model_hash,
            cost_usd=call.cost_usd,
            cost_basis=call.cost_basis,
            flops=call.flops,
        )

    async def _retrieve(self, query: Query) -> Findings:
        call = await self._stage.take(self.author, "retrieve", retrieval_asked(query))
        _raise_as_recorded(call)
        return Findings.model_validate_json(call.response)


class RecordedEdge(_Recorded):
    author: Author = "edge"

    def generate(self, prompt: Prompt, options: Options) -> AsyncGenerator[Chunk | Completion]:
        return self._generate(prompt, options)

    async def retrieve(self, query: Query) -> Findings:
        return await self._retrieve(query)

    async def score(self, prompt: Prompt, continuations: tuple[str, ...], cache_key: str = "") -> Scores:
        call = await self._stage.take("edge", "score", score_asked(prompt, continuations))
        _raise_as_recorded(call)
        return Scores(logprobs=call.logprobs, tokens=call.tokens, flops=call.flops)

    async def embed(self, texts: tuple[str, ...]) -> tuple[tuple[float, ...], ...]:
        call = await self._stage.take("edge", "embed", embed_asked(texts))
        _raise_as_recorded(call)
        return unpacked(call.response)

    async def read(self, question: Text, passages: tuple[Passage, ...]) -> Reading:
        call = await self._stage.take("edge", "read", read_asked(question, passages))
        _raise_as_recorded(call)
        return Reading.model_validate_json(call.response)

    async def keep(self, passages: tuple[Passage, ...], collection: str = CLOUD_INFO) -> None:
        """Nothing is learned from a replay."""


class RecordedCloud(_Recorded):
    author: Author = "cloud"

    def generate(self, prompt: Released[Prompt], options: Options) -> AsyncGenerator[Chunk | Completion]:
        return self._generate(prompt.value, options)

    async def retrieve(self, query: Released[Query], timeout_s: float | None = None) -> Findings:
        return await self._retrieve(query.value)


def _raise_as_recorded(call: SideCall) -> None:
    if call.error:
        error: type[EdgewiseError] = LEAVES.get(call.reason, EdgewiseError)
        raise error(f"as it was recorded: {call.reason or call.error}")
