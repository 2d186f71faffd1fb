"""What one question may touch: the two sides, its events, its thresholds. A mode has nothing else.

A mode is a coroutine `answer(question, desk) -> Outcome`. It writes drafts on either side, shows, retracts or cites
them, and returns the one that stays.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from edgewise.errors import BrokenOff, CloudUnavailable, EdgewiseError, Internal, OverBudget, Withheld
from edgewise.keys import new_id
from edgewise.types import (
    Author,
    Chunk,
    Citations,
    Completion,
    Event,
    Findings,
    Grounding,
    Options,
    Passage,
    Prompt,
    Query,
    Question,
    Retraction,
    Step,
    Text,
    Token,
    Tokens,
)
from router.arbiter.answers import Answer
from router.arbiter.arbiter import Arbiter
from router.arbiter.ensemble import Expected
from router.arbiter.rules import Rule, Verdict
from router.config import RouterSettings
from router.defanging import Defanging, addresses, defanged, reads_others
from router.egress.audit import NotAudited
from router.meter import MeteredEdge, PlainSide

# Why the cloud may not come into an answer; a mode that can do without it goes on.
CLOUD_CANNOT = (CloudUnavailable, Withheld, OverBudget)
_TEMPERATURE = 0.7  # of samples
Emit = Callable[[Event], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Draft:
    """A finished piece of writing by one side. Its text carries the labels and sources of the prompt it came from.

    What is known of its tokens is as in `Chunk`; empty where the side gives nothing.
    """

    answer_id: str
    author: Author
    text: Text
    completion: Completion
    logprobs: tuple[float, ...] = ()
    entropies: tuple[float, ...] = ()
    margins: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """The draft that stays, and how far to trust it. `mode` is set by a mode that left the answer to another one."""

    draft: Draft
    grounding: Grounding
    confidence: float | None = None
    degraded: bool = False
    reason: str = ""
    mode: str = ""

    def but(self, *, degraded: bool, reason: str) -> Outcome:
        """`reason` comes first, and tells once what both tell."""
        told = reason if self.reason in reason else "; ".join(filter(None, (reason, self.reason)))
        return replace(self, degraded=self.degraded or degraded, reason=told)


# The question with its earlier turns; what is looked up for it; passages of this device; two answers to be judged.
Sent = Literal["prompt", "query", "passages", "answers"]


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What a mode would do with a question, found out without generating and without the cloud.

    `sends` is what the cloud may come to see; the other fields are those of `Explanation`.
    """

    author: Author | None
    decision: str
    sends: tuple[Sent, ...] = ("prompt",)
    score: float | None = None
    threshold: float | None = None
    familiar: bool = True
    contributions: dict[str, float] = field(default_factory=dict)


class Writer:
    """One side as a mode uses it."""

    def __init__(
        self, author: Author, side: PlainSide, emit: Emit, options: Options, *, held: bool, asked: frozenset[str]
    ) -> None:
        """`asked` are the addresses that the asker wrote; of an answer from other texts they are all that is left."""
        self._author: Author = author
        self._side = side
        self._emit = emit
        self.options = options
        self._held = held
        self._asked = asked

    async def write(self, prompt: Prompt, *, show: bool = True) -> Draft:
        """A draft of the answer, shown to the caller while it is being written unless `show` is false.

        BrokenOff when the cloud fails after the caller saw a first token: then no other model may go on in its place.
        """
        return await self._draft(prompt, self.options, show=show)

    async def jot(self, prompt: Prompt, max_tokens: int) -> Draft:
        """Something on the way to the answer: it is never shown, and no schema holds for it."""
        sampling = self.options.sampling.model_copy(update={"max_tokens": max_tokens})
        options = self.options.model_copy(update={"sampling": sampling, "response_schema": ""})
        return await self._draft(prompt, options, show=False)

    async def samples(self, prompt: Prompt, count: int) -> tuple[str, ...]:
        """Answers drawn at random, never shown; the same for the same prompt."""
        drawn = [self._sampled(seed) for seed in range(count)]
        return tuple([(await self._draft(prompt, options, show=False)).text.value for options in drawn])

    def _sampled(self, seed: int) -> Options:
        sampling = self.options.sampling.model_copy(update={"temperature": _TEMPERATURE, "seed": seed})
        return self.options.model_copy(update={"sampling": sampling})

    @property
    def max_tokens(self) -> int:
        """Length of an answer, at most."""
        return self.options.sampling.max_tokens

    async def most_usd(self, prompt: Prompt) -> float | None:
        """The most that an answer may cost; None if the price is unknown."""
        return (await self._side.status()).most_usd(prompt, self.max_tokens)

    async def retrieve(self, query: Query) -> Findings:
        return await self._side.retrieve(query)

    async def _draft(self, prompt: Prompt, options: Options, *, show: bool) -> Draft:
        answer_id = new_id()
        text: list[str] = []
        chunks: list[Chunk] = []
        end: Completion | None = None
        work = Defanging(self._asked, is_json=bool(options.response_schema)) if reads_others(prompt) else None

        async def say(piece: str) -> None:
            text.append(piece)
            if show and piece:
                await self._emit(Token(answer_id=answer_id, author=self._author, text=piece))

        try:
            async with aclosing(self._side.generate(prompt, options)) as parts:
                async for part in parts:
                    if isinstance(part, Completion):
                        end = part
                        continue
                    chunks.append(part)
                    await say(work.feed(part.text) if work else part.text)
            if work:
                await say(work.rest())
            if options.response_schema and end and end.finish_reason == "stop" and not _is_json("".join(text)):
                raise self._ignores_schemas()
        except CloudUnavailable as error:
            if show and any(text) and not self._held:
                raise BrokenOff(f"the cloud's answer broke off: {error.message}") from None
            raise
        if end is None:
            raise Internal(f"the {self._author} ended its answer without saying so; see its log")
        whole = Text.join(message.content for message in prompt.messages).derive("".join(text))
        logprobs, entropies, margins = (
            tuple(value for chunk in chunks for value in getattr(chunk, name))
            for name in ("logprobs", "entropies", "margins")
        )
        return Draft(answer_id, self._author, whole, end, logprobs, entropies, margins)

    def _ignores_schemas(self) -> EdgewiseError:
        error = CloudUnavailable if self._author == "cloud" else Internal
        return error(f"the {self._author} was asked for JSON and wrote something else; ask without response_schema")


