"""CloudService over gRPC: the gateway for routers on other machines."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path

from cloud.config import CloudSettings
from cloud.gateway import CloudGateway
from cloud.terms import Gate, Terms
from edgewise.callers import owner_of
from edgewise.place import read_secret
from edgewise.rpc import Context, Service, check_exposure, run_until_stopped, start_server
from edgewise.types import Completion, Options, Prompt, Query, Released
from edgewise.v1 import cloud_pb2, types_pb2
from edgewise.wire import pack, pack_chunk, unpack


class CloudServicer:
    """What arrives here has left its device by the decision of the egress gate there, so it is Released."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def Generate(
        self, request: cloud_pb2.CloudServiceGenerateRequest, context: Context
    ) -> AsyncGenerator[cloud_pb2.CloudServiceGenerateResponse]:
        prompt, options = unpack(request.prompt, Prompt), unpack(request.options, Options)
        cloud = self._gate.under(Terms(idempotency_key=request.idempotency_key))
        options = _within(options, context.time_remaining())
        async with aclosing(cloud.generate(Released(prompt), options)) as events:
            async for event in events:
                if isinstance(event, Completion):
                    completion = pack(event, types_pb2.Completion)
                    yield cloud_pb2.CloudServiceGenerateResponse(completion=completion)
                else:
                    yield cloud_pb2.CloudServiceGenerateResponse(chunk=pack_chunk(event))

    async def FetchInfo(self, request: cloud_pb2.FetchInfoRequest, context: Context) -> cloud_pb2.FetchInfoResponse:
        query = Released(unpack(request.query, Query))
        cloud = self._gate.under(Terms(idempotency_key=request.idempotency_key))
        findings = await cloud.retrieve(query, context.time_remaining())
        return cloud_pb2.FetchInfoResponse(findings=pack(findings, types_pb2.Findings))

    async def GetStatus(
        self, _request: cloud_pb2.CloudServiceGetStatusRequest, _: Context
    ) -> cloud_pb2.CloudServiceGetStatusResponse:
        status = await self._gate.status()
        return cloud_pb2.CloudServiceGetStatusResponse(status=pack(status, types_pb2.SideStatus))

    async def ForgetAnswers(
        self, _request: cloud_pb2.ForgetAnswersRequest, _: Context
    ) -> cloud_pb2.ForgetAnswersResponse:
        return cloud_pb2.ForgetAnswersResponse(answers=await self._gate.forget_answers())


def _within(options: Options, remaining_s: float | None) -> Options:
    """The caller's deadline as an option, so that no wait upstream is planned past it."""
    limits = [limit for limit in (options.timeout_s, remaining_s) if limit is not None]
    return options.model_copy(update={"timeout_s": max(0.0, min(limits))}) if limits else options


def service(gate: Gate) -> Service:
    return Service(cloud_pb2.DESCRIPTOR.services_by_name["CloudService"], CloudServicer(gate))


async def serve(
    settings: CloudSettings,
    data_dir: Path,
    address: str,
    *,
    on_ready: Callable[[str], None],
    until_stdin_closes: bool = False,
) -> None:
    """A gateway at `address` until it is told to stop; `on_ready` gets the address that it really has.

    A Unix socket is guarded by its permissions and needs no token. NotReady for an address that other machines can
    reach when there is none.
    """
    token = "" if address.startswith("unix:") else read_secret(settings.token_file, "cloud.token_file")
    check_exposure(address, token)
    gateway = await CloudGateway.open(settings, data_dir)
    try:
        # Twice: the gateway refuses what is too much for the model, the server what would only wait for a refusal.
        limit = 2 * settings.max_concurrent
        server, bound = await start_server(
            [service(gateway)], address, callers=owner_of(token), max_concurrent_calls=limit
        )
        await run_until_stopped(server, on_ready=lambda: on_ready(bound), until_stdin_closes=until_stdin_closes)
    finally:
        await gateway.close()
