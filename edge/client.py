"""The edge node as the router sees it: a child process or another machine, over gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from functools import partial
from typing import TypeVar

import grpc
from google.protobuf.message import Message

from edge.ingest.identity import deleted, kept, kept_id
from edgewise.errors import EdgeUnavailable, EdgewiseError, Internal, InvalidInput
from edgewise.rpc import Context, Relay, Service, open_channel, streamed_in
from edgewise.types import (
    CLOUD_INFO,
    Chunk,
    Completion,
    Document,
    Findings,
    Ingested,
    Options,
    Passage,
    Prompt,
    Query,
    Reading,
    Scores,
    SideStatus,
    Text,
    Upload,
)
from edgewise.v1 import edge_pb2, edge_pb2_grpc, types_pb2
from edgewise.wire import error_of, every_document, pack, unpack, unpack_chunk

ReplyT = TypeVar("ReplyT")
MessageT = TypeVar("MessageT", bound=Message)

Progress = Callable[[Ingested], None]

_PIECE_BYTES = 1024 * 1024
_CONNECT_S = 10.0


class EdgeClient:
    """An edge node at HOST:PORT or unix:PATH. It is a `ports.Edge`; a node that is down is EdgeUnavailable.

    `down` is what that error says, for a node that its caller keeps alive.
    """

    def __init__(self, address: str, token: str = "", *, down: str = "") -> None:
        self.address = address
        self._down = down or f"the edge node at {address} is down; start it, or wait for its restart"
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()
        self._channel = open_channel(address)
        self._stub = edge_pb2_grpc.EdgeServiceStub(self._channel)

    async def close(self) -> None:
        await self._channel.close(None)

    async def connected(self) -> None:
        """Returns once there is a connection: to a node that has just come back, gRPC needs a moment to find it."""
        try:
            async with asyncio.timeout(_CONNECT_S):
                await self._channel.channel_ready()
        except TimeoutError:
            raise EdgeUnavailable(self._down) from None

    def relay(self, ready: Callable[[], Awaitable[None]]) -> Service:
        """EdgeService for another server, which passes every call on to this node once `ready` returns.

        Only the status is what `status` here says, at once.
        """
        descriptor = edge_pb2.DESCRIPTOR.services_by_name["EdgeService"]
        own = {"GetStatus": self._get_status}
        return Service(descriptor, Relay(descriptor, self._channel, self._metadata, ready, self._error, own=own))

    async def generate(self, prompt: Prompt, options: Options) -> AsyncGenerator[Chunk | Completion]:
        """Closing it cancels the call, and so the generation."""
        request = edge_pb2.EdgeServiceGenerateRequest(
            prompt=pack(prompt, types_pb2.Prompt), options=pack(options, types_pb2.Options)
        )
        call = self._stub.Generate(request, metadata=self._metadata)
        try:
            async for response in call:
                yield _event(response)
        except grpc.aio.AioRpcError as error:
            raise self._error(error) from None
        finally:
            call.cancel()

    async def score(self, prompt: Prompt, continuations: tuple[str, ...], cache_key: str = "") -> Scores:
        message = pack(prompt, types_pb2.Prompt)
        request = _request(
            lambda: edge_pb2.ScoreRequest(prompt=message, continuations=continuations, cache_key=cache_key)
        )
        return unpack((await self._unary(self._stub.Score, request)).scores, Scores)

    async def tokenize(self, text: str) -> tuple[int, ...]:
        request = _request(lambda: edge_pb2.TokenizeRequest(text=text))
        return tuple((await self._unary(self._stub.Tokenize, request)).tokens)

    async def embed(self, texts: tuple[str, ...]) -> tuple[tuple[float, ...], ...]:
        reply = await self._unary(self._stub.Embed, _request(lambda: edge_pb2.EmbedRequest(texts=texts)))
        return tuple(tuple(vector.values) for vector in reply.vectors)

    async def retrieve(self, query: Query) -> Findings:
        request = edge_pb2.RetrieveRequest(query=pack(query, types_pb2.Query))
        return unpack((await self._unary(self._stub.Retrieve, request)).findings, Findings)

    async def read(self, question: Text, passages: tuple[Passage, ...]) -> Reading:
        request = edge_pb2.ReadRequest(
            question=pack(question, types_pb2.Text), passages=[pack(one, types_pb2.Passage) for one in passages]
        )
        return unpack((await self._unary(self._stub.Read, request)).reading, Reading)

    async def ingest(self, upload: Upload, progress: Progress = lambda _: None) -> Ingested:
        """What became of a file; a bad one is FAILED with a reason. `progress` is told what is INGESTING."""
        file = pack(upload, edge_pb2.IngestFile)
        call = streamed_in(self._stub.Ingest, _pieces(file, upload.data), metadata=self._metadata)
        try:
            async for response in call:
                result = unpack(response, Ingested)
                if result.status != "INGESTING":
                    return result
                progress(result)
        except grpc.aio.AioRpcError as error:
            raise self._error(error) from None
        finally:
            call.cancel()
        raise Internal(f"the edge node at {self.address} gave no result for a file; see its log")

    async def keep(self, passages: tuple[Passage, ...], collection: str = CLOUD_INFO) -> None:
        for passage in passages:
            await self.ingest(kept(passage, collection))

    async def drop(self, passages: tuple[Passage, ...], collection: str = CLOUD_INFO) -> int:
        """Delete what `keep` made of these; how many there were."""
        return await deleted(self.delete_document, (kept_id(passage, collection) for passage in passages))

    async def scrub(self) -> None:
        """Overwrite on disk what was deleted, and drop what is kept of earlier prompts."""
        await self._unary(self._stub.Scrub, edge_pb2.ScrubRequest())

    async def documents(self, collection: str = "") -> tuple[Document, ...]:
        """All documents, or those of one collection."""
        return tuple([one async for one in every_document(partial(self._unary, self._stub.ListDocuments), collection)])

    async def delete_document(self, document_id: str) -> None:
        """Forget a document; NotFound when there is none."""
        await self._unary(self._stub.DeleteDocument, edge_pb2.DeleteDocumentRequest(document_id=document_id))

    async def load_adapter(self, name: str) -> str:
        """Make this adapter the one of all requests that name none, and return its hash; "" takes it out."""
        request = _request(lambda: edge_pb2.LoadAdapterRequest(name=name))
        reply = await self._unary(self._stub.LoadAdapter, request)
        return str(reply.adapter_hash)

    async def status(self) -> SideStatus:
        reply = await self._unary(self._stub.GetStatus, edge_pb2.EdgeServiceGetStatusRequest())
        return unpack(reply.status, SideStatus)

    async def _get_status(
        self, _request: edge_pb2.EdgeServiceGetStatusRequest, _: Context
    ) -> edge_pb2.EdgeServiceGetStatusResponse:
        return edge_pb2.EdgeServiceGetStatusResponse(status=pack(await self.status(), types_pb2.SideStatus))

    async def _unary(self, call: Callable[..., Awaitable[ReplyT]], request: Message) -> ReplyT:
        try:
            return await call(request, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            raise self._error(error) from None

    def _error(self, error: grpc.aio.AioRpcError) -> EdgewiseError:
        known = error_of(error, _Unreachable)
        if isinstance(known, _Unreachable):
            return EdgeUnavailable(self._down)
        return known


class _Unreachable(EdgeUnavailable):
    """gRPC's own UNAVAILABLE, whose words are about sockets."""


def _request(make: Callable[[], MessageT]) -> MessageT:
    try:
        return make()
    except UnicodeEncodeError:
        raise InvalidInput("the text has lone surrogates, which no text has; send valid Unicode") from None


async def _pieces(file: edge_pb2.IngestFile, data: bytes) -> AsyncIterator[edge_pb2.IngestRequest]:
    yield edge_pb2.IngestRequest(file=file)
    for start in range(0, len(data), _PIECE_BYTES):
        yield edge_pb2.IngestRequest(data=data[start : start + _PIECE_BYTES])


def _event(response: edge_pb2.EdgeServiceGenerateResponse) -> Chunk | Completion:
    kind = response.WhichOneof("event")
    if kind == "chunk":
        return unpack_chunk(response.chunk)
    if kind == "completion":
        return unpack(response.completion, Completion)
    raise Internal("the edge node sent an event that this program does not know; update edgewise")
