"""What the three gRPC servers share: one way from bytes to a handler, typed errors, authentication, health, reflection.

A handler takes a parsed message and the call's context. It returns a message, or yields several, or raises an
EdgewiseError; anything else that it raises is a fault of ours and becomes INTERNAL with a line in the log.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from edgewise.addresses import cannot_listen, check_free
from edgewise.admission import Admission as Admission
from edgewise.callers import Anybody, Caller, Callers
from edgewise.errors import EdgewiseError, Internal, InvalidInput, Overloaded
from edgewise.health import Health
from edgewise.wire import MAX_MESSAGE_BYTES, message_class, parse, status_metadata

log = logging.getLogger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]
CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.enable_retries", 0),
)
# Asked for also while no call runs, so that a NAT does not forget the connection.
_SIGNS_OF_LIFE = (
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
)
_SERVER_OPTIONS = (
    *CHANNEL_OPTIONS,
    *_SIGNS_OF_LIFE,
    ("grpc.so_reuseport", 0),
    # Who asks for them much more often than that is cut off.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 20_000),
    ("grpc.http2.max_ping_strikes", 2),
)
_CALLS_AT_ONCE = 64
# So many more may be there at once to be refused by us, who say when to try again; what is beyond them grpc refuses.
_BEING_REFUSED = 1024
# Of those, so many streams and as many single calls may be of health and reflection, to which nobody needs a token: who
# has none cannot take the places of those who have one.
_OPEN_AT_ONCE = 256
_OPEN_REQUEST_S = 10.0
_SOON_S = 1.0
# Says that a call which streams in was taken, see `streamed_in`.
_TAKEN = "edgewise-taken"


@dataclass(frozen=True, slots=True)
class Service:
    """A service of the contract, and the object whose methods have the names of its rpcs."""

    descriptor: ServiceDescriptor
    servicer: object


if TYPE_CHECKING:
    _Interceptor = grpc.aio.ServerInterceptor[Any, Any]
else:
    _Interceptor = grpc.aio.ServerInterceptor  # generic in the type stubs only


# Whether a server is well, and what it can be asked, is no secret.
_OPEN = ("/grpc.health.v1.", "/grpc.reflection.")


class _Door(_Interceptor):
    """Refuses who may not call, and what is too much, before a byte of the body is read; health is open."""

    def __init__(self, callers: Callers, admission: Admission) -> None:
        self._callers = callers
        self._admission = admission
        self._open = {is_stream: Admission(_OPEN_AT_ONCE) for is_stream in (False, True)}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any]]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any]:
        if handler_call_details.method.startswith(_OPEN):
            handler = await continuation(handler_call_details)
            return handler and _counted(handler, self._open[handler.response_streaming])
        try:
            self._callers.identify(_authorization(handler_call_details.invocation_metadata))
            self._admission.check()
        except EdgewiseError as error:
            return _refusal(error)
        return await continuation(handler_call_details)


def caller_of(context: Context, callers: Callers) -> Caller:
    """Who makes a call that `callers` has let in; Unauthenticated for who has lost that right meanwhile."""
    return callers.identify(_authorization(context.invocation_metadata()))


def _authorization(metadata: Any) -> str:
    given = dict(metadata or ()).get("authorization", "")
    return given.decode("latin-1") if isinstance(given, bytes) else given


def _refusal(error: EdgewiseError) -> grpc.RpcMethodHandler[Any, Any]:
    async def refuse(_: object, context: Context) -> None:
        await _abort(context, error)

    # On the wire all kinds of calls are alike, and of this one grpc reads no request before the handler asks for it.
    return grpc.stream_stream_rpc_method_handler(refuse)


def _counted(handler: Any, admission: Admission) -> grpc.RpcMethodHandler[Any, Any]:
    """The same handler within `admission`, in which it is from the first on: also while its request does not come."""

    async def counted(requests: AsyncIterator[Any], context: Context) -> None:
        try:
            with admission:
                await _answered(handler, requests, context)
        except Exception as error:  # noqa: BLE001 - the process boundary
            await _abort(context, error)

    return grpc.stream_stream_rpc_method_handler(
        counted,
        request_deserializer=handler.request_deserializer,
        response_serializer=handler.response_serializer,
    )


async def _answered(handler: Any, requests: AsyncIterator[Any], context: Context) -> None:
    if handler.request_streaming:
        async for reply in handler.stream_stream(requests, context):
            await context.write(reply)
        return
    try:
        async with asyncio.timeout(_OPEN_REQUEST_S):
            request = await anext(aiter(requests))
    except (StopAsyncIteration, TimeoutError):
        raise InvalidInput("the call came without a request; send one") from None
    if handler.response_streaming:
        await handler.unary_stream(request, context)
    else:
        await context.write(await handler.unary_unary(request, context))


async def start_server(
    services: Sequence[Service],
    address: str,
    *,
    callers: Callers = Anybody(),
    admission: Admission | None = None,
    health_servicer: Health | None = None,
    credentials: grpc.ServerCredentials | None = None,
) -> tuple[grpc.aio.Server, str]:
    """A started server, and the address it really has (port 0 picks a free one).

    `address` is `HOST:PORT` or `unix:PATH`. Conflict when it is taken, NotReady when it cannot be bound at all.
    """
    admission = admission or Admission(_CALLS_AT_ONCE)
    server = grpc.aio.server(
        interceptors=(_Door(callers, admission),),
        options=_SERVER_OPTIONS,
        maximum_concurrent_rpcs=admission.limit + _BEING_REFUSED,
    )
    server.add_generic_rpc_handlers(tuple(_handlers(service, admission) for service in services))
    names = [service.descriptor.full_name for service in services]
    health_servicer = health_servicer or Health()
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    reflection.enable_server_reflection((*names, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    for name in ("", *names):
        health_servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
    check_free(address)
    try:
        port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    except RuntimeError:
        raise cannot_listen(address) from None
    if address.startswith("unix:"):
        os.chmod(address.removeprefix("unix:"), 0o600)  # noqa: PTH101 - one system call, not worth a thread
        bound = address
    else:
        bound = f"{address.rpartition(':')[0]}:{port}"
    await server.start()
    return server, bound


def _handlers(service: Service, admission: Admission) -> grpc.GenericRpcHandler[Any, Any]:
    handlers = {
        method.name: _handler(method, getattr(service.servicer, method.name), admission)
        for method in service.descriptor.methods
    }
    return grpc.method_handlers_generic_handler(service.descriptor.full_name, handlers)


def _handler(
    method: MethodDescriptor, handle: Callable[..., Any], admission: Admission
) -> grpc.RpcMethodHandler[Any, Any]:
    """Takes bytes and parses here, because a deserialiser that raises inside gRPC becomes UNKNOWN."""
    request_type = message_class(method.input_type)

    async def unary(data: bytes, context: Context) -> bytes | None:
        try:
            with admission:
                reply: Message = await handle(parse(data, request_type), context)
                return bytes(reply.SerializeToString())
        except Exception as error:  # noqa: BLE001 - the process boundary
            await _abort(context, error)
            return None

    async def stream(data: bytes, context: Context) -> AsyncIterator[bytes]:
        try:
            with admission:
                async with aclosing(handle(parse(data, request_type), context)) as replies:
                    async for reply in replies:
                        yield reply.SerializeToString()
        except Exception as error:  # noqa: BLE001 - the process boundary
            await _abort(context, error)

    async def stream_both(parts: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        try:
            with admission:
                await context.send_initial_metadata(((_TAKEN, "1"),))
                requests = (parse(data, request_type) async for data in parts)
                async with aclosing(handle(requests, context)) as replies:
                    async for reply in replies:
                        yield reply.SerializeToString()
        except Exception as error:  # noqa: BLE001 - the process boundary
            await _abort(context, error)

    if method.client_streaming:
        return grpc.stream_stream_rpc_method_handler(stream_both)
    if method.server_streaming:
        return grpc.unary_stream_rpc_method_handler(stream)
    return grpc.unary_unary_rpc_method_handler(unary)


async def _abort(context: Context, error: Exception) -> None:
    if isinstance(error, grpc.aio.AbortError):
        raise error
    if not isinstance(error, EdgewiseError):
        log.error("a handler failed", exc_info=error)
        error = Internal(f"a fault in edgewise ({type(error).__name__}); its log has the details")
    if isinstance(error, Overloaded) and error.retry_after_s is None:
        error = Overloaded(error.message, retry_after_s=_SOON_S)  # nobody said when: but it passes, and soon
    await context.abort(grpc.StatusCode[error.code], error.message, status_metadata(error))


def open_channel(
    address: str, credentials: grpc.ChannelCredentials | None = None, *, connect_timeout_s: float = 20.0
) -> grpc.aio.Channel:
    """A channel that connects with its first call, and that calls fail on at once while nobody is there.

    `connect_timeout_s` is for an address that swallows packets. A server that came back is found within 3 seconds; one
    that is gone without a word, as behind a NAT that forgot the connection, is noticed within 80.
    """
    options = (
        *CHANNEL_OPTIONS,
        *(() if address.startswith("unix:") else _SIGNS_OF_LIFE),
        ("grpc.min_reconnect_backoff_ms", int(connect_timeout_s * 1000)),  # which is the timeout of connecting, too
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2000),
    )
    if credentials is not None:
        return grpc.aio.secure_channel(address, credentials, options=options)
    return grpc.aio.insecure_channel(address, options=options)


def streamed_in(
    start: Callable[..., grpc.aio.StreamStreamCall[Any, Any]], requests: AsyncIterator[Message], **how: Any
) -> grpc.aio.StreamStreamCall[Any, Any]:
    """A call of one of our servers whose requests are sent when it has been taken: nothing goes to who refuses it.

    That also keeps the refusal: a write that meets the end of its call replaces the status by "Internal error from
    Core" (grpc/grpc issue 36066).
    """

    async def when_taken() -> AsyncIterator[Message]:
        if _TAKEN not in (await call.initial_metadata() or ()):
            await call.code()
            return
        async for request in requests:
            yield request

    call = start(when_taken(), **how)
    return call


class Relay:
    """A servicer that passes every call of a service on to where it really is, with the deadline of the caller.

    `ready` returns when there is somebody to pass calls on to, or raises why there is nobody. `translate` makes our
    error of one that came back. What is in `own` is not passed on, but answered there.
    """

    def __init__(
        self,
        descriptor: ServiceDescriptor,
        channel: grpc.aio.Channel,
        metadata: Sequence[tuple[str, str]],
        ready: Callable[[], Awaitable[None]],
        translate: Callable[[grpc.aio.AioRpcError], EdgewiseError],
        *,
        own: Mapping[str, Callable[..., Any]],
    ) -> None:
        for method in descriptor.methods:
            handler = own.get(method.name) or _passed_on(method, channel, metadata, ready, translate)
            setattr(self, method.name, handler)


def _passed_on(
    method: MethodDescriptor,
    channel: grpc.aio.Channel,
    metadata: Sequence[tuple[str, str]],
    ready: Callable[[], Awaitable[None]],
    translate: Callable[[grpc.aio.AioRpcError], EdgewiseError],
) -> Callable[..., Any]:
    request_type, reply_type = message_class(method.input_type), message_class(method.output_type)
    kinds: dict[tuple[bool, bool], Any] = {
        (False, False): channel.unary_unary,
        (False, True): channel.unary_stream,
        (True, True): channel.stream_stream,
    }
    path = f"/{method.containing_service.full_name}/{method.name}"
    start = kinds[method.client_streaming, method.server_streaming](
        path, request_type.SerializeToString, reply_type.FromString
    )

    async def unary(request: Message, context: Context) -> Any:
        await ready()
        try:
            return await start(request, timeout=context.time_remaining(), metadata=metadata)
        except grpc.aio.AioRpcError as error:
            raise translate(error) from None

    async def stream(request: Any, context: Context) -> AsyncIterator[Any]:
        await ready()
        begin = partial(streamed_in, start) if method.client_streaming else start
        call = begin(request, timeout=context.time_remaining(), metadata=metadata)
        try:
            async for reply in call:
                yield reply
        except grpc.aio.AioRpcError as error:
            raise translate(error) from None
        finally:
            call.cancel()

    return stream if method.server_streaming else unary
