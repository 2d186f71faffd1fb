"""Decide before generating: the predicted gain of the cloud over the edge on this question chooses who answers."""

from __future__ import annotations

from edgewise.types import Grounding, Question
from router import prompts
from router.desk import CLOUD_CANNOT, Desk, Outcome, step


async def answer(question: Question, desk: Desk) -> Outcome:
    estimate = desk.gain.estimate(question.text)
    to_cloud = estimate.gain >= desk.settings.gain_threshold
    numbers = {"gain": estimate.gain, "threshold": desk.settings.gain_threshold, **estimate.contributions}
    await desk.step(step("decide", f"the {'cloud' if to_cloud else 'edge'} answers", None, numbers))
    prompt = prompts.closed_book(question)
    if to_cloud:
        try:
            return Outcome(await desk.cloud.write(prompt), Grounding.OWN_KNOWLEDGE, confidence=estimate.gain)
        except CLOUD_CANNOT as error:
            outcome = await _on_the_edge(question, desk)
            return outcome.but(degraded=True, reason=error.message)
    return await _on_the_edge(question, desk)


async def _on_the_edge(question: Question, desk: Desk) -> Outcome:
    draft = await desk.edge.write(prompts.closed_book(question))
    return Outcome(
        draft, Grounding.OWN_KNOWLEDGE, confidence=desk.trust.of(question.text, draft.text.value, draft.logprobs)
    )
