"""The router: what can be asked of it. A question is checked and let in here, and answered in `answering.py`."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime

from edgewise.errors import Conflict, InvalidInput
from edgewise.ports import Cloud, Edge
from edgewise.rpc import Admission
from edgewise.types import Event, Explanation, Grade, ModeInfo, Question, Record, SideStatus
from router.answering import Answering, Origin, status_of
from router.arbiter.arbiter import Arbiter, Models
from router.checking import checked
from router.config import RouterSettings
from router.desk import Writer
from router.egress import Boundary
from router.experiments.live import Experiments
from router.explaining import Own, Unasked, explained
from router.fold import again
from router.log import Backlog, Log, ModeTally, Spend, parse_moment
from router.meter import Clock, Ledger, SideCall
from router.metrics import RECORDS_QUEUED, RUNNING, Metrics
from router.modes import MODES, parse
from router.observer import Observer, Observers
from router.reach import for_apps
from router.replay.export import Export
from router.running import Floor
from router.trace import Head


async def _unheard(_: Event) -> None:
    """Nobody listens to a dry run."""


def local_time() -> datetime:
    """With the offset of the device's time zone."""
    return datetime.now().astimezone()


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
        boundary: Boundary,
        settings: RouterSettings,
        *,
        arbiter: Arbiter | None = None,
        experiments: Experiments | None = None,
        observers: Sequence[Observer] = (),
        edge_ready: Callable[[], Awaitable[None]] = edge_answers_for_itself,
        clock: Clock = time.monotonic,
        wall: Callable[[], datetime] = local_time,
    ) -> None:
        self._log = records
        self._settings = settings
        self._admission = Admission(settings.max_concurrent)
        self._running: set[tuple[str, str]] = set()
        self.metrics = Metrics()
        self.metrics.watch(RECORDS_QUEUED, lambda: records.backlog.count)
        self.metrics.watch(RUNNING, lambda: self._admission.running)
        self.experiments = experiments or Experiments(None, records, boundary.policy)
        self._answering = Answering(
            edge,
            cloud,
            records,
            boundary,
            settings,
            arbiter or Arbiter(Models.open(), settings),
            self.experiments,
            Observers((self.metrics, *observers)),
            edge_ready,
            alone=lambda: self._admission.running <= 1,
            clock=clock,
            wall=wall,
        )
        parse(settings.default_mode)

    async def ask(self, question: Question, origin: Origin = Origin()) -> AsyncGenerator[Event]:
        """The events of one answer; the last is Done. Closing it cancels the answer, which is recorded as cancelled.

        A refused question (InvalidInput, Overloaded, Conflict) leaves no record; any other one leaves exactly one.
        """
        with self.metrics.refusals():
            asked, question = question, checked(question, self._settings.default_mode)
            key = (origin.app, question.request_id)
            earlier = await self._log.of_request(*key) if question.request_id else None
            repeated = again(earlier, question) if earlier is not None and not earlier.error else ()
            if question.request_id and not repeated and key in self._running:
                which = f"request {question.request_id} is being answered"
                raise Conflict(f"{which}; wait for it, or use another request_id")
            if not repeated:
                self._admission.check()
        if repeated:
            for event in repeated:
                yield event
            return
        with self._admission:
            self._running.add(key)
            try:
                if not origin.is_compared and self.experiments.is_running:
                    origin = replace(origin, seat=await self.experiments.seat(asked, origin.app))
                async with aclosing(self._answering.events(question, origin)) as events:
                    async for event in events:
                        yield event
            finally:
                self._running.discard(key)

    @property
    def floor(self) -> Floor:
        """Who is being answered now."""
        return self._answering.floor

    async def close(self) -> None:
        """Ends a shadow answer, and waits as `settled` does."""
        await self.experiments.close()
        await self.settled()

    async def settled(self) -> None:
        """Waits for the records, and what else is to be kept, that are still being written."""
        await self._answering.settled()

    # --- what else can be asked of a router -----------------------------------------------------------------------

    def modes(self) -> tuple[ModeInfo, ...]:
        return tuple(
            ModeInfo(
                name=name, summary=mode.summary, options=mode.options, is_default=name == self._settings.default_mode
            )
            for name, mode in MODES.items()
        )

    async def explain(self, question: Question, origin: Origin = Origin()) -> Explanation:
        """What would happen to a question, and why; nothing is generated, recorded or sent.

        An app hears what its own answers cost and took before, the owner what all did.
        """
        question = checked(question, self._settings.default_mode)
        _, options = parse(question.mode)
        answering = self._answering
        await answering.edge_ready()
        _, cloud = await self.status()
        request = answering.request(origin, _unheard, Ledger(answering.clock))
        question, request = await answering.as_private_as_it_is(question, request)
        question, request = await answering.with_history(question, request)
        desk = answering.desk(question, request, options)
        dry = replace(
            desk,
            cloud=Writer("cloud", Unasked(cloud), _unheard, desk.cloud.options, held=True, asked=frozenset()),
            settings=self._settings.model_copy(update={"rewrite": "off"}),
        )
        own = Own(answering.boundary, self._log, origin.app, request.private_because, self._settings.rewrite == "cloud")
        return await explained(question, dry, own, cloud)

    @property
    def policy_version(self) -> str:
        """Of what decides."""
        return self._answering.arbiter.version

    @property
    def default_max_tokens(self) -> int:
        return self._settings.max_tokens

    @property
    def usd_per_question(self) -> float | None:
        return self._settings.usd_per_question

    @property
    def privacy(self) -> str:
        """The policy in force, in words."""
        return self._answering.boundary.policy.in_words

    async def record(self, record_id: str, app: str = "") -> Record:
        """NotFound, also where an app is given and it is not that one's."""
        return await self._log.get(record_id, app)

    async def record_of_request(self, request_id: str) -> Record | None:
        return await self._log.of_request("", request_id)

    async def calls(self, record_id: str) -> tuple[SideCall, ...]:
        """The side calls behind an answer, in the order in which they ended."""
        return await self._log.calls(record_id)

    async def records(
        self,
        *,
        limit: int = 20,
        before_record_id: str = "",
        mode: str = "",
        conversation_id: str = "",
        since: str = "",
        app: str = "",
    ) -> tuple[Record, ...]:
        """Newest first; `since` a date or a time. A page may be short; only an empty one is the last.

        With an app only what was answered to it.
        """
        if not 0 < limit <= 1000:
            raise InvalidInput(f"a page has 1 to 1000 records, not {limit}; page on with before_record_id")
        return await self._log.newest(
            limit=limit,
            before_record_id=before_record_id,
            mode=mode,
            conversation_id=conversation_id,
            since=parse_moment(since),
            app=app,
        )

    async def tally(self, since: str = "") -> tuple[ModeTally, ...]:
        """What the answers of each mode cost and took since a date or a time, and how they were graded."""
        return await self._log.tally(parse_moment(since))

    async def spend(self, since: str = "") -> Spend:
        """What all answers since a date or a time have cost."""
        return await self._log.spend(parse_moment(since))

    @property
    def backlog(self) -> Backlog:
        """Records and grades that wait on disk for their database, and why."""
        return self._log.backlog

    async def trace(
        self, *, since: str = "", mode: str = "", with_private: bool = False, app: str = ""
    ) -> AsyncGenerator[tuple[str, int]]:
        """The log, or an app's part of it, as a trace: its lines, each with how many answers were left out so far."""
        edge, cloud = map(for_apps, await self.status()) if app else await self.status()
        answering = self._answering
        head = Head(
            edge=edge,
            cloud=cloud if cloud.ready else None,
            settings=self._settings.apart,
            unknown=answering.boundary.policy.unknown,
            policy_version=self.policy_version,
        )
        export = Export(self._log, answering.boundary.policy, with_private, app)
        async with aclosing(export.lines(head, parse_moment(since), mode)) as lines:
            async for line in lines:
                yield line.model_dump_json(), export.left_out
        yield "", export.left_out

    async def grade(self, grade: Grade, app: str = "") -> Grade:
        record = await self._log.get(grade.record_id, app)
        kept = await self._log.grade(grade)
        self._answering.observers.graded(record, kept)
        await self.experiments.graded(kept)
        return kept

    async def status(self) -> tuple[SideStatus, SideStatus]:
        """Of the edge and the cloud; a side that cannot answer says why."""
        return await status_of(self._answering.edge), await status_of(self._answering.cloud)
