"""Cloud information: passages from the gateway's corpora. The question goes up, nothing of this device does."""

from __future__ import annotations

from collections.abc import Sequence

from edgewise.types import Passage, Question, Text
from router.desk import CLOUD_CANNOT, Desk
from router.tools.found import Found
from router.tools.search import found


async def run(question: Question, _: Sequence[Passage], desk: Desk) -> Found:
    try:
        passages = await desk.cloud.retrieve(desk.cloud_query(question))
    except CLOUD_CANNOT as error:
        note = Text.ours(f"the cloud library: not available, {error.message}")
        return Found(note, without=error.message)
    return found(passages, desk, "the cloud library")
