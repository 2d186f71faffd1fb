"""A small engine on the real model, and a look at what it has llama.cpp do."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge.llama.engine import LlamaEngine
from edge.llama.machine.calibration import Tuning
from edge.llama.native import Flag, Work
from edgewise.types import Chunk, Completion, Options, Sampling
from tests.edges import finished, prompt

if TYPE_CHECKING:
    from edge.llama.native import Logits

PARALLEL, MAX_QUEUE, CHUNK = 4, 8, 32
LONG = "The monks wrote down what the river took in every year. " * 12


def opened(gguf: Path) -> Iterator[LlamaEngine]:
    """Small chunks, so that a prompt of a hundred tokens is a long one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edge.llama.machine.calibration.stored", lambda _: Tuning(1, 1, CHUNK, flash_attention=False))
        opening = LlamaEngine.open(gguf, context_tokens=512, parallel=PARALLEL, max_queue=MAX_QUEUE, threads=1)
        engine = asyncio.run(opening)
    yield engine
    asyncio.run(engine.close())


class Watch:
    """Sees every evaluation, and can hold llama.cpp before one."""

    def __init__(self, engine: LlamaEngine, monkeypatch: pytest.MonkeyPatch) -> None:
        self.evaluations: list[tuple[Work, ...]] = []
        self._reached, self._released = threading.Event(), threading.Event()
        self._holds: Callable[[Sequence[Work]], bool] = lambda _: False
        evaluate = engine._native.evaluate

        def watched(works: Sequence[Work], flag: Flag, adapter: str = "") -> Logits:
            if self._holds(works):
                self._holds = lambda _: False
                self._reached.set()
                assert self._released.wait(60)
            self.evaluations.append(tuple(works))
            return evaluate(works, flag, adapter)

        monkeypatch.setattr(engine._native, "evaluate", watched)

    def hold(self, where: Callable[[Sequence[Work]], bool]) -> None:
        """Stop before the next such evaluation."""
        self._reached.clear()
        self._released.clear()
        self._holds = where

    async def reached(self) -> None:
        assert await asyncio.to_thread(self._reached.wait, 60)

    def release(self) -> None:
        self._holds = lambda _: False
        self._released.set()

    @property
    def tokens(self) -> int:
        """How many were evaluated."""
        return sum(len(work.tokens) for works in self.evaluations for work in works)


Where = Callable[[Sequence[Work]], bool]
"""Which evaluations."""


def in_a_prompt(works: Sequence[Work]) -> bool:
    return len(works[0].tokens) > 1


def deep_in_a_prompt(works: Sequence[Work]) -> bool:
    return in_a_prompt(works) and works[0].position >= CHUNK


def in_an_answer(works: Sequence[Work]) -> bool:
    return len(works[0].tokens) == 1


def options(key: str, max_tokens: int = 8, **sampling: float) -> Options:
    return Options(cache_key=key, sampling=Sampling.model_validate({"max_tokens": max_tokens, **sampling}))


async def write(engine: LlamaEngine, text: str, how: Options) -> tuple[str, Completion]:
    chunks, completion = await finished(engine.generate(prompt(text), how))
    return "".join(chunk.text for chunk in chunks), completion


@asynccontextmanager
async def busy(engine: LlamaEngine, count: int) -> AsyncIterator[None]:
    """So many answers are being written, and nobody reads on."""
    running: list[AsyncGenerator[Chunk | Completion]] = []
    try:
        for number in range(count):
            endless = options("busy", 450, temperature=2.0, seed=number)
            running.append(engine.generate(prompt("Write on and on."), endless))
            await anext(running[-1])
        yield
    finally:
        for items in running:
            await items.aclose()


async def somebody_waits(engine: LlamaEngine) -> None:
    for _ in range(1000):
        if engine.load.queued:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("nobody waits")


async def settled(engine: LlamaEngine) -> None:
    """Until the engine's thread has nothing left; then every sequence must be free."""
    owner = engine._owner
    scheduler = owner._scheduler
    assert scheduler is not None
    for _ in range(3000):
        if scheduler.is_idle and not owner._arrived:
            break
        await asyncio.sleep(0.01)
    assert scheduler.is_idle
    assert scheduler._prefixes.idle == PARALLEL
    assert (engine.load.running, engine.load.queued) == (0, 0)
