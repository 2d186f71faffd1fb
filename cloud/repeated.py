"""Idempotency keys: who lost an answer on the way asks for it again, and neither waits nor pays twice."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable
from contextlib import aclosing

from cloud.answer import Answer, digest, is_private, request_digest
from cloud.backends.figures import GateFigures
from cloud.kept import Kept
from cloud.terms import Answers, Terms
from edgewise.errors import Conflict, InvalidInput
from edgewise.types import Chunk, Completion, Findings, Options, Privacy, Prompt, Query, SideStatus

_LONGEST_KEY = 200


class Repeated:
    """Remembers what was answered under a caller's key, and gives it again for the same request, `via` repeated.

    InvalidInput for another request under the key; Conflict while the first is being answered. An error is not
    remembered, because the next try may do better; nor is an answer that broke off or that its caller left, because
    there is no end to give. Nor is anything private: that is answered anew.
    """

    def __init__(self, answers: Answers, kept: Kept[tuple[bytes, Answer | Findings]], figures: GateFigures) -> None:
        self._answers = answers
        self._kept = kept
        self._figures = figures
        self._running: dict[Hashable, bytes] = {}

    def generate(self, prompt: Prompt, options: Options, terms: Terms) -> AsyncGenerator[Chunk | Completion]:
        if not terms.idempotency_key or is_private(prompt):
            return self._answers.generate(prompt, options, terms)
        return self._once(prompt, options, terms)

    async def status(self, terms: Terms) -> SideStatus:
        return await self._answers.status(terms)

    async def look_up(self, query: Query, terms: Terms, retrieve: Callable[[], Awaitable[Findings]]) -> Findings:
        """The same for a look-up of information."""
        if not terms.idempotency_key or query.text.label is Privacy.PRIVATE:
            return await retrieve()
        key, asked = ("look-up", terms.caller, terms.idempotency_key), digest(query.model_dump_json())
        if isinstance(found := self._remembered(key, asked), Findings):
            return found.model_copy(update={"via": "repeated"})
        self._running[key] = asked
        try:
            findings = await retrieve()
        finally:
            del self._running[key]
        size = sum(2000 + 4 * len(passage.text.value) for passage in findings.passages)
        self._kept.put(key, (asked, findings), terms.caller, size)
        return findings

    async def _once(self, prompt: Prompt, options: Options, terms: Terms) -> AsyncGenerator[Chunk | Completion]:
        key, asked = ("answer", terms.caller, terms.idempotency_key), request_digest(prompt, options)
        if isinstance(found := self._remembered(key, asked), Answer):
            for event in found.events(via="repeated"):
                yield event
            return
        chunks: list[Chunk] = []
        self._running[key] = asked
        try:
            async with aclosing(self._answers.generate(prompt, options, terms)) as events:
                async for event in events:
                    if isinstance(event, Chunk):
                        chunks.append(event)
                    else:
                        answer = Answer.of(chunks, event)
                        self._kept.put(key, (asked, answer), terms.caller, answer.size)
                    yield event
        finally:
            del self._running[key]

    def _remembered(self, key: tuple[str, str, str], asked: bytes) -> Answer | Findings | None:
        if len(key[2]) > _LONGEST_KEY:
            raise InvalidInput(f"idempotency_key is longer than {_LONGEST_KEY} characters; send a UUID")
        before, found = self._kept.get(key) or (self._running.get(key), None)
        if before is not None and before != asked:
            raise InvalidInput("this idempotency_key came with another request; send a new key with a new request")
        if found is None and before is not None:
            raise Conflict(
                "the call with this idempotency_key is still being answered; wait for it, then send it again"
            )
        self._figures.repeated += found is not None
        return found
