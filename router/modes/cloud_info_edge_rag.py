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
    passages, why_less = await from_both(question, desk)
    outcome = await answer_from(question, passages, desk)
    return outcome.but(degraded=True, reason=why_less) if why_less else outcome


async def from_both(question: Question, desk: Desk) -> tuple[tuple[Passage, ...], str]:
    """The passages of the device and of the cloud, best first, and why the cloud's are missing if they are."""
    async with asyncio.TaskGroup() as group:
        looking_here = group.create_task(desk.edge.retrieve(desk.query(question)))
        looking_there = group.create_task(_cloud_info(question, desk))
    cloud, why_none = looking_there.result()
    return merged((*looking_here.result(), *cloud)), why_none and f"without cloud information: {why_none}"


def merged(passages: Iterable[Passage]) -> tuple[Passage, ...]:
    """Best first; of passages with the same text the better-placed one stays."""
    kept: dict[str, Passage] = {}
    for passage in sorted(passages, key=lambda passage: passage.score, reverse=True):
        kept.setdefault(passage.text.value, passage)
    return tuple(kept.values())


async def _cloud_info(question: Question, desk: Desk) -> tuple[tuple[Passage, ...], str]:
    """The cloud's passages, or none and the reason."""
    try:
        passages = await desk.cloud.retrieve(desk.cloud_query(question))
    except CLOUD_CANNOT as error:
        await desk.step(step("cloud info", error.message))
        return (), error.message
    await desk.step(step("cloud info", f"{len(passages)} passages", "cloud"))
    return passages, ""
