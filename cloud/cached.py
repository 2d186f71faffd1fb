"""The exact cache: the same request gets the answer that it got, if that could have been no other."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from cloud.answer import Answer, is_private, is_public, request_digest
from cloud.backends.figures import GateFigures
from cloud.kept import Kept
from cloud.terms import Answers, Terms
from edgewise.types import Chunk, Completion, Options, Prompt, SideStatus, Timings


class Cached:
    """Keeps what is greedy (temperature 0) or seeded, whole, no longer than it wanted to be, and of the first upstream.

    Nothing private is kept, and no failure. An answer is for who asked for it, unless all of the prompt is public; and
    only for the same upstreams (`asked`), words, options and `cache_key`. A hit costs nothing, and says that it is one.
    Two equal calls at once are two calls.
    """

    def __init__(
        self, answers: Answers, kept: Kept[Answer], figures: GateFigures, asked: Callable[[Terms], str]
    ) -> None:
        self._answers = answers
        self._kept = kept
        self._figures = figures
        self._asked = asked

    def generate(self, prompt: Prompt, options: Options, terms: Terms) -> AsyncGenerator[Chunk | Completion]:
        sampling = options.sampling
        if is_private(prompt) or (sampling.temperature > 0 and sampling.seed is None):
            return self._answers.generate(prompt, options, terms)
        return self._cached(prompt, options, terms)

    async def status(self, terms: Terms) -> SideStatus:
        return await self._answers.status(terms)

    async def _cached(self, prompt: Prompt, options: Options, terms: Terms) -> AsyncGenerator[Chunk | Completion]:
        whose = "all" if is_public(prompt) else f"of {terms.caller}"
        key = request_digest(prompt, options, self._asked(terms), whose)
        if (found := self._kept.get(key)) is not None:
            self._figures.cache_hits += 1
            for event in found.events(cost_usd=0.0, flops=0.0, timings=Timings(), via="cache"):
                yield event
            return
        self._figures.cache_misses += 1
        chunks: list[Chunk] = []
        async with aclosing(self._answers.generate(prompt, options, terms)) as events:
            async for event in events:
                if isinstance(event, Chunk):
                    chunks.append(event)
                elif event.finish_reason == "stop" and not event.via:
                    answer = Answer.of(chunks, event)
                    self._kept.put(key, answer, terms.caller, answer.size)
                yield event
