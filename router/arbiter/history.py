"""Graded questions of the log, as labels: what a device can learn from what it has answered."""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import AsyncGenerator, Iterable

import numpy as np

from edgewise.types import Author, Grounding, Record
from router.arbiter.answers import Answer
from router.arbiter.labels import Labels
from router.arbiter.metrics import Outcomes
from router.log import Log, mean_grade

_PAGE = 1000


async def gains_of(log: Log) -> Labels:
    """Questions that both sides have answered, each graded at least once: the mean grade of either."""
    grades: dict[str, dict[Author, list[float]]] = {}
    async for record in _graded(log):
        grade = mean_grade(record)
        if record.author is not None and grade is not None:
            grades.setdefault(record.question, {}).setdefault(record.author, []).append(grade)
    known = {question: sides for question, sides in grades.items() if len(sides) == 2}
    weak, strong = (np.array([statistics.fmean(sides[one]) for sides in known.values()]) for one in ("edge", "cloud"))
    return Labels(tuple(known), Outcomes(weak, strong), digest=_digest(map(str, known.items())))


async def answers_of(log: Log) -> Labels:
    """Answers that the edge wrote from its own knowledge, with what is known of their tokens; right from 0.5 on."""
    answers: list[Answer] = []
    right: list[float] = []
    async for record in _graded(log):
        if record.author != "edge":
            continue
        for call in await log.calls(record.record_id):
            if call.side == "edge" and call.kind == "generate" and call.response == record.answer:
                known = (call.logprobs, call.entropies, call.margins)
                finished = record.finish_reason == "stop"
                answers.append(Answer(record.question, record.answer, (), *known, finished=finished))
                right.append(float((mean_grade(record) or 0.0) >= 0.5))
                break
    weak = np.array(right)
    prompts = tuple(answer.question for answer in answers)
    digest = _digest(map(str, zip(answers, right, strict=True)))
    return Labels(prompts, Outcomes(weak, np.full(len(weak), np.nan)), tuple(answers), digest=digest)


async def _graded(log: Log) -> AsyncGenerator[Record]:
    """From a model's own knowledge: what was written from sources says nothing of who knows more."""
    before = ""
    while page := await log.newest(limit=_PAGE, before_record_id=before):
        for record in page:
            # A log on another machine has no questions of records that are not public.
            if record.question and record.grades and not record.error and record.grounding is Grounding.OWN_KNOWLEDGE:
                yield record
        before = page[-1].record_id


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()
