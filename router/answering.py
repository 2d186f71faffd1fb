"""One question that was let in, to its record: run its mode, fold the events, keep what happened."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from edgewise.errors import (
    Cancelled,
    CloudUnavailable,
    DeadlineExceeded,
    EdgeUnavailable,
    EdgewiseError,
    Internal,
    Withheld,
)
from edgewise.keys import new_id, question_hash
from edgewise.ports import Cloud, Edge
from edgewise.types import Event, Options, Passage, Privacy, Question, Record, Sampling, SideStatus
from router import prompts
from router.arbiter.arbiter import Arbiter
from router.config import RouterSettings
from router.defanging import addresses
from router.desk import Desk, Emit, Outcome, Writer, question_text, step
from router.egress import Boundary, Gated
from router.experiments.assignment import NO_SEAT, Seat
from router.experiments.live import Experiments
from router.fold import Fold, done
from router.log import Log
from router.log.moments import written
from router.meter import Budgeted, Clock, Ledger, Metered, MeteredEdge
from router.modes import MODES, edge_only, parse
from router.observer import Observers
from router.purse import Purse
from router.reach import info_of
from router.running import Floor, Running

log = logging.getLogger(__name__)

_OUTBOX = 64
_TAINTED = "an earlier turn of this conversation is private"


@dataclass(frozen=True, slots=True)
class Origin:
    """Who asks, and for what. An `isolated` question reuses nothing of another one, so that they can be compared.

    Those of a comparison that are not isolated (its warm pass) reuse what was asked in the same mode, and only that.
    `seat` is the part of a question in an experiment; `purse` is what pays for it, if it is not the owner's money.
    """

    app: str = ""
    question_id: str = ""
    isolated: bool = False
    seat: Seat = NO_SEAT
    purse: Purse | None = None

    @property
    def is_compared(self) -> bool:
        """Questions of a comparison take no part in experiments."""
        return self.isolated or bool(self.question_id)

    @property
    def is_shadow(self) -> bool:
        return bool(self.seat.shadow_of)

    def cache_key(self, mode: str) -> str:
        if self.isolated:
            return f"{mode}/{self.question_id}"
        if self.question_id:
            return f"{mode}/warm"
        return "shadow" if self.is_shadow else ""


@dataclass(frozen=True, slots=True)
class Request:
    """One question while it is answered; `emit` is what its caller hears.

    `private_because` says why it is private, if nobody labelled it so.
    """

    origin: Origin
    asked_at: datetime
    ledger: Ledger
    emit: Emit
    record_id: str
    private_because: str = ""


@dataclass
class Answering:
    """What answers are made of, and what is still being written of them. `alone` is whether nobody else waits."""

    edge: Edge
    cloud: Cloud
    records: Log
    boundary: Boundary
    settings: RouterSettings
    arbiter: Arbiter
    experiments: Experiments
    observers: Observers
    edge_ready: Callable[[], Awaitable[None]]
    alone: Callable[[], bool]
    clock: Clock
    wall: Callable[[], datetime]
    floor: Floor = field(default_factory=Floor)
    _embedder: str | None = None
    _knows_embedder: bool = False
    _writing: set[asyncio.Future[None]] = field(default_factory=set)

    async def events(self, question: Question, origin: Origin) -> AsyncGenerator[Event]:
        """Of one answer; closing it cancels the answer, which is recorded as cancelled."""
        outbox: asyncio.Queue[Event | None] = asyncio.Queue()
        room = asyncio.Semaphore(_OUTBOX)

        async def send(event: Event) -> None:
            await room.acquire()
            outbox.put_nowait(event)

        with self.floor.taken(Running(origin.app, question.conversation_id, question.user_id, origin.seat.shadow_of)):
            job = asyncio.create_task(self._answer(question, origin, send))
            job.add_done_callback(lambda _: outbox.put_nowait(None))
            try:
                while (event := await outbox.get()) is not None:
                    room.release()
                    yield event
                await job
            finally:
                if not job.done():
                    job.cancel()
                    await asyncio.wait({job})
                # What a cancelled caller will not hear is in the record; asking for it here keeps asyncio quiet.
                _ = job.cancelled() or job.exception()

    def request(self, origin: Origin, emit: Emit, ledger: Ledger) -> Request:
        return Request(origin, self.wall(), ledger, emit, new_id())

    def desk(self, question: Question, request: Request, options: frozenset[str]) -> Desk:
        """The two sides of one question, wrapped in the order that `meter.py` explains."""
        origin, ledger, emit = request.origin, request.ledger, request.emit
        keys = Options(
            sampling=question.sampling or Sampling(max_tokens=self.settings.max_tokens),
            cache_key=origin.cache_key(question.mode),
            question_id=origin.question_id,
            question_hash=question_hash(question.text),
            priority="batch" if origin.is_shadow else "interactive",
            response_schema=question.response_schema,
        )
        gated = Gated(self.cloud, self.boundary, request.record_id, request.private_because)
        cloud = Metered("cloud", Budgeted(gated, question.max_cost_usd, ledger), ledger)
        edge = MeteredEdge(self.edge, ledger)
        asked = addresses(question)
        return Desk(
            edge=Writer("edge", edge, emit, keys, held=question.hold, asked=asked),
            cloud=Writer("cloud", cloud, emit, keys, held=question.hold, asked=asked),
            local=edge,
            cache_key=keys.cache_key,
            emit=emit,
            keep=(lambda _: None) if origin.isolated or origin.is_shadow else partial(self._remember, origin.app),
            info=info_of(origin.app),
            arbiter=self.arbiter,
            embedder=self._embedder_hash,
            settings=self.settings,
            options=options,
            elapsed=ledger.now,
            asked_at=request.asked_at,
        )

    async def settled(self) -> None:
        """Waits for the records, and what else is to be kept, that are still being written."""
        if self._writing:
            await asyncio.wait(self._writing)

    async def _answer(self, question: Question, origin: Origin, send: Emit) -> None:
        ledger = Ledger(self.clock)
        fold = Fold(ledger, question.hold)

        async def emit(event: Event) -> None:
            if fold.add(event):
                await send(event)

        request = self.request(origin, emit, ledger)
        start = self._first_page(question, request)
        if start.mode != question.mode:
            question = question.model_copy(update={"mode": start.mode})
        outcome: Outcome | None = None
        failure: EdgewiseError | None = None
        try:
            async with asyncio.timeout(question.max_latency_s):
                question, request = await self.as_private_as_it_is(question, request)
                outcome = await self._outcome(await self._afforded(question, origin), request)
            for event in fold.held(outcome):
                await send(event)
        except asyncio.CancelledError:
            failure = Cancelled("the caller went away before the answer was final")
            raise
        except Exception as error:
            failure = _as_failure(error, question)
            raise failure from error
        finally:
            if start.privacy is not question.privacy:
                start = start.model_copy(update={"privacy": question.privacy})
            record = fold.record(start, question, outcome if failure is None else None, failure)
            if origin.purse is not None:
                origin.purse.settle(ledger.owed_usd if record.cost_usd is None else record.cost_usd)
            kept = self._in_the_background(self.records.write(record, ledger.calls))
            log.info(
                "answered record=%s mode=%s author=%s total_s=%.3f error=%s",
                record.record_id, record.mode, record.author, record.total_s, record.error or "none",
            )  # fmt: skip
            await asyncio.shield(kept)  # it is written to the end, even if the caller leaves meanwhile
            self.observers.observe(record, tuple(ledger.calls))
            self.experiments.answered(record)
        await send(done(record, outcome.draft.answer_id))
        self._beside(question, record, origin)

    def _beside(self, question: Question, record: Record, origin: Origin) -> None:
        """Once an answer is complete, an experiment may want its question answered in another mode as well."""
        if not self.experiments.has_shadow:
            return

        async def ask(question: Question, seat: Seat) -> None:
            async with aclosing(self.events(question, replace(origin, seat=seat, purse=None))) as events:
                async for _ in events:
                    pass

        sampling = question.sampling or Sampling(max_tokens=self.settings.max_tokens)
        self.experiments.shadow(
            question.model_copy(update={"sampling": sampling}),
            record,
            origin.seat,
            alone=self.alone(),
            cloud=partial(status_of, self.cloud),
            ask=ask,
        )

    async def _afforded(self, question: Question, origin: Origin) -> Question:
        """With what its app may still spend as its limit."""
        if origin.purse is None:
            return question
        return await origin.purse.limited(question, partial(status_of, self.cloud), self.settings.max_tokens)

    async def _outcome(self, question: Question, request: Request) -> Outcome:
        mode, options = parse(question.mode)
        question, request = await self.with_history(question, request)
        desk = self.desk(question, request, options)
        try:
            await self.edge_ready()
            return await MODES[mode].answer(question, desk)
        except CloudUnavailable as error:
            # Only a mode that cannot do without the cloud lets this through, and only before its first token.
            await request.emit(step("fall back", f"the edge answers instead: {error.message}"))
            outcome = await edge_only.answer(question, replace(desk, options=frozenset()))
            return outcome.but(degraded=True, reason=error.message)
        except (EdgeUnavailable, ExceptionGroup) as error:
            await self._goes_nowhere_else(_innermost(error), question, request)
            raise

    async def _goes_nowhere_else(self, error: Exception, question: Question, request: Request) -> None:
        """Without the edge nobody answers what may not leave the device, and asking again elsewhere would not help."""
        if not isinstance(error, EdgeUnavailable):
            return
        texts = (question_text(question), *(turn.text for turn in question.history))
        if held := await self.boundary.policy.held(texts):
            why = request.private_because or held
            what = f"the edge cannot answer ({error.message}), and this may not leave the device: {why}"
            raise Withheld(f"{what}. Ask again when the edge is back", retry_after_s=error.retry_after_s) from error

    async def as_private_as_it_is(self, question: Question, request: Request) -> tuple[Question, Request]:
        """What a detector objects to is private from here on, with all that is made of it."""
        objection = await self.boundary.policy.objection(question_text(question))
        if objection is None:
            return question, request
        private = question.model_copy(update={"privacy": Privacy.PRIVATE})
        return private, replace(request, private_because=objection)

    async def with_history(self, question: Question, request: Request) -> tuple[Question, Request]:
        """The question with the turns that its prompts repeat; what is left out is said.

        A private turn makes what follows it private, also where it is left out itself.
        """
        history = question.history
        if question.conversation_id:
            history = await self.records.turns(request.origin.app, question.conversation_id)
        kept = history[len(history) - min(len(history), self.settings.history_turns) :]
        if len(kept) < len(history):
            left_out = len(history) - len(kept)
            await request.emit(step("history", f"{left_out} older turns left out (router.history_turns)"))
        labels = [turn.text.label for turn in history]
        objections = [await self.boundary.policy.objection(turn.text) for turn in history]
        objection = next(filter(None, objections), None)
        taint = _TAINTED if Privacy.PRIVATE in labels else objection and f"in an earlier turn, {objection}"
        if taint and question.privacy is not Privacy.PRIVATE:
            question = question.model_copy(update={"privacy": Privacy.PRIVATE})
            request = replace(request, private_because=taint)
        if kept != question.history:
            question = question.model_copy(update={"history": kept})
        return question, request

    def _first_page(self, question: Question, request: Request) -> Record:
        origin, seat = request.origin, request.origin.seat
        return Record(
            record_id=request.record_id,
            request_id=question.request_id,
            created_at=written(request.asked_at),
            app=origin.app,
            user_id=question.user_id,
            conversation_id=question.conversation_id,
            question=question.text,
            privacy=question.privacy,
            mode_asked=question.mode,
            mode=seat.mode or question.mode,
            policy_version=self.arbiter.version,
            prompt_version=prompts.VERSION,
            propensity=seat.propensity,
            experiment=seat.experiment,
            arm=seat.arm,
            shadow_of=seat.shadow_of,
        )

    def _remember(self, app: str, passages: tuple[Passage, ...]) -> None:
        self._in_the_background(asyncio.create_task(self._kept_on_the_edge(passages, info_of(app))))

    async def _kept_on_the_edge(self, passages: tuple[Passage, ...], collection: str) -> None:
        try:
            await self.edge.keep(passages, collection)
        except EdgewiseError as error:
            log.warning("what the cloud informed of was not kept: %s", error.message)

    def _in_the_background(self, work: asyncio.Future[None]) -> asyncio.Future[None]:
        self._writing.add(work)
        work.add_done_callback(self._writing.discard)
        return work

    async def _embedder_hash(self) -> str | None:
        """An edge keeps its embedder for as long as it runs, and so does the router that started it."""
        if not self._knows_embedder:
            self._embedder = (await self.edge.status()).embedder_hash
            self._knows_embedder = True
        return self._embedder


def _as_failure(error: Exception, question: Question) -> EdgewiseError:
    error = _innermost(error)
    match error:
        case EdgewiseError():
            return error
        case TimeoutError() if question.max_latency_s is not None:
            limit = f"no answer within max_latency_s = {question.max_latency_s} s"
            return DeadlineExceeded(f"{limit}; allow more, or ask in a faster mode such as edge_only")
    log.error("a mode failed", exc_info=error)
    return Internal(f"a fault in edgewise ({type(error).__name__}); its log has the details")


def _innermost(error: Exception) -> Exception:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


async def status_of(side: Edge | Cloud) -> SideStatus:
    """A side that cannot answer says why."""
    try:
        return await side.status()
    except EdgewiseError as error:
        return SideStatus(ready=False, reason=error.message)
