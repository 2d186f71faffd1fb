"""Arithmetic: the edge writes one line of it from the question and what was found, the calculator works it out."""

from __future__ import annotations

import re
from collections.abc import Sequence

from edgewise.types import Passage, Question
from router import prompts
from router.arithmetic import evaluate
from router.desk import Desk
from router.grounding import read_for
from router.tools.found import Found

_LINE = re.compile(r"[\d\s.,+\-*/()x×÷%^]+")


async def run(question: Question, passages: Sequence[Passage], desk: Desk) -> Found:
    facts = (await read_for(question, tuple(passages), desk)).facts(desk.settings.sentences)
    draft = await desk.edge.jot(prompts.calculation(question, facts), max_tokens=24)
    line = _LINE.match(draft.text.value.strip())
    expression = line.group().strip() if line else ""
    try:
        value = evaluate(expression)
    except ValueError as error:
        return Found(draft.text.derive(f"the calculator: {error}"))
    return Found(draft.text.derive(f"{expression} = {value:.10g}"), fact=True)
