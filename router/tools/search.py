"""The documents on this device."""

from __future__ import annotations

from collections.abc import Sequence

from edgewise.types import Passage, Question, Text
from router.desk import Desk
from router.tools.found import Found


async def run(question: Question, _: Sequence[Passage], desk: Desk) -> Found:
    passages = await desk.edge.retrieve(desk.query(question))
    return found(passages, desk, "the device's documents")


def found(passages: tuple[Passage, ...], desk: Desk, where: str) -> Found:
    """The relevant ones of some passages, and a note of how many there are."""
    relevant = tuple(passage for passage in passages if passage.score >= desk.settings.relevance)
    if not relevant:
        return Found(Text.ours(f"{where}: nothing relevant"))
    return Found(Text.ours(f"{where}: {len(relevant)} relevant passages"), relevant)
