"""Picks a mode by a rule, stated here in full, until it is learned from the log:

1. the device's documents or the cloud's corpora have something relevant -> as cloud_info_edge_rag;
2. otherwise -> post_arbitration+cascade, which asks the cloud only when the edge's own answer cannot be trusted.

A question that may not leave the device gets the same rule without the cloud, and the answer says so.
"""

from __future__ import annotations

from dataclasses import replace

from edgewise.types import Question
from router.desk import Desk, Outcome, step
from router.grounding import answer_from
from router.modes import post_arbitration
from router.modes.cloud_info_edge_rag import from_both


async def answer(question: Question, desk: Desk) -> Outcome:
    passages, why_less = await from_both(question, desk)
    best = max((passage.score for passage in passages), default=0.0)
    informed = best >= desk.settings.relevance
    mode = "cloud_info_edge_rag" if informed else "post_arbitration+cascade"
    await desk.step(step("choose mode", mode, None, {"best": best, "threshold": desk.settings.relevance}))
    if informed:
        outcome = await answer_from(question, passages, desk)
    else:
        outcome = await post_arbitration.answer(question, replace(desk, options=frozenset({"cascade"})))
    outcome = replace(outcome, mode=mode)
    return outcome.but(degraded=True, reason=why_less) if why_less else outcome
