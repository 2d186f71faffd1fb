"""What to search for: the question, with what it refers to, or queries that one of the two models makes of it.

`router.rewrite` says who: nobody, the edge, or the cloud, which then sees the question. The question itself is always
searched for, too, so that a bad rewriting costs time and loses nothing.
"""

from __future__ import annotations

import re

from edgewise.types import Question, Text
from router import prompts
from router.desk import CLOUD_CANNOT, Desk, question_text, step

_MOST = 3
_MOST_CHARACTERS = 300
_MOST_TOKENS = 96
# What models put before a line of a list.
_BULLET = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s*|^\s*(?:query|search)\s*\d*\s*:\s*", re.IGNORECASE)


async def searches(question: Question, desk: Desk) -> tuple[Text, ...]:
    """The texts to search for, the question first."""
    asked = looked_up(question)
    who = desk.settings.rewrite
    if who == "off":
        return (asked,)
    writer = desk.cloud if who == "cloud" else desk.edge
    try:
        draft = await writer.jot(prompts.search_queries(question), max_tokens=_MOST_TOKENS)
    except CLOUD_CANNOT as error:
        await desk.step(step("rewrite", f"searched for as it is: {error.message}"))
        return (asked,)
    lines = dict.fromkeys(_BULLET.sub("", line).strip().strip('"') for line in draft.text.value.splitlines())
    queries = [draft.text.derive(line) for line in lines if 0 < len(line) <= _MOST_CHARACTERS][:_MOST]
    await desk.step(step("rewrite", " | ".join(query.value for query in queries), draft.author))
    return (asked, *queries)


def looked_up(question: Question) -> Text:
    """A follow-up is looked up together with the turn before it."""
    earlier = [turn.text for turn in question.history if turn.role == "user"][-1:]
    return Text.join((*earlier, question_text(question)), "\n")
