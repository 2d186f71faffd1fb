"""Asks every question in every mode, isolated from each other, and writes down each answer with the calls behind it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Protocol

from edgewise.errors import EdgewiseError, Internal, NotReady
from edgewise.keys import new_id
from edgewise.types import Done, Event, Question, Record, Text
from router.answering import Origin
from router.compare.judge import Judge
from router.compare.questions import Graded
from router.compare.rows import WARM, Journal, Row
from router.meter import SideCall
from router.modes import has_sources
from router.trace import Answered, Called, TraceFile

CHECKED = 50
"""Answers of a run, at the most, that are scored without a judge and judged, too, to see how far it can be trusted."""


class Asker(Protocol):
    """What a comparison needs of a router. `Router` is one, and the fake in the tests another."""

    def ask(self, question: Question, origin: Origin = ...) -> AsyncIterator[Event]: ...

    async def record(self, record_id: str) -> Record: ...

    async def record_of_request(self, request_id: str) -> Record | None: ...

    async def calls(self, record_id: str) -> tuple[SideCall, ...]: ...

    async def settled(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is. `last` is None before the first answer."""

    done: int
    total: int
    last: Row | None = None


OnProgress = Callable[[Progress], None]


async def _nothing_to_forget() -> None:
    """Of a router that learns nothing."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How a run asks. `concurrency` is the number of questions in flight: more than one, and they slow each other.

    With `warm` every mode goes through the questions once more, this time learning from one to the next, beginning
    with nothing: `forget` takes away what the mode before has learned. A `judge` scores what needs one.
    """

    seed: int = 0
    concurrency: int = 1
    warm: bool = False
    judge: Judge | None = None
    forget: Callable[[], Awaitable[None]] = _nothing_to_forget


@dataclass(frozen=True, slots=True)
class Pair:
    """One question for one mode. A `checked` answer is judged, whether it needs that or not."""

    question: Graded
    mode: str
    warm: bool = False
    checked: bool = False

    @property
    def label(self) -> str:
        """The mode, as it is called in the results."""
        return self.mode + WARM if self.warm else self.mode

    @property
    def key(self) -> tuple[str, str]:
        return self.question.id, self.label


def pairs_of(
    questions: Sequence[Graded], modes: Sequence[str], manner: Manner, sourced: Callable[[str], bool] = has_sources
) -> list[Pair]:
    """What to ask, in order: all modes of a question together, questions and modes shuffled by the seed.

    Slow drifts of the machine then hit all modes alike. Unanswerable questions are for modes with sources only. The
    warm pass comes last, mode by mode.
    """
    order = random.Random(manner.seed)  # noqa: S311 - an order, not a secret
    shuffled = order.sample(questions, len(questions))
    cold = [
        Pair(question, mode)
        for question in shuffled
        for mode in order.sample(modes, len(modes))
        if question.answerable or sourced(mode)
    ]
    warm = [
        Pair(question, mode, warm=True)
        for mode in modes
        for question in shuffled
        if question.answerable or sourced(mode)
    ]  # fmt: skip
    scored = [place for place, pair in enumerate(cold) if pair.question.answers and not pair.question.is_judged]
    checked = {*order.sample(scored, min(CHECKED, len(scored)))} if manner.judge else set()
    cold = [replace(pair, checked=place in checked) for place, pair in enumerate(cold)]
    return cold + (warm if manner.warm else [])


@dataclass(frozen=True, slots=True)
class Books:
    """Where answers are written down: the calls behind an answer first, so that no row is ever without them."""

    journal: Journal
    trace: TraceFile

    async def enter(self, row: Row, answered: Answered, calls: Sequence[SideCall]) -> None:
        called = [Called(question=row.id, mode=row.mode, call=call) for call in calls]
        await asyncio.to_thread(self._write, row, [*called, answered])

    def _write(self, row: Row, lines: Sequence[Called | Answered]) -> None:
        self.trace.append(lines)
        self.journal.append(row)


