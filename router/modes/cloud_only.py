"""The large model answers alone: for money, with delay, and it sees the question."""

from __future__ import annotations

from edgewise.types import Grounding, Question
from router import prompts
from router.desk import Desk, Outcome


async def answer(question: Question, desk: Desk) -> Outcome:
    draft = await desk.cloud.write(prompts.closed_book(question, step_by_step="cot" in desk.options))
    return Outcome(draft, Grounding.OWN_KNOWLEDGE)
