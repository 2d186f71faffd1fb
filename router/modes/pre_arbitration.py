"""Decide before generating: the expected gain of the cloud over the edge on this question chooses who answers.

With `+cascade` the edge is given a chance: a draft is written wherever it may well be good enough, and judged as in
post_arbitration+cascade; the cloud is asked at once only where that is hopeless.
"""

from __future__ import annotations

from edgewise.types import Author, Grounding, Prompt, Question
from router import prompts
from router.arbiter.ensemble import Expected
from router.arbiter.rules import Verdict
from router.desk import CLOUD_CANNOT, Desk, Foreseen, Outcome, step
from router.judging import Written, judged


async def answer(question: Question, desk: Desk) -> Outcome:
    prompt = prompts.closed_book(question)
    expected = await desk.gain(question)
    try:
        if "cascade" in desk.options and not await _is_hopeless(expected, prompt, desk):
            return await _with_a_draft(question, prompt, expected, desk)
        verdict = await desk.decided(desk.arbiter.gains, expected.value, prompt, familiar=expected.familiar)
        numbers = {"gain": expected.value, "threshold": verdict.threshold, **expected.parts}
        await desk.step(step("decide", _in_words(expected, verdict), None, numbers))
        if verdict.to_cloud:
            return Outcome(await desk.ask_cloud(desk.arbiter.gains, verdict, prompt), Grounding.OWN_KNOWLEDGE)
    except CLOUD_CANNOT as error:
        return (await _on_the_edge(question, prompt, desk)).but(degraded=True, reason=error.message)
    return await _on_the_edge(question, prompt, desk)


async def _with_a_draft(question: Question, prompt: Prompt, expected: Expected, desk: Desk) -> Outcome:
    draft = await desk.edge.write(prompt)
    trust = await desk.trust(question, draft, prompt)
    written = Written(draft, trust, desk.arbiter.both.after(expected.value, trust))
    return await judged(written, desk.arbiter.gains, prompt, desk)


async def foresee(question: Question, desk: Desk) -> Foreseen:
    prompt, expected = prompts.closed_book(question), await desk.gain(question)
    reasons = desk.arbiter.reasons(question.text, expected)
    verdict = await desk.foreseen(desk.arbiter.gains, expected.value, prompt, familiar=expected.familiar)

    def foreseen(author: Author | None, words: str) -> Foreseen:
        return Foreseen(
            author,
            words,
            () if author == "edge" else ("prompt",),
            expected.value,
            verdict.threshold,
            expected.familiar,
            reasons,
        )

    if "cascade" not in desk.options:
        return foreseen("cloud" if verdict.to_cloud else "edge", _in_words(expected, verdict))
    if await _is_hopeless(expected, prompt, desk):
        return foreseen("cloud", "the cloud answers at once: a draft of the edge is hopeless")
    return foreseen(None, "the edge writes a draft, which decides whether the cloud is asked")


async def _is_hopeless(expected: Expected, prompt: Prompt, desk: Desk) -> bool:
    """Whether a draft of the edge is expected to save less than it costs."""
    wanted = await desk.foreseen(desk.arbiter.gains, expected.value, prompt, familiar=expected.familiar)
    draft_is_worth = desk.arbiter.both.worth(expected.value, wanted.threshold)
    hopeless = draft_is_worth < desk.settings.edge_price
    numbers = {"gain": expected.value, "threshold": wanted.threshold, "draft is worth": draft_is_worth}
    await desk.step(step("weigh a draft", "hopeless" if hopeless else "worth writing", None, numbers))
    return hopeless


def _in_words(expected: Expected, verdict: Verdict) -> str:
    unlike = "" if expected.familiar else "a question unlike all that was learned from"
    return ": ".join(filter(None, (f"the {'cloud' if verdict.to_cloud else 'edge'} answers", unlike, verdict.because)))


async def _on_the_edge(question: Question, prompt: Prompt, desk: Desk) -> Outcome:
    draft = await desk.edge.write(prompt)
    return Outcome(draft, Grounding.OWN_KNOWLEDGE, confidence=await desk.trust(question, draft, prompt))