@dataclass(frozen=True, slots=True)
class Desk:
    """`local` scores (under `cache_key`) and embeds; `cloud` passes the budget and the egress gate (meter.py).

    `arbiter` decides; `embedder` is the hash of the model that `local` embeds with. `asked_at` is in the device's time.

    `keep` lets the device remember what the cloud informed of, once the answer is out, in the collection `info`.
    """

    edge: Writer
    cloud: Writer
    local: MeteredEdge
    cache_key: str
    emit: Emit
    keep: Callable[[tuple[Passage, ...]], None]
    info: str
    arbiter: Arbiter
    embedder: Callable[[], Awaitable[str | None]]
    settings: RouterSettings
    options: frozenset[str]
    elapsed: Callable[[], float]
    asked_at: datetime

    async def step(self, step: Step) -> None:
        await self.emit(step)

    async def gain(self, question: Question) -> Expected:
        """What the cloud is expected to be better by."""
        return await self.arbiter.gain(question.text, self._embed, await self.embedder())

    async def trust(self, question: Question, draft: Draft, prompt: Prompt, facts: Sequence[Text] = ()) -> float | None:
        """The probability that an answer of the edge to a prompt is right; None where nothing can be told.

        `facts` are what it was to be written from.
        """
        said = tuple(fact.value for fact in facts)
        answer = Answer(
            question.text, draft.text.value, said, draft.logprobs, draft.entropies, draft.margins,
            samples=await self.edge.samples(prompt, self.settings.samples),
            finished=draft.completion.finish_reason == "stop",
        )  # fmt: skip
        return await self.arbiter.trust(answer, self._embed, await self.embedder())

    async def decided(self, rule: Rule, gain: float, prompt: Prompt, *, familiar: bool = True) -> Verdict:
        """Whether the cloud is worth asking; OverBudget where a rule needs a price that is unknown."""
        return rule.decide(gain, await self._most_usd(rule, prompt), familiar=familiar)

    async def foreseen(self, rule: Rule, gain: float, prompt: Prompt, *, familiar: bool = True) -> Verdict:
        """The same, without consequences."""
        return rule.foresee(gain, await self._most_usd(rule, prompt), familiar=familiar)

    async def ask_cloud(self, rule: Rule, verdict: Verdict, prompt: Prompt, *, show: bool = True) -> Draft:
        """The cloud's draft, as a rule has decided, which is told what it cost."""
        usd: float | None = None
        try:
            draft = await self.cloud.write(prompt, show=show)
            usd = draft.completion.cost_usd
            return draft
        except (Withheld, OverBudget, NotAudited):
            usd = 0.0
            raise
        finally:
            rule.settle(verdict, usd)

    async def _most_usd(self, rule: Rule, prompt: Prompt) -> float | None:
        return await self.cloud.most_usd(prompt) if rule.priced else None

    async def _embed(self, text: str) -> Sequence[float]:
        return (await self.local.embed((text,)))[0]

    async def show(self, draft: Draft) -> None:
        """Sends a draft that was written silently."""
        await self.emit(Token(answer_id=draft.answer_id, author=draft.author, text=draft.text.value))

    def quote(self, text: Text, question: Question) -> Draft:
        """Words of a passage as a draft of the edge, which chose them and wrote none; links in it lead nowhere."""
        joined = Text.join((question_text(question), text)).derive(defanged(text.value, addresses(question)))
        return Draft(new_id(), "edge", joined, Completion(finish_reason="stop", tokens=Tokens(), model=""))

    def abstain(self, draft: Draft) -> Draft:
        """What is said, whatever the schema, instead of an answer that nothing supports."""
        text = draft.text.derive("I do not know: nothing I can look up answers this.")
        return replace(draft, answer_id=new_id(), text=text, logprobs=())

    def out_of_budget(self, steps: int) -> str | None:
        """Why a mode that works in steps must come to its end after this many; None while it may go on."""
        if steps >= self.settings.agent_steps:
            return f"{steps} steps were made, the limit of router.agent_steps"
        if self.elapsed() >= self.settings.agent_s:
            return f"{self.settings.agent_s:g} s have passed, the limit of router.agent_s"
        return None

    async def retract(self, draft: Draft, reason: str) -> None:
        await self.emit(Retraction(answer_id=draft.answer_id, reason=reason))

    async def cite(self, draft: Draft, passages: tuple[Passage, ...]) -> None:
        await self.emit(Citations(answer_id=draft.answer_id, passages=passages))


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def question_text(question: Question) -> Text:
    return Text(value=question.text, label=question.privacy, sources=("question",))


def step(name: str, detail: str = "", where: Author | None = None, numbers: dict[str, float] | None = None) -> Step:
    """A step with a new id; decided by the router unless a side did it."""
    return Step(id=new_id()[:8], name=name, where=where or "router", detail=detail, numbers=numbers or {})
