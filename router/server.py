"""RouterService over gRPC."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from edgewise.rpc import Context, Service
from edgewise.types import Citations, Done, Event, Experiment, Grade, Question, Retraction, Step, Token
from edgewise.v1 import router_pb2
from edgewise.wire import MAX_MESSAGE_BYTES, pack, pack_token, unpack
from router.answering import Origin
from router.service import Router

# A page ends early rather than outgrow a message; the next one begins after its last record.
_PAGE_BYTES = MAX_MESSAGE_BYTES // 4


class RouterServicer:
    """Each method is the rpc of its name; `app` is who may call through this server."""

    def __init__(self, router: Router, app: str = "") -> None:
        self._router = router
        self._origin = Origin(app=app)

    async def Ask(self, request: router_pb2.AskRequest, _: Context) -> AsyncGenerator[router_pb2.AskResponse]:
        async with aclosing(self._router.ask(unpack(request, Question), self._origin)) as events:
            async for event in events:
                yield _response(event)

    async def Explain(self, request: router_pb2.ExplainRequest, _: Context) -> router_pb2.ExplainResponse:
        explanation = await self._router.explain(unpack(request.question, Question))
        return router_pb2.ExplainResponse(explanation=pack(explanation, router_pb2.Explanation))

    async def ListModes(self, _: router_pb2.ListModesRequest, __: Context) -> router_pb2.ListModesResponse:
        modes = [pack(mode, router_pb2.ModeInfo) for mode in self._router.modes()]
        return router_pb2.ListModesResponse(modes=modes)

    async def ListRecords(self, request: router_pb2.ListRecordsRequest, _: Context) -> router_pb2.ListRecordsResponse:
        records = await self._router.records(
            limit=request.limit or 20,
            before_record_id=request.before_record_id,
            mode=request.mode,
            conversation_id=request.conversation_id,
            since=request.since,
        )
        page = router_pb2.ListRecordsResponse()
        for record in records:
            page.records.append(pack(record, router_pb2.Record))
            if page.ByteSize() > _PAGE_BYTES:
                break
        return page

    async def GetRecord(self, request: router_pb2.GetRecordRequest, _: Context) -> router_pb2.GetRecordResponse:
        record = await self._router.record(request.record_id)
        return router_pb2.GetRecordResponse(record=pack(record, router_pb2.Record))

    async def ExportTrace(
        self, request: router_pb2.ExportTraceRequest, _: Context
    ) -> AsyncGenerator[router_pb2.ExportTraceResponse]:
        wanted = self._router.trace(since=request.since, mode=request.mode, with_private=request.with_private)
        async with aclosing(wanted) as lines:
            async for line, left_out in lines:
                yield router_pb2.ExportTraceResponse(line=line, left_out=left_out)

    async def GradeAnswer(self, request: router_pb2.GradeAnswerRequest, _: Context) -> router_pb2.GradeAnswerResponse:
        grade = await self._router.grade(unpack(request.grade, Grade))
        return router_pb2.GradeAnswerResponse(grade=pack(grade, router_pb2.Grade))

    async def StartExperiment(
        self, request: router_pb2.StartExperimentRequest, __: Context
    ) -> router_pb2.StartExperimentResponse:
        _, cloud = await self._router.status()
        status = await self._router.experiments.start(unpack(request.experiment, Experiment), cloud)
        return router_pb2.StartExperimentResponse(status=pack(status, router_pb2.ExperimentStatus))

    async def GetExperiment(
        self, request: router_pb2.GetExperimentRequest, _: Context
    ) -> router_pb2.GetExperimentResponse:
        status = await self._router.experiments.status(request.name)
        return router_pb2.GetExperimentResponse(status=pack(status, router_pb2.ExperimentStatus))

    async def StopExperiment(
        self, request: router_pb2.StopExperimentRequest, _: Context
    ) -> router_pb2.StopExperimentResponse:
        status = await self._router.experiments.stop(request.name)
        return router_pb2.StopExperimentResponse(status=pack(status, router_pb2.ExperimentStatus))


def service(router: Router) -> Service:
    return Service(router_pb2.DESCRIPTOR.services_by_name["RouterService"], RouterServicer(router))


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
