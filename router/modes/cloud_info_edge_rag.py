"""The cloud informs, the edge writes: passages from both sides, the answer and its citations from this device.

Only the question goes up, never a passage of this device.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from edgewise.types import Passage, Question
from router.desk import CLOUD_CANNOT, Desk, Outcome, step
from router.grounding import answer_from


async def answer(question: Question, desk: Desk) -> Outcome:
    local, (cloud, why_none) = await asyncio.gather(
        desk.edge.retrieve(desk.query(question)), cloud_info(question, desk)
    )
    outcome = await answer_from(question, merged((*local, *cloud)), desk)
    return outcome.but(degraded=True, reason=f"without cloud information: {why_none}") if why_none else outcome


async def cloud_info(question: Question, desk: Desk) -> tuple[tuple[Passage, ...], str]:
    """The cloud's passages, or none and the reason."""
    try:
        passages = await desk.cloud.retrieve(desk.cloud_query(question))
    except CLOUD_CANNOT as error:
        await desk.step(step("cloud info", error.message))
        return (), error.message
    await desk.step(step("cloud info", f"{len(passages)} passages", "cloud"))
    return passages, ""


def merged(passages: Iterable[Passage]) -> tuple[Passage, ...]:
    """Best first; of passages with the same text the better-placed one stays."""
    kept: dict[str, Passage] = {}
    for passage in sorted(passages, key=lambda passage: passage.score, reverse=True):
        kept.setdefault(passage.text.value, passage)
    return tuple(kept.values())
