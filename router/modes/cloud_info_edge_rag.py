"""The cloud informs, the edge writes: passages from both sides, the answer and its citations from this device.

Only the question goes up, never a passage of this device.
"""

from __future__ import annotations

from edgewise.types import Question
from router.desk import Desk, Foreseen, Outcome
from router.grounding import answer_from
from router.sources import from_both


async def answer(question: Question, desk: Desk) -> Outcome:
    gathered = await from_both(question, desk)
    outcome = await answer_from(question, gathered.findings, desk)
    return outcome.but(degraded=True, reason=gathered.without) if gathered.without else outcome


async def foresee(_: Question, __: Desk) -> Foreseen:
    return Foreseen("edge", "the cloud is asked for information, the edge writes the answer", sends=("query",))