async def run(
    asker: Asker, pairs: Sequence[Pair], books: Books, manner: Manner, on_progress: OnProgress | None = None
) -> None:
    """Asks what the journal does not have yet. Failed answers are rows too; cancelling leaves no half row."""
    finished = {(row.id, row.mode) for row in books.journal.rows}
    begun = {mode for _, mode in finished}
    report = on_progress or (lambda _: None)
    report(Progress(len(finished), len(pairs)))

    async def work(pair: Pair) -> None:
        row, answered, calls = await answer(asker, pair, manner.judge)
        await books.enter(row, answered, calls)
        finished.add(pair.key)
        report(Progress(len(finished), len(pairs), row))

    todo = [pair for pair in pairs if pair.key not in finished]
    await _at_once(manner.concurrency, [partial(work, pair) for pair in todo if not pair.warm])
    for pair in [pair for pair in todo if pair.warm]:
        if pair.label not in begun:
            await manner.forget()
            begun.add(pair.label)
        await work(pair)
        await asker.settled()


async def _at_once(most: int, works: Sequence[Callable[[], Coroutine[None, None, None]]]) -> None:
    """All of them, in their order, so many in flight; the first failure ends them."""
    room = asyncio.Semaphore(most)
    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                await room.acquire()
                group.create_task(work()).add_done_callback(lambda _: room.release())
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None


async def answer(asker: Asker, pair: Pair, judge: Judge | None) -> tuple[Row, Answered, tuple[SideCall, ...]]:
    """One answer, what came of it, and the calls behind it."""
    record = await ask(asker, pair)
    calls = await asker.calls(record.record_id) if record.record_id else ()
    row = await _judged(row_of(pair, record), record, pair, judge)
    answered = Answered(
        asked_at=datetime.fromisoformat(record.created_at).astimezone().isoformat() if record.created_at else "",
        calls=record.calls,
        row=row,
        propensity=record.propensity,
    )
    return row, answered, calls


async def ask(asker: Asker, pair: Pair) -> Record:
    """The record of the answer; of an attempt that left none, one that says why."""
    # A new request id each time: that of an attempt which a kill cut short would count as a repetition.
    request_id = new_id()
    origin = Origin(question_id=pair.question.id, isolated=not pair.warm)
    started = time.monotonic()
    done: Done | None = None
    try:
        async for event in asker.ask(pair.question.asked(pair.mode, request_id), origin):
            if isinstance(event, Done):
                done = event
        if done is None:
            raise Internal("the answer ended without saying so; look into the log of the router")
        return await asker.record(done.record_id)
    except EdgewiseError as error:
        record = await asker.record_of_request(request_id)
        if record is None and isinstance(error, NotReady):
            raise  # records cannot be written: that says nothing about the mode, and putting it right resumes the run
        record = record or Record(record_id="", total_s=time.monotonic() - started)
        return record.model_copy(update={"error": error.code, "error_message": error.message})


async def _judged(row: Row, record: Record, pair: Pair, judge: Judge | None) -> Row:
    if judge is None or record.error or not (pair.checked or pair.question.is_judged):
        return row
    found = await judge.judge(pair.question, Text(value=record.answer, label=record.privacy))
    judged = row.model_copy(update={"judged": found.score, "judge_usd": found.cost_usd})
    if not pair.question.is_judged:
        return judged
    reason = "; ".join(filter(None, (row.reason, found.reason and f"not judged: {found.reason}")))
    return judged.model_copy(update={"score": found.score, "reason": reason})


def row_of(pair: Pair, record: Record) -> Row:
    """What a record comes to; None for a score that takes a judge."""
    question = pair.question
    edge, cloud = record.usage.edge, record.usage.cloud
    return Row(
        id=question.id,
        mode=pair.label,
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
        scorer=question.scorer,
    )
