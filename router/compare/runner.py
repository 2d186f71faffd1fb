"""Asks every question in every mode, one at a time and isolated from each other, and journals each answer."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from edgewise.errors import EdgewiseError, Internal
from edgewise.types import Done, Event, Question, Record
from router.compare.questions import Graded
from router.compare.rows import Journal, Row
from router.modes import has_sources
from router.service import Origin


class Asker(Protocol):
    """What a comparison needs of a router. `Router` is one, and the fake in the tests another."""

    def ask(self, question: Question, origin: Origin = ...) -> AsyncIterator[Event]: ...

    async def record(self, record_id: str) -> Record: ...

    async def record_of_request(self, request_id: str) -> Record | None: ...


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is. `last` is None before the first answer."""

    done: int
    total: int
    last: Row | None = None


OnProgress = Callable[[Progress], None]
Pair = tuple[Graded, str]


def pairs_of(
    questions: Sequence[Graded], modes: Sequence[str], seed: int, sourced: Callable[[str], bool] = has_sources
) -> list[Pair]:
    """What to ask, in order: all modes of a question together, questions and modes shuffled by the seed.

    Slow drifts of the machine then hit all modes alike. Unanswerable questions are for modes with sources only.
    """
    order = random.Random(seed)  # noqa: S311 - an order, not a secret
    shuffled = order.sample(questions, len(questions))
    return [
        (question, mode)
        for question in shuffled
        for mode in order.sample(modes, len(modes))
        if question.answerable or sourced(mode)
    ]


async def run(asker: Asker, pairs: Collection[Pair], journal: Journal, on_progress: OnProgress | None = None) -> None:
    """Asks what the journal does not have yet. Failed answers are rows too; cancelling leaves no half row."""
    finished = {(row.id, row.mode) for row in journal.rows}
    report = on_progress or (lambda _: None)
    report(Progress(len(finished), len(pairs)))
    for question, mode in pairs:
        if (question.id, mode) in finished:
            continue
        row = await _answer(asker, question, mode)
        await asyncio.to_thread(journal.append, row)
        finished.add((question.id, mode))
        report(Progress(len(finished), len(pairs), row))


async def _answer(asker: Asker, question: Graded, mode: str) -> Row:
    # A new request id each time: that of an attempt which a kill cut short would count as a repetition.
    request_id = uuid.uuid4().hex
    origin = Origin(question_id=question.id, isolated=True)
    started = time.monotonic()
    done: Done | None = None
    try:
        async for event in asker.ask(question.asked(mode, request_id), origin):
            if isinstance(event, Done):
                done = event
        if done is None:
            raise Internal("the answer ended without saying so; look into the log of the router")
        return _row(question, mode, await asker.record(done.record_id))
    except EdgewiseError as error:
        record = await asker.record_of_request(request_id) or Record(record_id="", total_s=time.monotonic() - started)
        return _row(question, mode, record.model_copy(update={"error": error.code, "error_message": error.message}))


def _row(question: Graded, mode: str, record: Record) -> Row:
    edge, cloud = record.usage.edge, record.usage.cloud
    return Row(
        id=question.id,
        mode=mode,
        answer=record.answer,
        author=record.author,
        score=0.0 if record.error else question.score(record.answer, record.grounding),
        cost_usd=record.cost_usd,
        edge_tokens=edge.prompt_tokens + edge.completion_tokens,
        cloud_tokens=cloud.prompt_tokens + cloud.completion_tokens,
        flops=record.flops,
        first_shown_s=record.first_shown_s,
        first_kept_s=record.first_kept_s,
        total_s=record.total_s,
        cloud_calls=record.cloud_calls,
        retractions=record.retractions,
        confidence=record.confidence,
        grounding=record.grounding,
        cost_basis=record.cost_basis,
        f1=0.0 if record.error else question.f1(record.answer, record.grounding),
        group=question.group,
        private=question.private is True,
        degraded=record.degraded,
        error=record.error,
        cloud_generates=record.cloud_generates,
        reason=record.error_message or record.reason,
        record_id=record.record_id,
    )
