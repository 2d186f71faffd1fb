"""One question, from its arrival to its record: check it, run its mode, fold the events, keep what happened."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace

import anyio
from anyio.streams.memory import MemoryObjectSendStream

from edgewise.errors import (
    Cancelled,
    CloudUnavailable,
    Conflict,
    DeadlineExceeded,
    EdgewiseError,
    Internal,
    InvalidInput,
)
from edgewise.keys import question_hash
from edgewise.ports import Cloud, Edge
from edgewise.rpc import Admission
from edgewise.types import (
    Citations,
    Event,
    Explanation,
    Grade,
    ModeInfo,
    Options,
    Passage,
    Question,
    Record,
    Sampling,
    SideStatus,
    Token,
)
from router import prompts
from router.arbiter.arbiter import Arbiter, Models
from router.checking import checked
from router.config import RouterSettings
from router.desk import Desk, Outcome, Writer, step
from router.explaining import Unasked, explained
from router.fold import Fold, done
from router.log import Backlog, Log, ModeTally, now, parse_moment
from router.meter import Budgeted, Clock, Ledger, Metered, MeteredEdge
from router.metrics import Metrics
from router.modes import MODES, edge_only, parse
from router.privacy import Gated, Policy

log = logging.getLogger(__name__)

_OUTBOX = 64


@dataclass(frozen=True, slots=True)
class Origin:
    """Who asks, and for what. An `isolated` question reuses nothing of another one, so that they can be compared."""

    app: str = ""
    question_id: str = ""
    isolated: bool = False


async def _unheard(_: Event) -> None:
    """Nobody listens to a dry run."""


async def edge_answers_for_itself() -> None:
    """The `edge_ready` of an edge that runs elsewhere: its calls say whether it is there."""


class Router:
    """The six modes over two sides. `edge_ready` returns when the edge can be asked, or raises EdgeUnavailable.

    Without an `arbiter` it is the one that Edgewise comes with.
    """

    def __init__(
        self,
        edge: Edge,
        cloud: Cloud,
        records: Log,
        policy: Policy,
        settings: RouterSettings,
        *,
        arbiter: Arbiter | None = None,
        edge_ready: Callable[[], Awaitable[None]] = edge_answers_for_itself,
        clock: Clock = time.monotonic,
    ) -> None:
        self._edge = edge
        self._cloud = cloud
        self._log = records
        self._policy = policy
        self._settings = settings
        self._edge_ready = edge_ready
        self._clock = clock
        self._arbiter = arbiter or Arbiter(Models.open(), settings)
        self._embedder: str | None = None
        self._admission = Admission(settings.max_concurrent)
        self._running: set[tuple[str, str]] = set()
        self._writing: set[asyncio.Task[None]] = set()
        self.metrics = Metrics(queued=lambda: records.backlog.count)
        parse(settings.default_mode)

    async def ask(self, question: Question, origin: Origin = Origin()) -> AsyncGenerator[Event]:
        """The events of one answer; the last is Done. Closing it cancels the answer, which is recorded as cancelled.

        A refused question (InvalidInput, Overloaded, Conflict) leaves no record; any other one leaves exactly one.
        """
        question = checked(question, self._settings.default_mode)
        key = (origin.app, question.request_id)
        earlier = await self._log.of_request(*key) if question.request_id else None
        if earlier is not None and not earlier.error:
            for event in _again(earlier, question):
                yield event
            return
        if question.request_id and key in self._running:
            raise Conflict(f"request {question.request_id} is being answered; wait for it, or use another request_id")
        with self._admission:
            send, receive = anyio.create_memory_object_stream[Event](_OUTBOX)
            with send, receive:
                self._running.add(key)
                job = asyncio.create_task(self._answer(question, origin, send))
                try:
                    async for event in receive:
                        yield event
                    await job
                finally:
                    self._running.discard(key)
                    job.cancel()
                    await asyncio.wait({job})
                    # What a cancelled caller will not hear is in the record; asking for it here keeps asyncio quiet.
                    _ = job.cancelled() or job.exception()

    async def _answer(self, question: Question, origin: Origin, send: MemoryObjectSendStream[Event]) -> None:
        ledger = Ledger(self._clock)
        fold = Fold(ledger, question.hold)

        async def emit(event: Event) -> None:
            if fold.add(event):
                await send.send(event)

        start = self._first_page(question, origin)
        outcome: Outcome | None = None
        failure: EdgewiseError | None = None
        with send:
            try:
                async with asyncio.timeout(question.max_latency_s):
                    outcome = await self._outcome(question, origin, ledger, emit)
                for event in fold.held(outcome):
                    await send.send(event)
            except asyncio.CancelledError:
                failure = Cancelled("the caller went away before the answer was final")
                raise
            except Exception as error:
                failure = _as_failure(error, question)
                raise failure from error
            finally:
                record = fold.record(start, question, outcome if failure is None else None, failure)
                await self._keep(record, ledger)
                self.metrics.observe(record)
                log.info(
                    "answered record=%s mode=%s author=%s total_s=%.3f error=%s",
                    record.record_id, record.mode, record.author, record.total_s, record.error or "none",
                )  # fmt: skip
            await send.send(done(record, outcome.draft.answer_id))

    async def _outcome(
        self, question: Question, origin: Origin, ledger: Ledger, emit: Callable[[Event], Awaitable[None]]
    ) -> Outcome:
        mode, options = parse(question.mode)
        question = await self._with_history(question, origin, emit)
        desk = self._desk(question, origin, ledger, emit, options)
        await self._edge_ready()
        try:
            return await MODES[mode].answer(question, desk)
        except CloudUnavailable as error:
            # Only a mode that cannot do without the cloud lets this through, and only before its first token.
            await emit(step("fall back", f"the edge answers instead: {error.message}"))
            outcome = await edge_only.answer(question, replace(desk, options=frozenset()))
            return outcome.but(degraded=True, reason=error.message)

    def _desk(
        self,
        question: Question,
        origin: Origin,
        ledger: Ledger,
        emit: Callable[[Event], Awaitable[None]],
        options: frozenset[str],
    ) -> Desk:
        """The two sides of one question, wrapped in the order that `meter.py` explains."""
        keys = Options(
            sampling=question.sampling or Sampling(max_tokens=self._settings.max_tokens),
            cache_key=f"{question.mode}/{origin.question_id}" if origin.isolated else "",
            question_id=origin.question_id,
            question_hash=question_hash(question.text),
            response_schema=question.response_schema,
        )
        cloud = Metered("cloud", Budgeted(Gated(self._cloud, self._policy), question.max_cost_usd), ledger)
        edge = MeteredEdge(self._edge, ledger)
        return Desk(
            edge=Writer("edge", edge, emit, keys, held=question.hold),
            cloud=Writer("cloud", cloud, emit, keys, held=question.hold),
            local=edge,
            cache_key=keys.cache_key,
            emit=emit,
            keep=(lambda _: None) if origin.isolated else self._remember,
            arbiter=self._arbiter,
            embedder=self._embedder_hash,
            settings=self._settings,
            options=options,
            elapsed=ledger.now,
        )

    async def _with_history(
        self, question: Question, origin: Origin, emit: Callable[[Event], Awaitable[None]]
    ) -> Question:
        """The question with the turns that its prompts repeat; what is left out is said."""
        history = question.history
        if question.conversation_id:
            history = await self._log.turns(origin.app, question.conversation_id)
        kept = history[len(history) - min(len(history), self._settings.history_turns) :]
        if len(kept) < len(history):
            await emit(step("history", f"{len(history) - len(kept)} older turns left out (router.history_turns)"))
        return question.model_copy(update={"history": kept})

    def _first_page(self, question: Question, origin: Origin) -> Record:
        return Record(
            record_id=uuid.uuid4().hex,
            request_id=question.request_id,
            created_at=now(),
            app=origin.app,
            user_id=question.user_id,
            conversation_id=question.conversation_id,
            question=question.text,
            privacy=question.privacy,
            mode_asked=question.mode,
            mode=question.mode,
            policy_version=self._arbiter.version,
            prompt_version=prompts.VERSION,
            propensity=1.0,
        )

    async def _keep(self, record: Record, ledger: Ledger) -> None:
        """Writes the record to the end, even if the caller leaves meanwhile."""
        await asyncio.shield(self._in_the_background(self._log.write(record, tuple(ledger.calls))))

    def _remember(self, passages: tuple[Passage, ...]) -> None:
        self._in_the_background(self._kept_on_the_edge(passages))

    async def _kept_on_the_edge(self, passages: tuple[Passage, ...]) -> None:
        try:
            await self._edge.keep(passages)
        except EdgewiseError as error:
            log.warning("what the cloud informed of was not kept: %s", error.message)

    def _in_the_background(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)
        return task

    async def close(self) -> None:
        """Waits for the records, and what else is to be kept, that are still being written."""
        if self._writing:
            await asyncio.wait(self._writing)

    async def _embedder_hash(self) -> str | None:
        """An edge keeps its embedder for as long as it runs, and so does the router that started it."""
        if self._embedder is None:
            self._embedder = (await self._edge.status()).embedder_hash
        return self._embedder

    # --- what else can be asked of a router -----------------------------------------------------------------------

    def modes(self) -> tuple[ModeInfo, ...]:
        return tuple(
            ModeInfo(
                name=name, summary=mode.summary, options=mode.options, is_default=name == self._settings.default_mode
            )
            for name, mode in MODES.items()
        )

    async def explain(self, question: Question) -> Explanation:
        """What would happen to a question, and why; nothing is generated, recorded or sent."""
        question = checked(question, self._settings.default_mode)
        _, options = parse(question.mode)
        await self._edge_ready()
        _, cloud = await self.status()
        desk = self._desk(question, Origin(), Ledger(self._clock), _unheard, options)
        dry = replace(
            desk,
            cloud=Writer("cloud", Unasked(cloud), _unheard, desk.cloud.options, held=True),
            settings=self._settings.model_copy(update={"rewrite": "off"}),
        )
        return await explained(question, dry, self._policy, self._log, cloud)

    @property
    def default_max_tokens(self) -> int:
        return self._settings.max_tokens

    async def record(self, record_id: str) -> Record:
        return await self._log.get(record_id)

    async def record_of_request(self, request_id: str) -> Record | None:
        return await self._log.of_request("", request_id)

    async def records(
        self,
        *,
        limit: int = 20,
        before_record_id: str = "",
        mode: str = "",
        conversation_id: str = "",
        since: str = "",
    ) -> tuple[Record, ...]:
        """Newest first; `since` a date or a time. A page may be short; only an empty one is the last."""
        if not 0 < limit <= 1000:
            raise InvalidInput(f"a page has 1 to 1000 records, not {limit}; page on with before_record_id")
        return await self._log.newest(
            limit=limit,
            before_record_id=before_record_id,
            mode=mode,
            conversation_id=conversation_id,
            since=parse_moment(since),
        )

    async def tally(self, since: str = "") -> tuple[ModeTally, ...]:
        """What the answers of each mode cost and took since a date or a time, and how they were graded."""
        return await self._log.tally(parse_moment(since))

    @property
    def backlog(self) -> Backlog:
        """Records and grades that wait on disk for their database, and why."""
        return self._log.backlog

    async def grade(self, grade: Grade) -> Grade:
        return await self._log.grade(grade)

    async def status(self) -> tuple[SideStatus, SideStatus]:
        """Of the edge and the cloud; a side that cannot answer says why."""
        return await _status_of(self._edge), await _status_of(self._cloud)


def _again(record: Record, question: Question) -> tuple[Event, ...]:
    """The answer of a request that was finished before."""
    if (record.question, record.mode_asked) != (question.text, question.mode):
        raise InvalidInput(f"request_id {question.request_id} was used for another question or mode; use a new one")
    key = record.record_id
    cited = (Citations(answer_id=key, passages=record.citations),) if record.citations else ()
    return Token(answer_id=key, author=record.author or "edge", text=record.answer), *cited, done(record, key)


def _as_failure(error: Exception, question: Question) -> EdgewiseError:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    match error:
        case EdgewiseError():
            return error
        case TimeoutError() if question.max_latency_s is not None:
            limit = f"no answer within max_latency_s = {question.max_latency_s} s"
            return DeadlineExceeded(f"{limit}; allow more, or ask in a faster mode such as edge_only")
        case anyio.BrokenResourceError():
            return Cancelled("the caller went away before the answer was final")
    log.error("a mode failed", exc_info=error)
    return Internal(f"a fault in edgewise ({type(error).__name__}); its log has the details")


async def _status_of(side: Edge | Cloud) -> SideStatus:
    try:
        return await side.status()
    except EdgewiseError as error:
        return SideStatus(ready=False, reason=error.message)
