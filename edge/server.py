"""EdgeService over gRPC: the edge node as a process of its own, which is the crash boundary around llama.cpp."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

from google.protobuf.message import Message
from pydantic import field_validator

from edge.config import EdgeSettings
from edge.ingest.folder import too_large
from edge.ingest.ingester import failed
from edge.node import EdgeNode
from edgewise.addresses import check_exposure
from edgewise.callers import owner_of
from edgewise.errors import InvalidInput, TooLarge
from edgewise.place import read_secret
from edgewise.rpc import Context, Service, start_server
from edgewise.stopping import run_until_stopped
from edgewise.types import Author, Completion, Ingested, Options, Passage, Privacy, Prompt, Query, Text, Upload, Value
from edgewise.v1 import edge_pb2, types_pb2
from edgewise.wire import pack, pack_chunk, unpack

_MAX_TEXT_BYTES = 1024 * 1024
_PAGE = 1000  # documents, which fit a message with the longest names


class EdgeServicer:
    def __init__(self, node: EdgeNode) -> None:
        self._node = node

    async def Generate(
        self, request: edge_pb2.EdgeServiceGenerateRequest, _: Context
    ) -> AsyncGenerator[edge_pb2.EdgeServiceGenerateResponse]:
        _check_size(request.prompt)
        prompt, options = unpack(request.prompt, Prompt), unpack(request.options, Options)
        async with aclosing(self._node.generate(prompt, options)) as events:
            async for event in events:
                if isinstance(event, Completion):
                    completion = pack(event, types_pb2.Completion)
                    yield edge_pb2.EdgeServiceGenerateResponse(completion=completion)
                else:
                    yield edge_pb2.EdgeServiceGenerateResponse(chunk=pack_chunk(event))

    async def Score(self, request: edge_pb2.ScoreRequest, _: Context) -> edge_pb2.ScoreResponse:
        _check_size(request)
        prompt, continuations = unpack(request.prompt, Prompt), tuple(request.continuations)
        scores = await self._node.score(prompt, continuations, request.cache_key)
        return edge_pb2.ScoreResponse(scores=pack(scores, types_pb2.Scores))

    async def Tokenize(self, request: edge_pb2.TokenizeRequest, _: Context) -> edge_pb2.TokenizeResponse:
        _check_size(request)
        return edge_pb2.TokenizeResponse(tokens=await self._node.tokenize(request.text))

    async def Embed(self, request: edge_pb2.EmbedRequest, _: Context) -> edge_pb2.EmbedResponse:
        _check_size(request)
        vectors = await self._node.embed(tuple(request.texts))
        return edge_pb2.EmbedResponse(
            vectors=[edge_pb2.Vector(values=vector) for vector in vectors], model_hash=self._node.embedder_hash
        )

    async def Retrieve(self, request: edge_pb2.RetrieveRequest, _: Context) -> edge_pb2.RetrieveResponse:
        _check_size(request)
        findings = await self._node.retrieve(unpack(request.query, Query))
        return edge_pb2.RetrieveResponse(findings=pack(findings, types_pb2.Findings))

    async def Read(self, request: edge_pb2.ReadRequest, _: Context) -> edge_pb2.ReadResponse:
        _check_size(request)
        passages = tuple(unpack(passage, Passage) for passage in request.passages)
        reading = await self._node.read(unpack(request.question, Text), passages)
        return edge_pb2.ReadResponse(reading=pack(reading, types_pb2.Reading))

    async def Ingest(
        self, requests: AsyncIterator[edge_pb2.IngestRequest], _: Context
    ) -> AsyncGenerator[edge_pb2.IngestResponse]:
        async with aclosing(_uploads(requests, self._node.max_document_bytes)) as files:
            async for file in files:
                if isinstance(file, Ingested):
                    yield pack(file, edge_pb2.IngestResponse)
                    continue
                async with aclosing(_ingested(self._node, file)) as results:
                    async for result in results:
                        yield pack(result, edge_pb2.IngestResponse)

    async def ListDocuments(self, request: edge_pb2.ListDocumentsRequest, _: Context) -> edge_pb2.ListDocumentsResponse:
        token = request.page_token or "0"
        if not (token.isdecimal() and token.isascii() and len(token) < 19):
            raise InvalidInput("this is no page_token; give the next_page_token of the page before")
        documents, after = await self._node.page_of_documents(request.collection, int(token), _PAGE)
        return edge_pb2.ListDocumentsResponse(
            documents=[pack(one, edge_pb2.Document) for one in documents], next_page_token=str(after or "")
        )

    async def DeleteDocument(
        self, request: edge_pb2.DeleteDocumentRequest, _: Context
    ) -> edge_pb2.DeleteDocumentResponse:
        await self._node.delete_document(request.document_id)
        return edge_pb2.DeleteDocumentResponse()

    async def Scrub(self, _request: edge_pb2.ScrubRequest, _: Context) -> edge_pb2.ScrubResponse:
        await self._node.scrub()
        return edge_pb2.ScrubResponse()

    async def LoadAdapter(self, request: edge_pb2.LoadAdapterRequest, _: Context) -> edge_pb2.LoadAdapterResponse:
        adapter_hash = await self._node.load_adapter(request.name)
        return edge_pb2.LoadAdapterResponse(adapter=request.name, adapter_hash=adapter_hash)

    async def GetStatus(
        self, _request: edge_pb2.EdgeServiceGetStatusRequest, _: Context
    ) -> edge_pb2.EdgeServiceGetStatusResponse:
        status = await self._node.status()
        return edge_pb2.EdgeServiceGetStatusResponse(status=pack(status, types_pb2.SideStatus))


def service(node: EdgeNode) -> Service:
    return Service(edge_pb2.DESCRIPTOR.services_by_name["EdgeService"], EdgeServicer(node))


async def serve(
    settings: EdgeSettings,
    data_dir: Path,
    address: str,
    *,
    on_ready: Callable[[str], None],
    until_stdin_closes: bool = False,
) -> None:
    """An edge node at `address` until it is told to stop; `on_ready` gets the address that it really has.

    NotReady for an address that other machines can reach when there is no token.
    """
    token = "" if address.startswith("unix:") else read_secret(settings.token_file, "edge.token_file")
    check_exposure(address, token)
    node = await EdgeNode.open(settings, data_dir)
    try:
        server, bound = await start_server([service(node)], address, callers=owner_of(token))
        await run_until_stopped(server, on_ready=lambda: on_ready(bound), until_stdin_closes=until_stdin_closes)
    finally:
        await node.close()


async def _ingested(node: EdgeNode, upload: Upload) -> AsyncGenerator[Ingested]:
    """What is told of a file while it is ingested, then what became of it; closing it breaks the ingest off."""
    told: asyncio.Queue[Ingested | None] = asyncio.Queue()
    ingesting = asyncio.create_task(node.ingest(upload, told.put_nowait))
    ingesting.add_done_callback(lambda _: told.put_nowait(None))
    try:
        while (result := await told.get()) is not None:
            yield result
        yield await ingesting
    finally:
        ingesting.cancel()


class _File(Value):
    source: str
    collection: str
    label: Privacy = Privacy.UNKNOWN
    origin: Author = "edge"
    title: str = ""
    as_of: str = ""
    expires_at: str = ""

    @field_validator("origin", mode="before")
    @classmethod
    def _unset_is_edge(cls, origin: object) -> object:
        return origin or "edge"


class _Arriving:
    """A file as it arrives. Of one that is too large nothing is kept."""

    def __init__(self, file: _File, max_bytes: int) -> None:
        self._file = file
        self._max_bytes = max_bytes
        self._data = bytearray()
        self._is_too_large = False

    def add(self, data: bytes) -> None:
        self._is_too_large = self._is_too_large or len(self._data) + len(data) > self._max_bytes
        if self._is_too_large:
            self._data.clear()
        else:
            self._data += data

    def finish(self) -> Upload | Ingested:
        file = self._file
        if self._is_too_large:
            return failed(file.source, too_large(self._max_bytes))
        given = dict(file) | {"collection": file.collection or "default", "data": bytes(self._data)}
        return Upload.model_validate(given)


async def _uploads(
    requests: AsyncIterator[edge_pb2.IngestRequest], max_bytes: int
) -> AsyncGenerator[Upload | Ingested]:
    """The files in a stream of their pieces; a FAILED result in the place of one that is too large."""
    arriving: _Arriving | None = None
    async for request in requests:
        match request.WhichOneof("part"):
            case "file":
                if arriving is not None:
                    yield arriving.finish()
                arriving = _Arriving(unpack(request.file, _File), max_bytes)
            case "data" if arriving is not None:
                arriving.add(request.data)
            case _:
                raise InvalidInput("a `file` message comes first, then the `data` of that file")
    if arriving is not None:
        yield arriving.finish()


def _check_size(message: Message) -> None:
    if message.ByteSize() > _MAX_TEXT_BYTES:
        raise TooLarge(f"the text exceeds {_MAX_TEXT_BYTES} bytes; shorten it")
