"""What the page asks for, as JSON under `/page/`, and the events of one answer, as they happen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from edgewise.errors import EdgewiseError, NotReady
from edgewise.types import CostBasis, Event, Grade, ModeInfo, Privacy, Question, Record, SideStatus, Tokens, Value
from edgewise.wire import invalid
from router.answering import Origin
from router.log import Backlog, ModeTally, Spend, mean_grade, now
from router.log.moments import utc_now, written
from router.meter import SideCall
from router.reach import OWNERS_HTTP
from router.service import Router
from router.web import body_of, unless_gone

_TALLIED = timedelta(days=7)
_STATUS_S = 1.0
_HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


_BodyT = TypeVar("_BodyT", bound=_Body)


class Ask(_Body):
    """An `isolated` question neither uses nor leaves anything that would help the next one: modes are compared so."""

    text: str
    mode: str = ""
    privacy: Privacy = Privacy.UNKNOWN
    max_cost_usd: float | None = Field(default=None, ge=0)
    conversation_id: str = Field(default="", max_length=200)
    isolated: bool = False


class Grading(_Body):
    score: float = Field(ge=0, le=1)
    grader: str = Field(default="page", min_length=1, max_length=200)
    comment: str = Field(default="", max_length=10_000)


class Wanted(_Body):
    """Which records: the `limit` newest, of a mode, from the one before `before` on."""

    before: str = Field(default="", max_length=200)
    mode: str = Field(default="", max_length=200)
    limit: int = Field(default=20, ge=1, le=200)


class WantedCalls(_Body):
    prompts: bool = False


class Overview(Value):
    """`edge` and `cloud` are None as long as they have not said how they are.

    The tallies, and `lately`, are of the records since `since`; `started_at` is when this router began to serve. While
    the record database cannot be read, all of them are None; `backlog` is what waits for it, and why.
    """

    modes: tuple[ModeInfo, ...]
    edge: SideStatus | None
    cloud: SideStatus | None
    privacy: str
    usd_per_question: float | None
    started_at: str
    since: str
    tallies: tuple[ModeTally, ...] | None
    lately: Spend | None
    today: Spend | None
    since_start: Spend | None
    backlog: Backlog


class Line(Value):
    """A record in a list; `grade` is the mean of its graders, None when there are none."""

    record_id: str
    created_at: str
    question: str
    mode_asked: str
    mode: str
    author: str | None
    cost_usd: float | None
    cost_basis: CostBasis | None
    first_kept_s: float | None
    total_s: float
    retractions: int
    degraded: bool
    error: str
    shadow_of: str
    grade: float | None


class Lines(Value):
    records: tuple[Line, ...]


class Stage(Value):
    """One call of a side, in seconds since the question arrived. `request` and `response` are given when asked for."""

    side: str
    kind: str
    model: str
    started_s: float
    first_s: float | None
    ended_s: float
    tokens: Tokens
    cost_usd: float | None
    cost_basis: CostBasis | None
    error: str
    request: str | None = None
    response: str | None = None


class Whole(Value):
    record: Record
    calls: tuple[Stage, ...]


class Fault(Value):
    code: str
    message: str


class _Sides:
    """How the two sides are. One that takes long to say so holds nobody up: what it said last stands until then."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._asking: asyncio.Task[tuple[SideStatus, SideStatus]] | None = None
        self._last: tuple[SideStatus, SideStatus] | None = None

    async def now(self) -> tuple[SideStatus | None, SideStatus | None]:
        if self._asking is None:
            self._asking = asyncio.create_task(self._router.status())
        asking = self._asking
        await asyncio.wait({asking}, timeout=_STATUS_S)
        if asking.done():
            self._asking = None
            self._last = asking.result()
        return self._last or (None, None)


