"""Answer, then judge.

Parallel (the default): both sides answer at once. The edge's draft is shown at once; when the cloud's arrives, the
arbiter keeps the draft or retracts it. With `+cascade` the edge answers first, and the cloud is asked only if the
draft cannot be trusted.
"""

from __future__ import annotations

import asyncio

from edgewise.errors import EdgewiseError
from edgewise.types import Prompt, Question
from router import prompts
from router.arbiter.overlap import agreement
from router.desk import CLOUD_CANNOT, Desk, Draft, Foreseen, Outcome, step
from router.judging import Written, is_preferred, judged, kept, number, replaced

# Two answers that share this much (token F1) say the same: the edge's is kept, whatever its trust.
_AGREE = 0.6


async def answer(question: Question, desk: Desk) -> Outcome:
    return await (_cascade if "cascade" in desk.options else _parallel)(question, desk)


async def foresee(_: Question, desk: Desk) -> Foreseen:
    wanted = number("threshold", desk.arbiter.keeps_from).get("threshold")
    if "cascade" not in desk.options:
        words = "both answer; the edge's answer stays if the cloud's says the same, or if it can be trusted"
        return Foreseen(None, words, ("prompt", "answers") if desk.settings.judge else ("prompt",), threshold=wanted)
    if wanted is None:
        return Foreseen(None, f"the edge answers first, then the cloud is asked: {desk.arbiter.keeps_because}")
    share = desk.arbiter.doubted
    words = f"the edge answers first; of the graded answers {share:.0%} were trusted too little, and the cloud is asked"
    return Foreseen(None, words, threshold=wanted)


async def _parallel(question: Question, desk: Desk) -> Outcome:
    prompt = prompts.closed_book(question)
    async with asyncio.TaskGroup() as group:
        asking_edge = group.create_task(desk.edge.write(prompt))
        asking_cloud = group.create_task(_cloud_draft(prompt, desk))
    edge, cloud = asking_edge.result(), asking_cloud.result()
    trust = await desk.trust(question, edge, prompt)
    if not isinstance(cloud, Draft):
        return kept(edge, trust).but(degraded=True, reason=cloud.message)
    agree = agreement(edge.text.value, cloud.text.value)
    stays = agree >= _AGREE or (trust is not None and trust >= desk.arbiter.keeps_from)
    if not stays and desk.settings.judge:
        stays = await is_preferred(question, edge, cloud, desk)
    numbers = {"agreement": agree, **number("trust", trust), **number("threshold", desk.arbiter.keeps_from)}
    await desk.step(step("judge", f"the {'edge' if stays else 'cloud'}'s answer stays", None, numbers))
    return kept(edge, max(agree, trust or 0.0)) if stays else await replaced(edge, cloud, desk)


async def _cascade(question: Question, desk: Desk) -> Outcome:
    prompt = prompts.closed_book(question)
    draft = await desk.edge.write(prompt)
    trust = await desk.trust(question, draft, prompt)
    return await judged(Written(draft, trust, 1 - (trust or 0.0)), desk.arbiter.doubts, prompt, desk)


async def _cloud_draft(prompt: Prompt, desk: Desk) -> Draft | EdgewiseError:
    """The cloud's answer, written silently, or why there is none: it never costs the caller the edge's."""
    try:
        return await desk.cloud.write(prompt, show=False)
    except CLOUD_CANNOT as error:
        return error
