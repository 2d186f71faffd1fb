"""RouterService over gRPC."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from edgewise.callers import Callers
from edgewise.errors import NotReady
from edgewise.rpc import Context, Service, caller_of
from edgewise.types import Citations, Done, Event, Experiment, Grade, Question, Retraction, Step, Token, Unwanted
from edgewise.v1 import router_pb2
from edgewise.wire import MAX_MESSAGE_BYTES, pack, pack_token, unpack
from router.answering import Origin
from router.apps import NO_APPS, Apps
from router.forgetting import Forgetting
from router.reach import OWNERS, Reach
from router.service import Router

# A page ends early rather than outgrow a message; the next one begins after its last record.
_PAGE_BYTES = MAX_MESSAGE_BYTES // 4


Who = Callable[[Context], Awaitable[Reach]]
"""How far the caller of a call reaches; Unauthenticated, Overloaded."""


def who_calls(apps: Apps, callers: Callers) -> Who:
    """Of calls that `callers` has let in."""

    async def who(context: Context) -> Reach:
        return await apps.reach(caller_of(context, callers))

    return who


async def the_owner(_: Context) -> Reach:
    """Where nobody else can call."""
    return OWNERS


class RouterServicer:
    """Each method is the rpc of its name, within the reach of `who` calls."""

    def __init__(self, router: Router, who: Who, apps: Apps, forgetting: Forgetting | None) -> None:
        self._router = router
        self._who = who
        self._apps = apps
        self._forgetting = forgetting

    async def Ask(self, request: router_pb2.AskRequest, context: Context) -> AsyncGenerator[router_pb2.AskResponse]:
        reach = await self._who(context)
        question = reach.asked(unpack(request, Question))
        async with aclosing(self._router.ask(question, self._apps.origin(reach))) as events:
            async for event in events:
                yield _response(event)

    async def Explain(self, request: router_pb2.ExplainRequest, context: Context) -> router_pb2.ExplainResponse:
        reach = await self._who(context)
        question = reach.asked(unpack(request.question, Question))
        explanation = await self._router.explain(question, Origin(app=reach.app))
        return router_pb2.ExplainResponse(explanation=pack(explanation, router_pb2.Explanation))

    async def ListModes(self, _: router_pb2.ListModesRequest, context: Context) -> router_pb2.ListModesResponse:
        await self._who(context)
        modes = [pack(mode, router_pb2.ModeInfo) for mode in self._router.modes()]
        return router_pb2.ListModesResponse(modes=modes)

    async def ListRecords(
        self, request: router_pb2.ListRecordsRequest, context: Context
    ) -> router_pb2.ListRecordsResponse:
        records = await self._router.records(
            limit=request.limit or 20,
            before_record_id=request.before_record_id,
            mode=request.mode,
            conversation_id=request.conversation_id,
            since=request.since,
            app=(await self._who(context)).app,
        )
        page = router_pb2.ListRecordsResponse()
        for record in records:
            page.records.append(pack(record, router_pb2.Record))
            if page.ByteSize() > _PAGE_BYTES:
                break
        return page

    async def GetRecord(self, request: router_pb2.GetRecordRequest, context: Context) -> router_pb2.GetRecordResponse:
        record = await self._router.record(request.record_id, (await self._who(context)).app)
        return router_pb2.GetRecordResponse(record=pack(record, router_pb2.Record))

    async def ExportTrace(
        self, request: router_pb2.ExportTraceRequest, context: Context
    ) -> AsyncGenerator[router_pb2.ExportTraceResponse]:
        app = (await self._who(context)).app
        wanted = self._router.trace(
            since=request.since, mode=request.mode, with_private=request.with_private, app=app
        )  # fmt: skip
        async with aclosing(wanted) as lines:
            async for line, left_out in lines:
                yield router_pb2.ExportTraceResponse(line=line, left_out=left_out)

    async def GradeAnswer(
        self, request: router_pb2.GradeAnswerRequest, context: Context
    ) -> router_pb2.GradeAnswerResponse:
        app = (await self._who(context)).app
        grade = await self._router.grade(unpack(request.grade, Grade), app)
        return router_pb2.GradeAnswerResponse(grade=pack(grade, router_pb2.Grade))

    async def Forget(self, request: router_pb2.ForgetRequest, context: Context) -> router_pb2.ForgetResponse:
        reach = await self._who(context)
        if self._forgetting is None:
            raise NotReady("this router cannot forget; ask the daemon that owns the data directory")
        forgotten = await self._forgetting.forget(unpack(request, Unwanted), reach)
        return router_pb2.ForgetResponse(forgotten=pack(forgotten, router_pb2.Forgotten))

    async def StartExperiment(
        self, request: router_pb2.StartExperimentRequest, context: Context
    ) -> router_pb2.StartExperimentResponse:
        await self._owner(context)
        _, cloud = await self._router.status()
        status = await self._router.experiments.start(unpack(request.experiment, Experiment), cloud)
        return router_pb2.StartExperimentResponse(status=pack(status, router_pb2.ExperimentStatus))

    async def GetExperiment(
        self, request: router_pb2.GetExperimentRequest, context: Context
    ) -> router_pb2.GetExperimentResponse:
        await self._owner(context)
        status = await self._router.experiments.status(request.name)
        return router_pb2.GetExperimentResponse(status=pack(status, router_pb2.ExperimentStatus))

    async def StopExperiment(
        self, request: router_pb2.StopExperimentRequest, context: Context
    ) -> router_pb2.StopExperimentResponse:
        await self._owner(context)
        status = await self._router.experiments.stop(request.name)
        return router_pb2.StopExperimentResponse(status=pack(status, router_pb2.ExperimentStatus))

    async def _owner(self, context: Context) -> None:
        (await self._who(context)).owner_only("an experiment")


def service(
    router: Router, who: Who = the_owner, apps: Apps = NO_APPS, forgetting: Forgetting | None = None
) -> Service:
    servicer = RouterServicer(router, who, apps, forgetting)
    return Service(router_pb2.DESCRIPTOR.services_by_name["RouterService"], servicer)


def _response(event: Event) -> router_pb2.AskResponse:
    match event:
        case Token():
            return router_pb2.AskResponse(token=pack_token(event))
        case Step():
            return router_pb2.AskResponse(step=pack(event, router_pb2.Step))
        case Citations():
            return router_pb2.AskResponse(citations=pack(event, router_pb2.Citations))
        case Retraction():
            return router_pb2.AskResponse(retraction=pack(event, router_pb2.Retraction))
        case Done():
            return router_pb2.AskResponse(done=pack(event, router_pb2.Done))
