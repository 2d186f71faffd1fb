"""Picks a mode by a rule, stated here in full, until it is learned from the log:

1. the device's own passages are relevant to the question -> cloud_info_edge_rag;
2. otherwise -> post_arbitration+cascade, which asks the cloud only when the edge's own answer cannot be trusted.

A question that may not leave the device gets the same rule: both modes answer without the cloud then, and say so.
"""

from __future__ import annotations

from dataclasses import replace

from edgewise.types import Question
from router.desk import Desk, Outcome, step
from router.modes import cloud_info_edge_rag, post_arbitration


async def answer(question: Question, desk: Desk) -> Outcome:
    passages = await desk.edge.retrieve(desk.query(question))
    best = max((passage.score for passage in passages), default=0.0)
    known_here = best >= desk.settings.relevance
    mode = "cloud_info_edge_rag" if known_here else "post_arbitration+cascade"
    await desk.step(step("choose mode", mode, None, {"best": best, "threshold": desk.settings.relevance}))
    if known_here:
        return replace(await cloud_info_edge_rag.answer(question, desk), mode=mode)
    cascade = replace(desk, options=frozenset({"cascade"}))
    return replace(await post_arbitration.answer(question, cascade), mode=mode)
