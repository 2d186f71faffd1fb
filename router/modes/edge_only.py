"""The small model answers alone: private, free, fast, weak. With `+rag` from the passages on this device."""

from __future__ import annotations

from edgewise.types import Grounding, Question
from router import prompts
from router.desk import Desk, Outcome
from router.grounding import answer_from


async def answer(question: Question, desk: Desk) -> Outcome:
    if "rag" in desk.options:
        return await answer_from(question, await desk.edge.retrieve(desk.query(question)), desk)
    draft = await desk.edge.write(prompts.closed_book(question, step_by_step="cot" in desk.options))
    return Outcome(draft, Grounding.OWN_KNOWLEDGE, confidence=desk.trust.of(draft.logprobs))
