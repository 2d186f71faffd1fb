"""Picks a mode by a rule, stated here in full, until it is learned from the log:

1. the device's documents or the cloud's corpora have something relevant -> as cloud_info_edge_rag;
2. otherwise -> post_arbitration+cascade, which asks the cloud only when the edge's own answer cannot be trusted.

A question that may not leave the device gets the same rule without the cloud, and the answer says so.
"""

from __future__ import annotations

from dataclasses import replace

from edgewise.types import Question
from router.desk import Desk, Foreseen, Outcome, step
from router.grounding import answer_from
from router.modes import post_arbitration
from router.sources import from_both, from_here, is_answerable


async def answer(question: Question, desk: Desk) -> Outcome:
    gathered = await from_both(question, desk)
    informed = is_answerable(gathered.findings, desk.settings)
    mode = "cloud_info_edge_rag" if informed else "post_arbitration+cascade"
    numbers = {"answerable": gathered.findings.answerable or 0.0, "threshold": desk.settings.answerable}
    await desk.step(step("choose mode", mode, None, numbers))
    if informed:
        outcome = await answer_from(question, gathered.findings, desk)
    else:
        outcome = await post_arbitration.answer(question, replace(desk, options=frozenset({"cascade"})))
    outcome = replace(outcome, mode=mode)
    return outcome.but(degraded=True, reason=gathered.without) if gathered.without else outcome


async def foresee(question: Question, desk: Desk) -> Foreseen:
    """By what the device knows; the cloud's corpora may know more, and are not asked."""
    findings = await from_here(question, desk)
    score, threshold = findings.answerable or 0.0, desk.settings.answerable
    if is_answerable(findings, desk.settings):
        return Foreseen(
            "edge", "as cloud_info_edge_rag: this device knows something relevant", ("query",), score, threshold
        )
    words = "as post_arbitration+cascade, unless the cloud's corpora know something relevant"
    return Foreseen(None, words, ("query", "prompt"), score, threshold)
