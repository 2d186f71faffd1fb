"""A gateway with more callers than it has room for, with callers who ping, and one that is told to stop."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, aclosing, suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cloud.config import CloudSettings
from edgewise.accounts import Account
from edgewise.admission import Admission
from edgewise.errors import CloudUnavailable, Overloaded
from edgewise.rpc import open_channel
from edgewise.types import Completion
from tests.clouds import run
from tests.gateways import OPTIONS, PROMPT, answer, new_key, serving, standing
from tests.upstream import Upstream

Settings = Callable[..., CloudSettings]
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture
def settings(upstream: Upstream) -> Settings:
    def make(**changes: object) -> CloudSettings:
        given = {"backend": "openai_compatible", "base_url": upstream.url, "model": "ok", "attempts": 1}
        prices = {"usd_per_mtok_prompt": 1.0, "usd_per_mtok_completion": 10.0}
        return CloudSettings.model_validate({**given, **prices, **changes})

    return make


def test_a_thousand_at_once_hear_when_to_come_again(settings: Settings, upstream: Upstream, tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(settings(max_concurrent=4), tmp_path) as served, served.client(timeout_s=60) as client:
            results = await asyncio.gather(*(answer(client) for _ in range(1000)), return_exceptions=True)
            refused = [result for result in results if isinstance(result, Overloaded)]
            kinds = Counter(type(result).__name__ for result in results)
            assert set(kinds) == {"Completion", "Overloaded"}
            assert kinds["Completion"] == len(upstream.requests) >= 4
            assert all(refusal.retry_after_s for refusal in refused)
            await answer(client)

    run(main)


@pytest.mark.parametrize("method", ["Watch", "Check"])
def test_who_has_no_key_cannot_take_the_places_of_who_has(method: str, settings: Settings, tmp_path: Path) -> None:
    """Health and reflection are open to anybody, who may open many calls and leave them so."""

    async def silence() -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    async def main() -> None:
        token = await new_key(tmp_path, Account(name="zoe"))
        async with serving(settings(max_concurrent=4), tmp_path) as served, AsyncExitStack() as exits:
            for _ in range(12):  # a server takes no more than 100 streams of one connection
                apart = ("grpc.use_local_subchannel_pool", 1)
                channel = await exits.enter_async_context(grpc.aio.insecure_channel(served.address, options=[apart]))
                start = channel.stream_stream(f"/grpc.health.v1.Health/{method}", None, None)
                calls = [start(iter([b""]) if method == "Watch" else silence()) for _ in range(100)]
                if method == "Watch":  # either the state, or the end of what was refused
                    await asyncio.gather(*(call.read() for call in calls), return_exceptions=True)
                for call in calls:
                    exits.callback(call.cancel)
            await asyncio.sleep(1.0 if method == "Check" else 0.0)
            async with served.client(token) as zoe:
                await answer(zoe)

    run(main)


def test_admission_counts_and_closes() -> None:
    told: list[str] = []
    admission = Admission(1, lambda error: told.append(error.reason))

    async def main() -> None:
        with admission:
            with pytest.raises(Overloaded), admission:
                pass
            admission.close(CloudUnavailable("stopping", retry_after_s=1))
            waiting = asyncio.ensure_future(admission.idle())
            await asyncio.sleep(0)
            assert not waiting.done()
        await waiting
        with pytest.raises(CloudUnavailable, match="stopping"), admission:
            pass
        assert (told, admission.running) == (["Overloaded", "CloudUnavailable"], 0)

    run(main)


def test_who_pings_without_end_is_cut_off(settings: Settings, tmp_path: Path) -> None:
    """Frames by hand (RFC 9113): the preface, empty settings, then pings."""
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000")
    ping = bytes.fromhex("000008060000000000") + b"flooding"

    def flood(address: str) -> bytes:
        host, _, port = address.rpartition(":")
        received = b""
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(preface)
            with suppress(ConnectionError):
                for _ in range(1000):
                    connection.sendall(ping)
                    data = connection.recv(65536)
                    received += data
                    if not data:
                        break
        return received

    async def main() -> None:
        async with serving(settings(), tmp_path) as served:
            received = await asyncio.to_thread(flood, served.address)
            assert b"too_many_pings" in received
            assert received.count(ping[9:]) < 1000
            async with served.client() as client:
                await answer(client)

    run(main)


class Held(Upstream):
    """Says a word, and the others when it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may_go_on = threading.Event()

    async def _stream(self, model: str, body: dict[str, Any]) -> AsyncIterator[str]:
        async for event in super()._stream(model, body):
            yield event
            await asyncio.to_thread(self.may_go_on.wait, 60)


@pytest.mark.parametrize("ends", [True, False])
def test_told_to_stop_it_lets_calls_end_for_a_while(ends: bool, settings: Settings, tmp_path: Path) -> None:
    """Health says so first; new calls hear when to come again; what does not end is cancelled, and paid for."""

    async def main(upstream: Held) -> None:
        token = await new_key(tmp_path, Account(name="zoe", budget_usd=1.0))
        held = settings(base_url=upstream.url, stop_grace_s=20 if ends else 3)
        async with (
            serving(held, tmp_path) as served,
            served.client(token) as zoe,
            served.client(token) as other,
            open_channel(served.address) as channel,
        ):
            await other.status()
            async with aclosing(zoe.generate(PROMPT, OPTIONS)) as running:
                await anext(running)
                health = health_pb2_grpc.HealthStub(channel)
                gone, watching = [health.Watch(health_pb2.HealthCheckRequest()) for _ in range(2)]
                assert (await gone.read()).status == (await watching.read()).status == SERVING
                gone.cancel()
                await asyncio.sleep(0.2)
                served.task.cancel()
                await until_not_serving(health)
                assert (await asyncio.wait_for(watching.read(), 10)).status == NOT_SERVING
                with pytest.raises(CloudUnavailable, match="being stopped") as caught:
                    await other.status()
                assert caught.value.retry_after_s == 1
                assert not served.task.done()
                if ends:
                    upstream.may_go_on.set()
                    *_, last = [event async for event in running]
                    assert isinstance(last, Completion)
                else:
                    with pytest.raises(CloudUnavailable):
                        await anext(running)
                    upstream.may_go_on.set()
            await asyncio.wait((served.task,), timeout=15)
            assert served.task.done()
        found = await standing(tmp_path, "zoe")
        paid = (21 * 1.0 + 6 * 10.0) / 1e6 if ends else (len("Who wrote Hamlet?") + 512 + 32 + (8 + 16) * 10.0) / 1e6
        assert found.spent_usd + found.reserved_usd == pytest.approx(paid, abs=1e-9)

    with Held() as upstream:
        run(lambda: main(upstream))


async def until_not_serving(health: health_pb2_grpc.HealthStub) -> None:
    for _ in range(200):
        reply = await health.Check(health_pb2.HealthCheckRequest())
        if reply.status == NOT_SERVING:
            return
        await asyncio.sleep(0.05)
    pytest.fail("not within 10 seconds")
