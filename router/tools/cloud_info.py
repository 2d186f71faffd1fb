"""Cloud information: passages from the gateway. The question goes up, nothing of this device does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from edgewise.types import Passage, Question, Text
from router.desk import Desk
from router.sources import from_cloud
from router.tools.found import Found
from router.tools.search import found


async def run(question: Question, _: Sequence[Passage], desk: Desk) -> Found:
    gathered = await from_cloud(question, desk)
    if not gathered.asked:
        return Found(Text.ours(f"the cloud library: not available, {gathered.without}"), without=gathered.without)
    return replace(found(gathered.findings, desk, "the cloud library"), without=gathered.without)
