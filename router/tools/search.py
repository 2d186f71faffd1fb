"""The documents on this device."""

from __future__ import annotations

from collections.abc import Sequence

from edgewise.types import Findings, Passage, Question, Text
from router.desk import Desk
from router.sources import from_here, relevant
from router.tools.found import Found


async def run(question: Question, _: Sequence[Passage], desk: Desk) -> Found:
    return found(await from_here(question, desk), desk, "the device's documents")


def found(findings: Findings, desk: Desk, where: str) -> Found:
    """What is relevant of some findings, and a note of how much that is."""
    passages = relevant(findings, desk.settings)
    if not passages:
        return Found(Text.ours(f"{where}: nothing relevant"))
    return Found(Text.ours(f"{where}: {len(passages)} relevant passages"), passages)
