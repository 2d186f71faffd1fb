"""CloudService over gRPC: the gateway for routers on other machines."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, aclosing
from pathlib import Path

from cloud.config import CloudSettings
from cloud.gateway import CloudGateway
from cloud.keys import callers_of, check_guarded, open_keys
from cloud.metrics import Counted, Metrics, metrics_page
from cloud.terms import Gate, Terms
from cloud.tls import server_credentials
from cloud.visits import Visited, Visits
from edgewise.callers import owner_of
from edgewise.errors import CloudUnavailable
from edgewise.health import Health
from edgewise.place import read_secret
from edgewise.rpc import Admission, Context, Service, start_server
from edgewise.stopping import Drain, run_until_stopped
from edgewise.types import Completion, Options, Prompt, Query, Released
from edgewise.v1 import cloud_pb2, types_pb2
from edgewise.wire import pack, pack_chunk, unpack

_STOPPING = "the cloud gateway is being stopped; ask again in a second, it may be back or another may answer"

CloudOf = Callable[[Context, str], Visited]
"""Of a call and its idempotency key: the cloud as its caller has it."""


class CloudServicer:
    """What arrives here has left its device by the decision of the egress gate there, so it is Released."""

    def __init__(self, cloud_of: CloudOf) -> None:
        self._cloud_of = cloud_of

    async def Generate(
        self, request: cloud_pb2.CloudServiceGenerateRequest, context: Context
    ) -> AsyncGenerator[cloud_pb2.CloudServiceGenerateResponse]:
        cloud = self._cloud_of(context, request.idempotency_key)
        prompt, options = unpack(request.prompt, Prompt), unpack(request.options, Options)
        options = _within(options, context.time_remaining())
        async with aclosing(cloud.generate(Released(prompt), options)) as events:
            async for event in events:
                if isinstance(event, Completion):
                    completion = pack(event, types_pb2.Completion)
                    yield cloud_pb2.CloudServiceGenerateResponse(completion=completion)
                else:
                    yield cloud_pb2.CloudServiceGenerateResponse(chunk=pack_chunk(event))

    async def FetchInfo(self, request: cloud_pb2.FetchInfoRequest, context: Context) -> cloud_pb2.FetchInfoResponse:
        cloud = self._cloud_of(context, request.idempotency_key)
        query = Released(unpack(request.query, Query))
        findings = await cloud.retrieve(query, context.time_remaining())
        return cloud_pb2.FetchInfoResponse(findings=pack(findings, types_pb2.Findings))

    async def ForgetAnswers(
        self, _request: cloud_pb2.ForgetAnswersRequest, context: Context
    ) -> cloud_pb2.ForgetAnswersResponse:
        return cloud_pb2.ForgetAnswersResponse(answers=await self._cloud_of(context, "").forget_answers())

    async def GetStatus(
        self, _request: cloud_pb2.CloudServiceGetStatusRequest, context: Context
    ) -> cloud_pb2.CloudServiceGetStatusResponse:
        status = await self._cloud_of(context, "").status()
        return cloud_pb2.CloudServiceGetStatusResponse(status=pack(status, types_pb2.SideStatus))


def service(gate: Gate) -> Service:
    """Whoever calls is the owner."""
    return service_of(lambda _, key: gate.under(Terms(idempotency_key=key)))


def service_of(cloud_of: CloudOf) -> Service:
    return Service(cloud_pb2.DESCRIPTOR.services_by_name["CloudService"], CloudServicer(cloud_of))


def _within(options: Options, remaining_s: float | None) -> Options:
    """The caller's deadline as an option, so that no wait upstream is planned past it."""
    limits = [limit for limit in (options.timeout_s, remaining_s) if limit is not None]
    return options.model_copy(update={"timeout_s": max(0.0, min(limits))}) if limits else options


async def serve(
    settings: CloudSettings,
    data_dir: Path,
    address: str,
    *,
    on_ready: Callable[[str, str], None],
    metrics_address: str = "",
    until_stdin_closes: bool = False,
) -> None:
    """A gateway at `address` until it is told to stop; `on_ready` gets its real address and that of the metrics.

    A Unix socket is guarded by its permissions: who can open it is the owner. Elsewhere callers have the token of
    `cloud.token_file`, or a key of `edgewise cloud keys`; while there is neither, a loopback address lets anybody in.
    NotReady for an address that other machines can reach without that, or without TLS.
    """
    async with AsyncExitStack() as exits:
        metrics = Metrics()
        accounts, callers, credentials = None, owner_of(""), None
        if not address.startswith("unix:"):
            accounts = await open_keys(data_dir)
            exits.push_async_callback(accounts.close)
            token = read_secret(settings.token_file, "cloud.token_file")
            callers = callers_of(accounts, token)
            credentials = server_credentials(settings)
            check_guarded(
                address,
                has_keys=not accounts.is_empty,
                has_token=bool(token),
                has_tls=credentials is not None,
                plaintext=settings.plaintext,
            )
        gateway = await CloudGateway.open(settings, data_dir)
        exits.push_async_callback(gateway.close)
        metrics_url = exits.enter_context(metrics_page(metrics, metrics_address)) if metrics_address else ""
        visits = Visits(gateway, callers, accounts, metrics)
        # Twice: the gateway refuses what is too much for the model, the server what would only wait for a refusal.
        admission, health = Admission(2 * settings.max_concurrent, metrics.refused), Health()
        metrics.watch_gate(lambda: gateway.figures)
        metrics.watch_running(lambda: admission.running)
        server, bound = await start_server(
            [service_of(visits.of)],
            address,
            callers=Counted(callers, metrics),
            admission=admission,
            health_servicer=health,
            credentials=credentials,
        )
        await run_until_stopped(
            server,
            on_ready=lambda: on_ready(bound, metrics_url),
            grace_s=settings.stop_grace_s,
            until_stdin_closes=until_stdin_closes,
            drain=Drain(admission, health, CloudUnavailable(_STOPPING, retry_after_s=1.0)),
        )
