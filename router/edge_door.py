"""EdgeService for those who call the daemon: the owner has all of it, an app what touches nobody else's.

An app asks through `RouterService.Ask`, which keeps a record and the app's budget, so it does not get the bare model
(Generate, Score), nor what changes the device for everybody (LoadAdapter, Scrub). What is not named here is the
owner's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from edgewise.callers import Callers
from edgewise.errors import EdgewiseError, InvalidInput, NotFound
from edgewise.rpc import Context, Service, caller_of
from edgewise.types import SideStatus
from edgewise.v1 import edge_pb2, types_pb2
from edgewise.wire import every_document, pack, unpack
from router.reach import Reach, for_apps
from router.server import Who

Handle = Callable[[Any, Context], Any]
Known = Callable[[Context], object]
"""Raises Unauthenticated for a caller who has been revoked since the call was let in."""


class EdgeDoor:
    """A servicer before another one, `inner`."""

    def __init__(self, service: Service, who: Who, known: Known) -> None:
        for method in service.descriptor.methods:
            handle = getattr(service.servicer, method.name)
            setattr(self, method.name, _guarded(method, handle, partial(getattr, service.servicer), who, known))


def guarded(service: Service, who: Who, callers: Callers) -> Service:
    return Service(service.descriptor, EdgeDoor(service, who, lambda context: caller_of(context, callers)))


def _guarded(method: MethodDescriptor, handle: Handle, of: Callable[[str], Handle], who: Who, known: Known) -> Handle:
    async def unary(request: Message, context: Context) -> Message:
        reach = await who(context)
        if reach.is_owner:
            reply: Message = await handle(request, context)
            return reply
        if method.name not in FOR_APPS:
            reach.owner_only(method.name)
        return await FOR_APPS[method.name](of, request, context, reach)

    async def stream(request: Any, context: Context) -> AsyncGenerator[Message]:
        reach = await who(context)
        if not reach.is_owner and method.name != _INGEST:
            reach.owner_only(method.name)
        replies = handle(request, context) if reach.is_owner else _ingest(handle, request, context, reach, known)
        async with aclosing(replies):
            async for reply in replies:
                yield reply

    return stream if method.server_streaming else unary


async def _plain(name: str, of: Callable[[str], Handle], request: Message, context: Context, _: Reach) -> Message:
    """What has nothing to do with what anybody keeps here."""
    reply: Message = await of(name)(request, context)
    return reply


async def _retrieve(
    of: Callable[[str], Handle], request: edge_pb2.RetrieveRequest, context: Context, reach: Reach
) -> Message:
    wanted = reach.all_of(request.query.collections)
    del request.query.collections[:]
    request.query.collections.extend(wanted)
    reply: Message = await of("Retrieve")(request, context)
    return reply


async def _list(
    of: Callable[[str], Handle], request: edge_pb2.ListDocumentsRequest, context: Context, reach: Reach
) -> Message:
    """One collection after the other; a page token begins with the place of its collection."""
    wanted = reach.all_of((request.collection,) if request.collection else ())
    place, _, token = request.page_token.partition("-") if request.page_token else ("0", "", "")
    if not (place.isdecimal() and place.isascii() and int(place[:9]) < len(wanted)):
        raise InvalidInput("this is no page_token; give the next_page_token of the page before")
    at = int(place)
    part = edge_pb2.ListDocumentsRequest(collection=wanted[at], page_token=token)
    reply: edge_pb2.ListDocumentsResponse = await of("ListDocuments")(part, context)
    if reply.next_page_token:
        reply.next_page_token = f"{at}-{reply.next_page_token}"
    elif at + 1 < len(wanted):
        reply.next_page_token = f"{at + 1}-"
    return reply


async def _delete(
    of: Callable[[str], Handle], request: edge_pb2.DeleteDocumentRequest, context: Context, reach: Reach
) -> Message:
    """One that is another's is not there."""

    async def page(part: Message) -> edge_pb2.ListDocumentsResponse:
        found: edge_pb2.ListDocumentsResponse = await of("ListDocuments")(part, context)
        return found

    theirs = [one.id for name in reach.collections async for one in every_document(page, name)]
    if request.document_id not in theirs:
        raise NotFound(f"there is no document {request.document_id[:100]!r}; list the documents to see their ids")
    reply: Message = await of("DeleteDocument")(request, context)
    return reply


async def _status(
    of: Callable[[str], Handle], request: edge_pb2.EdgeServiceGetStatusRequest, context: Context, _: Reach
) -> Message:
    reply: edge_pb2.EdgeServiceGetStatusResponse = await of("GetStatus")(request, context)
    shown = for_apps(unpack(reply.status, SideStatus))
    return edge_pb2.EdgeServiceGetStatusResponse(status=pack(shown, types_pb2.SideStatus))


async def _ingest(
    handle: Handle, requests: AsyncIterator[edge_pb2.IngestRequest], context: Context, reach: Reach, known: Known
) -> AsyncGenerator[Message]:
    """Files before one that goes where it may not are ingested; gRPC would make a cancellation of what is raised.

    That is what happens to an app that was revoked, and perhaps forgotten: what is not in yet does not go in any more.
    """
    faults: list[EdgewiseError] = []

    def check() -> None:
        try:
            known(context)
        except EdgewiseError as error:
            faults.append(error)
            raise

    async def checked() -> AsyncIterator[edge_pb2.IngestRequest]:
        async for request in requests:
            check()
            if request.WhichOneof("part") == "file":
                try:
                    request.file.collection = reach.collection(request.file.collection)
                except EdgewiseError as error:
                    faults.append(error)
                    return
            yield request
        check()

    try:
        async with aclosing(handle(checked(), context)) as replies:
            async for reply in replies:
                yield reply
    except asyncio.CancelledError:
        if faults:
            raise faults[0] from None
        raise
    if faults:
        raise faults[0]


_INGEST = "Ingest"
FOR_APPS: Mapping[str, Callable[..., Awaitable[Message]]] = {
    **{name: partial(_plain, name) for name in ("Tokenize", "Embed", "Read")},
    "Retrieve": _retrieve,
    "ListDocuments": _list,
    "DeleteDocument": _delete,
    "GetStatus": _status,
}
"""And Ingest, which streams."""
