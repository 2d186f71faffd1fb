"""The cloud as the router sees it from afar: a gateway behind gRPC, or none at all."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Self

import grpc

from cloud.config import CloudSettings
from cloud.terms import Terms
from cloud.tls import HTTPS, channel_credentials, why_unreachable
from edgewise.addresses import is_local
from edgewise.errors import (
    Cancelled,
    CloudUnavailable,
    DeadlineExceeded,
    EdgeUnavailable,
    EdgewiseError,
    InvalidInput,
    NotFound,
    NotReady,
    Overloaded,
    Unanswered,
    Unauthenticated,
)
from edgewise.keys import new_id
from edgewise.place import read_secret
from edgewise.rpc import open_channel
from edgewise.types import Chunk, Completion, Findings, Options, Prompt, Query, Released, SideStatus
from edgewise.v1 import cloud_pb2, cloud_pb2_grpc, types_pb2
from edgewise.wire import error_of, pack, unpack, unpack_chunk

_KEPT = (CloudUnavailable, Overloaded, InvalidInput, NotFound, DeadlineExceeded)
# How gRPC's own UNAVAILABLE begins where no connection was made, so that nothing can have arrived.
_NEVER_SENT = ("failed to connect", "errors resolving", "DNS resolution failed")
_NO_CLOUD = "no cloud is configured; set cloud.address or cloud.backend, or start with --embedded-cloud"


class CloudClient:
    """A gateway at HOST:PORT, https://HOST:PORT or unix:PATH; `to` makes the one of the settings.

    `timeout_s` is the gRPC deadline of every call, and the gateway keeps it. Whatever keeps the gateway from answering
    is a CloudUnavailable, so that the router can go on without it; the request's own faults, its deadline, Overloaded,
    and NotFound (of a recording) keep their names.
    """

    def __init__(
        self,
        address: str,
        token: str = "",
        *,
        credentials: grpc.ChannelCredentials | None = None,
        connect_timeout_s: float = 5.0,
        timeout_s: float | None = None,
    ) -> None:
        self._where = f"the cloud gateway at {address}"
        self._has_tls = credentials is not None
        self._timeout_s = timeout_s
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()
        place = address.removeprefix(HTTPS)
        self._channel = open_channel(place, credentials, connect_timeout_s=connect_timeout_s)
        self._stub = cloud_pb2_grpc.CloudServiceStub(self._channel)

    @classmethod
    def to(cls, settings: CloudSettings) -> Self:
        """NotReady for a file that will not do, and for another machine without TLS unless `cloud.plaintext` is set."""
        address = settings.address
        if not (address.startswith(HTTPS) or settings.plaintext or is_local(address)):
            raise NotReady(
                f"what is asked of {address} would go to another machine without TLS; write cloud.address as "
                f"https://{address}, or set cloud.plaintext = true where something else encrypts it"
            )
        return cls(
            address,
            read_secret(settings.token_file, "cloud.token_file"),
            credentials=channel_credentials(settings),
            connect_timeout_s=settings.connect_timeout_s,
        )

    async def generate(self, prompt: Released[Prompt], options: Options) -> AsyncGenerator[Chunk | Completion]:
        request = cloud_pb2.CloudServiceGenerateRequest(
            prompt=pack(prompt.value, types_pb2.Prompt),
            options=pack(options, types_pb2.Options),
            idempotency_key=new_id(),
        )
        call = self._stub.Generate(request, metadata=self._metadata, timeout=self._timeout_s)
        finished = False
        try:
            async for response in call:
                event = _event(response)
                finished = isinstance(event, Completion)
                yield event
        except grpc.aio.AioRpcError as error:
            raise self._error(error) from None
        finally:
            call.cancel()
        if not finished:
            raise Unanswered(f"{self._where} broke off an answer; see its log")

    async def retrieve(self, query: Released[Query], timeout_s: float | None = None) -> Findings:
        request = cloud_pb2.FetchInfoRequest(query=pack(query.value, types_pb2.Query), idempotency_key=new_id())
        timeout = min((limit for limit in (timeout_s, self._timeout_s) if limit is not None), default=None)
        try:
            reply = await self._stub.FetchInfo(request, metadata=self._metadata, timeout=timeout)
        except grpc.aio.AioRpcError as error:
            raise self._error(error) from None
        return unpack(reply.findings, Findings)

    async def status(self) -> SideStatus:
        request = cloud_pb2.CloudServiceGetStatusRequest()
        try:
            reply = await self._stub.GetStatus(request, metadata=self._metadata, timeout=self._timeout_s)
        except grpc.aio.AioRpcError as error:
            raise self._error(error) from None
        return unpack(reply.status, SideStatus)

    async def forget_answers(self) -> int:
        """Drops what the gateway keeps of this caller's answers; how many there were."""
        try:
            reply = await self._stub.ForgetAnswers(
                cloud_pb2.ForgetAnswersRequest(), metadata=self._metadata, timeout=self._timeout_s
            )
        except grpc.aio.AioRpcError as error:
            raise self._error(error) from None
        return int(reply.answers)

    async def close(self) -> None:
        await self._channel.close(None)

    def _error(self, error: grpc.aio.AioRpcError) -> EdgewiseError:
        match error_of(error):
            case EdgeUnavailable() as ours if not ours.message.startswith(_NEVER_SENT):
                return Unanswered(f"the connection to {self._where} broke; ask again")
            case Cancelled():  # by the gateway: who cancels here hears of it as asyncio.CancelledError
                return Unanswered(f"{self._where} gave the answer up; ask again")
            case EdgeUnavailable():  # gRPC's own UNAVAILABLE: a gateway says CloudUnavailable
                return CloudUnavailable(f"{self._where} {why_unreachable(error.details() or '', self._has_tls)}")
            case Unauthenticated():
                return CloudUnavailable(f"{self._where} refused the token; check cloud.token_file")
            case ours if isinstance(ours, _KEPT):
                return ours
            case other:
                return CloudUnavailable(f"{self._where} failed: {other.message}")


class NoCloud:
    """No cloud at all: every call raises CloudUnavailable with what to configure."""

    async def generate(self, prompt: Released[Prompt], options: Options) -> AsyncGenerator[Chunk | Completion]:
        for chunk in _no_chunks():
            yield chunk

    async def retrieve(self, query: Released[Query], timeout_s: float | None = None) -> Findings:
        raise CloudUnavailable(_NO_CLOUD)

    async def status(self) -> SideStatus:
        return SideStatus(ready=False, label="none", reason=_NO_CLOUD)

    @property
    def most_bills(self) -> int:
        return 0

    def under(self, terms: Terms) -> Self:
        return self

    async def forget_answers(self) -> int:
        return 0

    async def close(self) -> None:
        pass


def _no_chunks() -> tuple[Chunk, ...]:
    raise CloudUnavailable(_NO_CLOUD)


def _event(response: cloud_pb2.CloudServiceGenerateResponse) -> Chunk | Completion:
    kind = response.WhichOneof("event")
    if kind == "chunk":
        return unpack_chunk(response.chunk)
    if kind == "completion":
        return unpack(response.completion, Completion)
    raise CloudUnavailable("the cloud gateway sent an event that this program does not know; update edgewise")
