"""What only the wire has: tokens, deadlines, status details, bytes that are no message, reflection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from edgewise.client import Client
from edgewise.errors import DeadlineExceeded, Unauthenticated
from edgewise.rpc import open_channel
from edgewise.v1 import router_pb2, router_pb2_grpc
from router.config import RouterSettings
from tests.routers import TOKEN, Place, a_cloud, an_edge, an_edge_that_hangs, collect, place, question, until
from tests.sides import FakeEdge

METADATA = (("authorization", f"Bearer {TOKEN}"),)
ASK = "/edgewise.v1.RouterService/Ask"


def tried(
    directory: Path,
    work: Callable[[Place], Awaitable[None]],
    edge: FakeEdge | None = None,
    settings: RouterSettings = RouterSettings(),
) -> None:
    async def main() -> None:
        async with place(directory, edge or an_edge(), a_cloud(), settings, way="over gRPC") as opened:
            await work(opened)

    asyncio.run(main())


@asynccontextmanager
async def stub_of(place: Place) -> AsyncIterator[router_pb2_grpc.RouterServiceStub]:
    """As another program's generated code would call."""
    async with open_channel(place.address) as channel:
        yield router_pb2_grpc.RouterServiceStub(channel)


async def failure(call: Awaitable[object]) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


async def first(call: AsyncIterator[router_pb2.AskResponse]) -> router_pb2.AskResponse:
    return await anext(aiter(call))


def details(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    metadata: Any = error.trailing_metadata()
    [found] = [value for key, value in metadata if key == "grpc-status-details-bin"]
    return status_pb2.Status.FromString(found)


@pytest.mark.parametrize("token", ["", "wrong", f"{TOKEN}x"])
def test_without_the_token_nobody_gets_in(tmp_path: Path, token: str) -> None:
    async def work(place: Place) -> None:
        async with Client(place.address, token) as stranger:
            for attempt in (stranger.modes(), stranger.records(), collect(stranger.ask(question("edge_only")), [])):
                with pytest.raises(Unauthenticated, match="token of the data directory"):
                    await attempt
        assert place.edge.calls == 0
        assert await place.records() == ()

    tried(tmp_path, work)


def test_a_deadline_stops_the_work_and_is_recorded(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        assert place.client is not None
        with pytest.raises(DeadlineExceeded):
            await collect(place.client.ask(question("edge_only"), timeout=0.1), [])
        await until(lambda: place.edge.cut_short == 1)
        assert (await place.records(at_least=1))[0].error == "CANCELLED"

    tried(tmp_path, work, an_edge_that_hangs())


def test_a_client_that_dies_stops_the_work_and_is_recorded(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        async with stub_of(place) as stub:
            call = stub.Ask(router_pb2.AskRequest(text="x", mode="edge_only"), metadata=METADATA)
            await first(call)
        await until(lambda: place.edge.cut_short == 1)
        assert (await place.records(at_least=1))[0].error == "CANCELLED"

    tried(tmp_path, work, an_edge_that_hangs())


def test_a_refusal_says_in_its_details_what_it_is_and_when_to_come_back(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        listening = asyncio.create_task(place.ask(question("edge_only")))
        await place.edge.hanging.wait()
        async with stub_of(place) as stub:
            error = await failure(first(stub.Ask(router_pb2.AskRequest(text="x"), metadata=METADATA)))
        listening.cancel()
        await asyncio.wait({listening})
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        assert [detail.Unpack(info) or detail.Unpack(retry) for detail in details(error).details] == [True, True]
        assert (info.reason, info.domain, retry.retry_delay.seconds) == ("Overloaded", "edgewise", 1)

    tried(tmp_path, work, an_edge_that_hangs(), RouterSettings(max_concurrent=1))


@pytest.mark.parametrize("score", [-0.1, 1.5, float("nan"), float("inf")])
def test_a_grade_out_of_bounds_is_refused(tmp_path: Path, score: float) -> None:
    async def work(place: Place) -> None:
        done = (await place.ask(question("edge_only"))).done
        grade = router_pb2.Grade(record_id=done.record_id, grader="me", score=score)
        async with stub_of(place) as stub:
            request = router_pb2.GradeAnswerRequest(grade=grade)
            error = await failure(stub.GradeAnswer(request, metadata=METADATA))
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "score" in (error.details() or "")
        assert (await place.record(done.record_id)).grades == ()

    tried(tmp_path, work)


@pytest.mark.parametrize("data", [b"\xff\xff\xff", b"\x12\x02\xc3\x28"])
def test_bytes_that_are_no_message_are_an_invalid_argument(tmp_path: Path, data: bytes) -> None:
    async def work(place: Place) -> None:
        async with open_channel(place.address) as channel:
            error = await failure(anext(aiter(channel.unary_stream(ASK, bytes, bytes)(data, metadata=METADATA))))
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert place.edge.calls == 0

    tried(tmp_path, work)


def test_an_unknown_label_of_privacy_is_refused(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        request = router_pb2.AskRequest.FromString(b"\x38\x63")  # privacy = 99
        request.text = "x"
        async with stub_of(place) as stub:
            error = await failure(first(stub.Ask(request, metadata=METADATA)))
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert place.edge.calls == 0

    tried(tmp_path, work)


def test_a_stock_client_finds_the_service_by_reflection(tmp_path: Path) -> None:
    async def requests() -> AsyncIterator[reflection_pb2.ServerReflectionRequest]:
        yield reflection_pb2.ServerReflectionRequest(list_services="")
        yield reflection_pb2.ServerReflectionRequest(file_containing_symbol="edgewise.v1.RouterService")

    async def work(place: Place) -> None:
        async with open_channel(place.address) as channel:
            stub = reflection_pb2_grpc.ServerReflectionStub(channel)
            listed, described = [reply async for reply in stub.ServerReflectionInfo(requests(), metadata=METADATA)]
        names = {service.name for service in listed.list_services_response.service}
        assert {"edgewise.v1.RouterService", "grpc.health.v1.Health"} <= names
        assert described.file_descriptor_response.file_descriptor_proto

    tried(tmp_path, work)


def test_health_is_told_to_everybody(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        async with open_channel(place.address) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            for name in ("", "edgewise.v1.RouterService"):
                reply = await stub.Check(health_pb2.HealthCheckRequest(service=name))
                assert reply.status == health_pb2.HealthCheckResponse.SERVING

    tried(tmp_path, work)
