"""The client for apps. It talks to the daemon that owns a data directory, or to any address.

async with Client.local() as edgewise:
    answer = await edgewise.answer(Question(text="Who wrote Hamlet?", mode="edge_only"))
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

import grpc
from google.protobuf.message import Message
from pydantic import ValidationError

from edgewise import settings
from edgewise.errors import EdgeUnavailable, Internal
from edgewise.rpc import open_channel, streamed_in
from edgewise.types import (
    Citations,
    Document,
    Done,
    Event,
    Experiment,
    ExperimentStatus,
    Explanation,
    Forgotten,
    Grade,
    Ingested,
    ModeInfo,
    Passage,
    Question,
    Record,
    Retraction,
    SideStatus,
    Step,
    Token,
    Unwanted,
    Upload,
    Value,
)
from edgewise.v1 import edge_pb2, edge_pb2_grpc, router_pb2, router_pb2_grpc
from edgewise.wire import error_of, every_document, pack, unpack, unpack_token

ReplyT = TypeVar("ReplyT")

_PIECE_BYTES = 1024 * 1024
_EVENTS: Mapping[str, type[Step | Citations | Retraction | Done]] = {
    "step": Step,
    "citations": Citations,
    "retraction": Retraction,
    "done": Done,
}


class Daemon(Value):
    """What a running daemon says about itself in `DATA_DIR/daemon.json`."""

    pid: int
    socket: str
    grpc: str
    http: str
    cloud: str
    privacy: str
    version: str
    started_at: str

    @staticmethod
    def of(data_dir: Path) -> Daemon | None:
        """The daemon that owns a data directory; None when there is none. The file may be left from a crash."""
        try:
            return Daemon.model_validate_json((data_dir / "daemon.json").read_text())
        except (OSError, ValidationError):
            return None


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished answer: the text that stayed, and what happened on the way."""

    text: str
    done: Done
    citations: tuple[Passage, ...]
    steps: tuple[Step, ...]


