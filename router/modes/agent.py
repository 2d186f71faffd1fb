"""The edge works with tools: it looks things up here and in the cloud, calculates, reads the clock, then answers.

The next tool is the one whose name the small model finds most likely. Free-form tool calls of such a model are right
three times in ten, so it chooses among names instead of writing calls; each name's likelihood is taken relative to the
same prompt without a question, because some names are likelier than others whatever was asked (contextual
calibration, Zhao et al. 2021). It does not get away with answering from nothing while there is somewhere to look.
"""

from __future__ import annotations

import operator

from edgewise.types import Findings, Passage, Question, Text
from router import prompts
from router.desk import Desk, Foreseen, Outcome, question_text, step
from router.grounding import answer_from
from router.sources import distinct
from router.tools import ANSWER, LOOK_UPS, PURPOSES, TOOLS

_NO_QUESTION = Text.ours("N/A")


async def answer(question: Question, desk: Desk) -> Outcome:
    passages: tuple[Passage, ...] = ()
    notes: list[Text] = []
    facts: list[Text] = []
    open_tools = [*TOOLS]
    steps, without = 0, ""
    while open_tools and (over := desk.out_of_budget(steps)) is None:
        tool = await _choose(question, [*open_tools, ANSWER], notes, desk)
        if tool == ANSWER and not (passages or facts):
            tool = next((name for name in LOOK_UPS if name in open_tools), ANSWER)
        if tool == ANSWER:
            break
        found = await TOOLS[tool].run(question, passages, desk)
        await desk.step(step(tool, found.note.value, "cloud" if tool == "library" else "edge"))
        passages = distinct((*passages, *found.passages))
        notes.append(found.note)
        facts.extend([found.note] if found.fact else [])
        without = without or found.without
        open_tools.remove(tool)
        steps += 1
    else:
        await desk.step(step("stop", over if open_tools and over else "every tool was used"))
    outcome = await answer_from(question, Findings(passages=passages), desk, facts)
    return outcome.but(degraded=True, reason=without) if without else outcome


async def foresee(_: Question, __: Desk) -> Foreseen:
    words = "the edge works with its tools, the cloud's information among them, and writes the answer"
    return Foreseen("edge", words, sends=("query",))


async def _choose(question: Question, names: list[str], notes: list[Text], desk: Desk) -> str:
    purposes = {name: PURPOSES[name] for name in names}
    labels = tuple(names)
    here = await desk.local.score(prompts.tool_choice(question_text(question), purposes, notes), labels, desk.cache_key)
    anyway = await desk.local.score(prompts.tool_choice(_NO_QUESTION, purposes, notes), labels, desk.cache_key)
    gains = dict(zip(names, map(operator.sub, here.logprobs, anyway.logprobs), strict=True))
    best = max(gains, key=gains.__getitem__)
    await desk.step(step("choose tool", best, "edge", gains))
    return best
