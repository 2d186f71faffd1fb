"""Answer, then judge.

Parallel (the default): both sides answer at once. The edge's draft is shown at once; when the cloud's arrives, the
arbiter keeps the draft or retracts it. With `+cascade` the edge answers first, and the cloud is asked only if the
draft cannot be trusted.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass

from edgewise.errors import EdgewiseError
from edgewise.types import Grounding, Prompt, Question
from router import prompts
from router.arbiter.overlap import agreement
from router.arbiter.rules import Rule
from router.desk import CLOUD_CANNOT, Desk, Draft, Foreseen, Outcome, step

# Two answers that share this much (token F1) say the same: the edge's is kept, whatever its trust.
_AGREE = 0.6


@dataclass(frozen=True, slots=True)
class Written:
    """A draft of the edge, the trust in it, and what the cloud is expected to be better by."""

    draft: Draft
    trust: float | None
    gain: float


async def answer(question: Question, desk: Desk) -> Outcome:
    return await (_cascade if "cascade" in desk.options else _parallel)(question, desk)


async def foresee(_: Question, desk: Desk) -> Foreseen:
    if "cascade" not in desk.options:
        words = "both answer; the edge's answer stays if the cloud's says the same, or if it can be trusted"
        return Foreseen(None, words, threshold=_finite(desk.arbiter.keeps_from))
    share = desk.arbiter.doubted
    words = f"the edge answers first; of the graded answers {share:.0%} were trusted too little, and the cloud is asked"
    return Foreseen(None, words, threshold=_finite(desk.arbiter.keeps_from))


async def _parallel(question: Question, desk: Desk) -> Outcome:
    prompt = prompts.closed_book(question)
    async with asyncio.TaskGroup() as group:
        asking_edge = group.create_task(desk.edge.write(prompt))
        asking_cloud = group.create_task(_cloud_draft(prompt, desk))
    edge, cloud = asking_edge.result(), asking_cloud.result()
    trust = await desk.trust(question, edge, prompt)
    if not isinstance(cloud, Draft):
        return _kept(edge, trust).but(degraded=True, reason=cloud.message)
    agree = agreement(edge.text.value, cloud.text.value)
    keep = agree >= _AGREE or _at_least(trust, desk.arbiter.keeps_from)
    if not keep and desk.settings.judge:
        keep = await _is_preferred(question, edge, cloud, desk)
    numbers = {"agreement": agree, **_number("trust", trust), **_number("threshold", desk.arbiter.keeps_from)}
    await desk.step(step("judge", f"the {'edge' if keep else 'cloud'}'s answer stays", None, numbers))
    if keep:
        return _kept(edge, max(agree, trust or 0.0))
    return await _replaced(edge, cloud, desk)


async def _cascade(question: Question, desk: Desk) -> Outcome:
    prompt = prompts.closed_book(question)
    draft = await desk.edge.write(prompt)
    trust = await desk.trust(question, draft, prompt)
    return await judged(Written(draft, trust, 1 - (trust or 0.0)), desk.arbiter.doubts, prompt, desk)


async def judged(written: Written, rule: Rule, prompt: Prompt, desk: Desk) -> Outcome:
    """The draft, or the cloud's answer in its place where that is expected to gain enough."""
    try:
        verdict = await desk.decided(rule, written.gain, prompt)
        numbers = {"gain": written.gain, **_number("trust", written.trust), **_number("threshold", verdict.threshold)}
        says = "the cloud is asked" if verdict.to_cloud else "the edge's answer stays"
        await desk.step(step("judge", says, None, numbers))
        if not verdict.to_cloud:
            return _kept(written.draft, written.trust)
        cloud = await desk.ask_cloud(rule, verdict, prompt, show=False)
    except CLOUD_CANNOT as error:
        return _kept(written.draft, written.trust).but(degraded=True, reason=error.message)
    return await _replaced(written.draft, cloud, desk)


async def _is_preferred(question: Question, edge: Draft, cloud: Draft, desk: Desk) -> bool:
    """Whether the cloud, asked which of two answers is right, names the edge's; where it cannot be asked, it does not.

    Which of them stands first depends on the question: a judge that prefers the first is no friend of either side.
    """
    edge_first = len(question.text) % 2 == 0
    first, second = (edge, cloud) if edge_first else (cloud, edge)
    try:
        said = await desk.cloud.jot(prompts.judge(question, first.text, second.text), max_tokens=4)
    except CLOUD_CANNOT as error:
        await desk.step(step("judge by the cloud", error.message, "cloud"))
        return False
    letter = said.text.value.strip().upper()[:1]
    await desk.step(step("judge by the cloud", f"`{said.text.value.strip()[:20]}` of A and B", "cloud"))
    return letter == ("A" if edge_first else "B")


async def _cloud_draft(prompt: Prompt, desk: Desk) -> Draft | EdgewiseError:
    """The cloud's answer, written silently, or why there is none: it never costs the caller the edge's."""
    try:
        return await desk.cloud.write(prompt, show=False)
    except CLOUD_CANNOT as error:
        return error


async def _replaced(edge: Draft, cloud: Draft, desk: Desk) -> Outcome:
    await desk.retract(edge, "the cloud's answer is preferred")
    await desk.show(cloud)
    return Outcome(cloud, Grounding.OWN_KNOWLEDGE)


def _kept(edge: Draft, confidence: float | None) -> Outcome:
    return Outcome(edge, Grounding.OWN_KNOWLEDGE, confidence=confidence)


def _at_least(trust: float | None, threshold: float) -> bool:
    return trust is not None and trust >= threshold


def _number(name: str, value: float | None) -> dict[str, float]:
    return {} if value is None or not math.isfinite(value) else {name: value}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
