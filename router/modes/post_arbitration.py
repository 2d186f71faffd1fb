"""Answer, then judge.

Parallel (the default): both sides answer at once. The edge's draft is shown at once; when the cloud's arrives, the
arbiter keeps the draft or retracts it. With `+cascade` the edge answers first, and the cloud is asked only if the
draft cannot be trusted.
"""

from __future__ import annotations

import asyncio

from edgewise.errors import EdgewiseError
from edgewise.types import Grounding, Prompt, Question
from router import prompts
from router.arbiter.trust import agreement
from router.desk import CLOUD_CANNOT, Desk, Draft, Outcome, step

# Two answers that share this much (token F1) say the same: the edge's is kept, whatever its trust.
_AGREE = 0.6


async def answer(question: Question, desk: Desk) -> Outcome:
    return await (_cascade if "cascade" in desk.options else _parallel)(question, desk)


async def _parallel(question: Question, desk: Desk) -> Outcome:
    prompt = prompts.closed_book(question)
    async with asyncio.TaskGroup() as group:
        asking_edge = group.create_task(desk.edge.write(prompt))
        asking_cloud = group.create_task(_cloud_draft(prompt, desk))
    edge, cloud = asking_edge.result(), asking_cloud.result()
    trust = desk.trust.of(question.text, edge.text.value, edge.logprobs)
    if not isinstance(cloud, Draft):
        return _kept(edge, trust).but(degraded=True, reason=cloud.message)
    agree = agreement(edge.text.value, cloud.text.value)
    keep = agree >= _AGREE or (trust or 0.0) >= desk.settings.trust_threshold
    numbers = {"agreement": agree, "threshold": desk.settings.trust_threshold} | _number("trust", trust)
    await desk.step(step("judge", f"the {'edge' if keep else 'cloud'}'s answer stays", None, numbers))
    if keep:
        return _kept(edge, max(agree, trust or 0.0))
    return await _replaced(edge, cloud, desk)


async def _cascade(question: Question, desk: Desk) -> Outcome:
    prompt = prompts.closed_book(question)
    edge = await desk.edge.write(prompt)
    trust = desk.trust.of(question.text, edge.text.value, edge.logprobs)
    keep = (trust or 0.0) >= desk.settings.trust_threshold
    numbers = {"threshold": desk.settings.trust_threshold} | _number("trust", trust)
    await desk.step(step("judge", "the edge's answer stays" if keep else "the cloud is asked", None, numbers))
    if keep:
        return _kept(edge, trust)
    cloud = await _cloud_draft(prompt, desk)
    if not isinstance(cloud, Draft):
        return _kept(edge, trust).but(degraded=True, reason=cloud.message)
    return await _replaced(edge, cloud, desk)


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


def _number(name: str, value: float | None) -> dict[str, float]:
    return {} if value is None else {name: value}
