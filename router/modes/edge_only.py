"""The small model answers alone: private, free, fast, weak.

With `+rag` from passages of this device, with `+long_context` from a whole document of it, or with both.
"""

from __future__ import annotations

from edgewise.types import Grounding, Question
from router import prompts
from router.desk import Desk, Foreseen, Outcome
from router.grounding import answer_from, answer_from_document
from router.sources import from_here


async def answer(question: Question, desk: Desk) -> Outcome:
    if "long_context" in desk.options:
        return await answer_from_document(question, desk, with_sentences="rag" in desk.options)
    if "rag" in desk.options:
        return await answer_from(question, await from_here(question, desk), desk)
    prompt = prompts.closed_book(question, step_by_step="cot" in desk.options)
    draft = await desk.edge.write(prompt)
    return Outcome(draft, Grounding.OWN_KNOWLEDGE, confidence=await desk.trust(question, draft, prompt))


async def foresee(_: Question, __: Desk) -> Foreseen:
    return Foreseen("edge", "the edge answers, whatever the question", sends=())
