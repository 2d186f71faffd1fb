"""A draft of the edge that stays, or gives way to the cloud's answer."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgewise.types import Grounding, Prompt, Question
from router import prompts
from router.arbiter.rules import Rule
from router.desk import CLOUD_CANNOT, Desk, Draft, Outcome, step


@dataclass(frozen=True, slots=True)
class Written:
    """A draft of the edge, the trust in it, and what the cloud is expected to be better by."""

    draft: Draft
    trust: float | None
    gain: float


async def judged(written: Written, rule: Rule, prompt: Prompt, desk: Desk) -> Outcome:
    """The draft, or the cloud's answer in its place where that is expected to gain enough."""
    try:
        verdict = await desk.decided(rule, written.gain, prompt)
        numbers = {"gain": written.gain, **number("trust", written.trust), **number("threshold", verdict.threshold)}
        says = "the cloud is asked" if verdict.to_cloud else "the edge's answer stays"
        await desk.step(step("judge", ": ".join(filter(None, (says, verdict.because))), None, numbers))
        if not verdict.to_cloud:
            return kept(written.draft, written.trust)
        cloud = await desk.ask_cloud(rule, verdict, prompt, show=False)
    except CLOUD_CANNOT as error:
        return kept(written.draft, written.trust).but(degraded=True, reason=error.message)
    return await replaced(written.draft, cloud, desk)


async def is_preferred(question: Question, edge: Draft, cloud: Draft, desk: Desk) -> bool:
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


async def replaced(edge: Draft, cloud: Draft, desk: Desk) -> Outcome:
    await desk.retract(edge, "the cloud's answer is preferred")
    await desk.show(cloud)
    return Outcome(cloud, Grounding.OWN_KNOWLEDGE)


def kept(edge: Draft, confidence: float | None) -> Outcome:
    return Outcome(edge, Grounding.OWN_KNOWLEDGE, confidence=confidence)


def number(name: str, value: float | None) -> dict[str, float]:
    """What a step shows of a value that may be unknown, or without bounds."""
    return {} if value is None or not math.isfinite(value) else {name: value}
