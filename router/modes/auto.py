"""Picks a mode by a rule, stated here in full, until it is learned from the log:

1. the device's own documents, or else the cloud's corpora, have something relevant -> as cloud_info_edge_rag;
2. otherwise -> post_arbitration+cascade, which asks the cloud only when the edge's own answer cannot be trusted.

A question that may not leave the device gets the same rule without the cloud, and the answer says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from edgewise.types import Passage, Question
from router.desk import Desk, Outcome, step
from router.grounding import answer_from
from router.modes import post_arbitration
from router.modes.cloud_info_edge_rag import cloud_info, merged


async def answer(question: Question, desk: Desk) -> Outcome:
    threshold = desk.settings.relevance
    passages, why_none = await desk.edge.retrieve(desk.query(question)), ""
    best_here = _best(passages)
    if best_here < threshold:
        cloud, why_none = await cloud_info(question, desk)
        passages = merged((*passages, *cloud))
    informed = _best(passages) >= threshold
    mode = "cloud_info_edge_rag" if informed else "post_arbitration+cascade"
    numbers = {"best_here": best_here, "best": _best(passages), "threshold": threshold}
    await desk.step(step("choose mode", mode, None, numbers))
    if informed:
        return replace(await answer_from(question, passages, desk), mode=mode)
    outcome = await post_arbitration.answer(question, replace(desk, options=frozenset({"cascade"})))
    outcome = replace(outcome, mode=mode)
    return outcome.but(degraded=True, reason=f"without cloud information: {why_none}") if why_none else outcome


def _best(passages: Iterable[Passage]) -> float:
    return max((passage.score for passage in passages), default=0.0)
