"""Today's date and the time at which the question was asked, in the device's time zone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timezone

from edgewise.types import Passage, Question, Text
from router.desk import Desk
from router.tools.found import Found


async def run(_: Question, __: Sequence[Passage], desk: Desk) -> Found:
    offset = desk.asked_at.utcoffset()
    assert offset is not None
    now = desk.asked_at.astimezone(timezone(offset))
    note = f"Today is {now:%A}, {now.day} {now:%B %Y}. The time is {now:%H:%M} ({now:%Z})."
    return Found(Text.ours(note), fact=True)
