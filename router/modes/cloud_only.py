"""The large model answers alone: for money, with delay, and it sees the question.

With `+rag` it is also shown public passages of this device, and what the gateway knows.
"""

from __future__ import annotations

from edgewise.types import Grounding, Passage, Privacy, Question
from router import prompts
from router.desk import Desk, Foreseen, Outcome, Sent
from router.grounding import answer_from
from router.sources import from_both


async def answer(question: Question, desk: Desk) -> Outcome:
    if "rag" in desk.options:
        gathered = await from_both(question, desk)
        shown = tuple(one for one in gathered.findings.passages if one.text.label is Privacy.PUBLIC or _came(one))
        findings = gathered.findings.model_copy(update={"passages": shown})
        return await answer_from(question, findings, desk, writer=desk.cloud)
    draft = await desk.cloud.write(prompts.closed_book(question, step_by_step="cot" in desk.options))
    return Outcome(draft, Grounding.OWN_KNOWLEDGE)


def _came(passage: Passage) -> bool:
    """From the cloud, for a question that was let out."""
    return passage.origin == "cloud" and passage.text.label is not Privacy.PRIVATE


async def foresee(_: Question, desk: Desk) -> Foreseen:
    shown: tuple[Sent, ...] = ("prompt", "query", "passages") if "rag" in desk.options else ("prompt",)
    return Foreseen("cloud", "the cloud answers, whatever the question", sends=shown)