class _Page:
    def __init__(self, router: Router) -> None:
        self._router = router
        self._sides = _Sides(router)
        self._started_at = now()

    async def ask(self, request: Request) -> Response:
        """An answer as server-sent events, each with the name and the fields of a router's event.

        One that fails before its first event has the status of its error; later, a last event `error` says so.
        """
        given = await body_of(request, Ask)
        try:
            question = Question.model_validate(given.model_dump(exclude={"isolated"}))
        except ValidationError as error:
            raise invalid(error) from None
        events = self._router.ask(question, Origin(app=OWNERS_HTTP, isolated=given.isolated))
        first = await unless_gone(request, anext(events))
        return StreamingResponse(_server_sent(first, events), media_type="text/event-stream", headers=_HEADERS)

    async def overview(self, _: Request) -> Response:
        since = written(utc_now() - _TALLIED)
        (edge, cloud), counts = await asyncio.gather(self._sides.now(), self._counts(since))
        return _json(
            Overview(
                modes=self._router.modes(),
                edge=edge,
                cloud=cloud,
                privacy=self._router.privacy,
                usd_per_question=self._router.usd_per_question,
                started_at=self._started_at,
                since=since,
                backlog=self._router.backlog,
                **counts,
            )
        )

    async def _counts(self, since: str) -> dict[str, Any]:
        """The fields of an overview that the record database knows; one that fails is told of by the backlog."""
        router = self._router
        try:
            lately, today, since_start = [
                await router.spend(moment) for moment in (since, _midnight(), self._started_at)
            ]
            tallies = await router.tally(since)
        except NotReady:
            return dict.fromkeys(("tallies", "lately", "today", "since_start"))
        by_use = tuple(sorted(tallies, key=lambda one: (-one.n, one.mode)))
        return {"tallies": by_use, "lately": lately, "today": today, "since_start": since_start}

    async def records(self, request: Request) -> Response:
        wanted = _query(request, Wanted)
        found = await self._router.records(limit=wanted.limit, before_record_id=wanted.before, mode=wanted.mode)
        return _json(Lines(records=tuple(map(_line, found))))

    async def record(self, request: Request) -> Response:
        prompts = _query(request, WantedCalls).prompts
        record = await self._router.record(request.path_params["record_id"])
        calls = await self._router.calls(record.record_id)
        return _json(Whole(record=record, calls=tuple(_stage(call, prompts=prompts) for call in calls)))

    async def grade(self, request: Request) -> Response:
        given = await body_of(request, Grading)
        grade = Grade(record_id=request.path_params["record_id"], **given.model_dump())
        return _json(await self._router.grade(grade))


def routes(router: Router) -> list[Route]:
    page = _Page(router)
    return [
        Route("/page/ask", page.ask, methods=["POST"]),
        Route("/page/overview", page.overview),
        Route("/page/records", page.records),
        Route("/page/records/{record_id}", page.record),
        Route("/page/records/{record_id}/grade", page.grade, methods=["POST"]),
    ]


async def _server_sent(first: Event, rest: AsyncGenerator[Event]) -> AsyncIterator[str]:
    async with aclosing(rest):
        yield _sent(type(first).__name__, first.model_dump_json())
        try:
            async for event in rest:
                yield _sent(type(event).__name__, event.model_dump_json())
        except EdgewiseError as error:
            yield _sent("error", Fault(code=error.reason, message=error.message).model_dump_json())


def _sent(name: str, data: str) -> str:
    return f"event: {name.lower()}\ndata: {data}\n\n"


def _query(request: Request, query_type: type[_BodyT]) -> _BodyT:
    try:
        return query_type.model_validate(dict(request.query_params))
    except ValidationError as error:
        raise invalid(error) from None


def _json(value: Value) -> Response:
    return Response(value.model_dump_json(), media_type="application/json", headers=_HEADERS)


def _midnight() -> str:
    """The begin of this day where this machine is."""
    return written(datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0))


def _line(record: Record) -> Line:
    same = {name: getattr(record, name) for name in Line.model_fields if name != "grade"}
    return Line.model_validate({**same, "grade": mean_grade(record)})


def _stage(call: SideCall, *, prompts: bool) -> Stage:
    texts = {"request", "response"}
    same = {name: getattr(call, name) for name in Stage.model_fields if prompts or name not in texts}
    return Stage.model_validate(same)