class Client:
    """All of Edgewise over one gRPC channel. Every method raises an EdgewiseError that says what to do next."""

    def __init__(self, address: str, token: str = "") -> None:
        self._channel = open_channel(address)
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()
        self._router = router_pb2_grpc.RouterServiceStub(self._channel)
        self._edge = edge_pb2_grpc.EdgeServiceStub(self._channel)

    @classmethod
    def local(cls, data_dir: Path | None = None) -> Self:
        """A client of the daemon on this machine, over its Unix socket; EdgeUnavailable when none runs."""
        directory = data_dir or settings.data_dir()
        daemon = Daemon.of(directory)
        if daemon is None:
            raise EdgeUnavailable(f"no daemon owns {directory}; start one with `edgewise up`")
        return cls(f"unix:{daemon.socket}")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._channel.close(None)

    async def ask(self, question: Question, timeout: float | None = None) -> AsyncGenerator[Event]:
        """The events of one answer; the last is Done. Closing the iterator cancels the answer."""
        request = pack(question, router_pb2.AskRequest)
        call = self._router.Ask(request, metadata=self._metadata, timeout=timeout)
        try:
            async for response in call:
                yield _event(response)
        except grpc.aio.AioRpcError as error:
            raise error_of(error) from None
        finally:
            call.cancel()

    async def answer(self, question: Question, timeout: float | None = None) -> Answer:
        """The finished answer of one question."""
        text: dict[str, str] = {}
        citations: dict[str, tuple[Passage, ...]] = {}
        steps: list[Step] = []
        async with aclosing(self.ask(question, timeout)) as events:
            async for event in events:
                match event:
                    case Token():
                        text[event.answer_id] = text.get(event.answer_id, "") + event.text
                    case Citations():
                        citations[event.answer_id] = event.passages
                    case Step():
                        steps.append(event)
                    case Retraction():
                        text.pop(event.answer_id, None)
                    case Done():
                        key = event.answer_id
                        return Answer(text.get(key, ""), event, citations.get(key, ()), tuple(steps))
        raise Internal("the answer ended without a `done`; report this with the daemon's log")

    async def explain(self, question: Question) -> Explanation:
        """What would happen to a question, and why; it is not answered."""
        request = router_pb2.ExplainRequest(question=pack(question, router_pb2.AskRequest))
        return unpack((await self._unary(self._router.Explain, request)).explanation, Explanation)

    async def modes(self) -> tuple[ModeInfo, ...]:
        reply = await self._unary(self._router.ListModes, router_pb2.ListModesRequest())
        return tuple(unpack(mode, ModeInfo) for mode in reply.modes)

    async def records(
        self,
        *,
        limit: int = 20,
        before_record_id: str = "",
        mode: str = "",
        conversation_id: str = "",
        since: str = "",
    ) -> tuple[Record, ...]:
        """The newest records first; page on with `before_record_id` until a page is empty (one may be short).

        `since` is a date or a time, in the daemon's time zone unless it names one.
        """
        request = router_pb2.ListRecordsRequest(
            limit=limit, before_record_id=before_record_id, mode=mode, conversation_id=conversation_id, since=since
        )
        reply = await self._unary(self._router.ListRecords, request)
        return tuple(unpack(record, Record) for record in reply.records)

    async def record(self, record_id: str) -> Record:
        reply = await self._unary(self._router.GetRecord, router_pb2.GetRecordRequest(record_id=record_id))
        return unpack(reply.record, Record)

    async def grade(self, grade: Grade) -> Grade:
        request = router_pb2.GradeAnswerRequest(grade=pack(grade, router_pb2.Grade))
        return unpack((await self._unary(self._router.GradeAnswer, request)).grade, Grade)

    async def trace(
        self, *, since: str = "", mode: str = "", with_private: bool = False
    ) -> AsyncGenerator[tuple[str, int]]:
        """The log as lines of a trace, each with the number of answers left out so far; the last line is empty."""
        request = router_pb2.ExportTraceRequest(since=since, mode=mode, with_private=with_private)
        call = self._router.ExportTrace(request, metadata=self._metadata)
        try:
            async for response in call:
                yield response.line, response.left_out
        except grpc.aio.AioRpcError as error:
            raise error_of(error) from None
        finally:
            call.cancel()

    async def forget(self, unwanted: Unwanted) -> Forgotten:
        """Takes it out for good, with what was derived from it; again, if that was broken off."""
        request = pack(unwanted, router_pb2.ForgetRequest)
        return unpack((await self._unary(self._router.Forget, request)).forgotten, Forgotten)

    async def start_experiment(self, experiment: Experiment) -> ExperimentStatus:
        """From now on the arms answer the questions that name no mode."""
        request = router_pb2.StartExperimentRequest(experiment=pack(experiment, router_pb2.Experiment))
        return unpack((await self._unary(self._router.StartExperiment, request)).status, ExperimentStatus)

    async def experiment(self, name: str = "") -> ExperimentStatus:
        """Of a name; else of the one that runs, or of the newest."""
        request = router_pb2.GetExperimentRequest(name=name)
        return unpack((await self._unary(self._router.GetExperiment, request)).status, ExperimentStatus)

    async def stop_experiment(self, name: str = "") -> ExperimentStatus:
        """Ends the one that runs, or lets go of one that stopped by itself and still has the control answer."""
        request = router_pb2.StopExperimentRequest(name=name)
        return unpack((await self._unary(self._router.StopExperiment, request)).status, ExperimentStatus)

    async def ingest(self, uploads: Iterable[Upload]) -> AsyncGenerator[Ingested]:
        """For each file its progress (INGESTING), if it has several passages, and one result as it is done.

        One bad file never stops the rest. What `uploads` raises is raised here.
        """
        turn = asyncio.Semaphore(1)
        faults: list[Exception] = []
        call = streamed_in(self._edge.Ingest, _pieces(uploads, turn, faults), metadata=self._metadata)
        try:
            async for response in call:
                result = unpack(response, Ingested)
                if result.status != "INGESTING":
                    turn.release()
                yield result
        except grpc.aio.AioRpcError as error:
            raise error_of(error) from None
        except asyncio.CancelledError:
            if faults:
                raise faults[0] from None
            raise
        finally:
            call.cancel()

    async def edge_status(self) -> SideStatus:
        reply = await self._unary(self._edge.GetStatus, edge_pb2.EdgeServiceGetStatusRequest())
        return unpack(reply.status, SideStatus)

    async def documents(self, collection: str = "") -> tuple[Document, ...]:
        """All documents, or those of one collection, oldest first."""
        return tuple([one async for one in every_document(partial(self._unary, self._edge.ListDocuments), collection)])

    async def delete_document(self, document_id: str) -> None:
        await self._unary(self._edge.DeleteDocument, edge_pb2.DeleteDocumentRequest(document_id=document_id))

    async def _unary(self, call: Callable[..., Awaitable[ReplyT]], request: Message) -> ReplyT:
        try:
            return await call(request, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            raise error_of(error) from None


async def _pieces(
    uploads: Iterable[Upload], turn: asyncio.Semaphore, faults: list[Exception]
) -> AsyncIterator[edge_pb2.IngestRequest]:
    """The beginning of a file ends the one before it, but nothing more is sent until that one's result is there.

    gRPC turns what is raised here into a cancellation of the call, so it is kept in `faults`.
    """
    try:
        for upload in uploads:
            yield edge_pb2.IngestRequest(file=pack(upload, edge_pb2.IngestFile))
            await turn.acquire()
            for start in range(0, len(upload.data), _PIECE_BYTES):
                yield edge_pb2.IngestRequest(data=upload.data[start : start + _PIECE_BYTES])
    except Exception as error:
        faults.append(error)
        raise


def _event(response: router_pb2.AskResponse) -> Event:
    kind = response.WhichOneof("event")
    if kind == "token":
        return unpack_token(response.token)
    if kind is None:
        raise Internal("the daemon sent an event that this client does not know; update edgewise")
    return unpack(getattr(response, kind), _EVENTS[kind])
