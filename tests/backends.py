"""A backend whose every call is told how to end, and a clock that goes only where it is set."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from cloud.backends.failure import Failure
from edgewise.errors import EdgewiseError
from edgewise.types import Chunk, Completion, CostBasis, Message, Options, Privacy, Prompt, SideStatus, Text, Tokens

FAILS = Failure("it failed", again=True)


def asking(words: str, label: Privacy = Privacy.UNKNOWN) -> Prompt:
    return Prompt(messages=(Message(role="user", content=Text(value=words, label=label)),))


PROMPT = asking("Who wrote Hamlet?")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


class Scripted:
    """Each call takes the next outcome, and the last one for ever: an answer's words, or an error.

    An error after words, as a pair, breaks the answer off. `asyncio.Event` holds the answer back until it is set.
    """

    def __init__(self, *outcomes: Any, model: str = "m", price: float | None = 1.0) -> None:
        self.outcomes = list(outcomes) or ["So it is."]
        self.model = model
        self.price = price
        self.calls: list[Options] = []

    async def generate(self, prompt: Prompt, options: Options) -> AsyncGenerator[Chunk | Completion]:
        self.calls.append(options)
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        parts: Sequence[Any] = outcome if isinstance(outcome, tuple) else (outcome,)
        for part in parts:
            if isinstance(part, asyncio.Event):
                await part.wait()
            elif isinstance(part, EdgewiseError):
                raise part
            elif isinstance(part, Completion):
                yield part
                return
            else:
                yield Chunk(text=part, logprobs=(-0.5,))
        yield self.end

    @property
    def end(self) -> Completion:
        tokens = Tokens(prompt_tokens=5, completion_tokens=2)
        return Completion(
            finish_reason="stop", tokens=tokens, model=self.model, cost_usd=self.price, cost_basis=CostBasis.BILLED
        )

    async def status(self) -> SideStatus:
        return SideStatus(
            ready=True,
            model=self.model,
            label=self.model,
            usd_per_mtok_prompt=self.price,
            usd_per_mtok_completion=self.price,
            cost_basis=CostBasis.BILLED,
        )

    async def close(self) -> None:
        pass


async def heard(events: AsyncGenerator[Chunk | Completion]) -> tuple[str, Completion]:
    """All the text, and the end."""
    async with aclosing(events):
        *chunks, end = [event async for event in events]
    assert isinstance(end, Completion)
    return "".join(chunk.text for chunk in chunks if isinstance(chunk, Chunk)), end


async def failure_of(events: AsyncGenerator[Chunk | Completion]) -> EdgewiseError:
    try:
        await heard(events)
    except EdgewiseError as error:
        return error
    raise AssertionError("it answered")
