"""Any message, and any bytes, over gRPC: an answer or a refusal with words, never UNKNOWN and never INTERNAL."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from hypothesis import given
from hypothesis import strategies as st

from cloud import server as cloud_server
from cloud.config import CloudSettings
from cloud.gateway import CloudGateway
from edge import server as edge_server
from edge.config import EdgeSettings
from edge.node import EdgeNode
from edgewise.callers import owner_of
from edgewise.rpc import CHANNEL_OPTIONS, start_server
from edgewise.v1 import cloud_pb2, edge_pb2, router_pb2
from edgewise.wire import MAX_MESSAGE_BYTES
from router.config import RouterSettings
from router.server import service
from tests.fuzz import messages
from tests.fuzz.running import DEPTH, thorough
from tests.routers import ASKED, TOKEN, a_cloud, an_edge, place
from tests.sides import Say

METADATA = (("authorization", f"Bearer {TOKEN}"),)
SERVICES = [
    file.DESCRIPTOR.services_by_name[name]
    for file, name in ((router_pb2, "RouterService"), (edge_pb2, "EdgeService"), (cloud_pb2, "CloudService"))
]
METHODS = [method for one in SERVICES for method in one.methods]
METHOD = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.full_name.removeprefix("edgewise.v1."))
OURS = frozenset({grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNIMPLEMENTED})


@asynccontextmanager
async def serving(directory: Path) -> AsyncIterator[str]:
    """All three services: a router between scripted sides, a node and a gateway. With EDGEWISE_FUZZ the node has
    llama.cpp, else it replays."""
    recorded = directory / "answers.jsonl"
    recorded.write_text(json.dumps({"id": "1", "prompt": ASKED, "answer": '"at nine"'}) + "\n")
    engine = "llama" if DEPTH > 1 else "replay"
    node = await EdgeNode.open(
        EdgeSettings(
            engine=engine, replay_file=recorded, store="sqlite", context_tokens=512, max_document_bytes=100_000
        ),
        directory,
    )
    gateway = await CloudGateway.open(CloudSettings(backend="replay", replay_file=recorded), directory)
    edge, cloud = an_edge(), a_cloud(Say('"at ten"'))
    edge.answers = [Say('"at nine"')]
    try:
        async with place(directory, edge, cloud, RouterSettings(), within_s=3600) as opened:
            services = [service(opened.router), edge_server.service(node), cloud_server.service(gateway)]
            server, address = await start_server(services, "127.0.0.1:0", callers=owner_of(TOKEN))
            try:
                yield address
            finally:
                await server.stop(None)
    finally:
        await gateway.close()
        await node.close()


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[grpc.Channel]:
    """To servers on another thread."""
    ready: list[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = []
    is_ready = threading.Event()

    async def main() -> None:
        stop = asyncio.Event()
        async with serving(tmp_path_factory.mktemp("fuzzed")) as address:
            ready.append((address, asyncio.get_running_loop(), stop))
            is_ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    assert is_ready.wait(60)
    [(address, loop, stop)] = ready
    options = [*CHANNEL_OPTIONS, ("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(address, options=options) as opened:
        yield opened
    loop.call_soon_threadsafe(stop.set)
    thread.join(30)


def called(channel: grpc.Channel, method: MethodDescriptor, parts: Sequence[bytes]) -> grpc.StatusCode:
    """What becomes of a call whose message is, or messages are, these bytes. It fails if that is a fault of ours."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    kinds: dict[tuple[bool, bool], Any] = {
        (False, False): channel.unary_unary,
        (False, True): channel.unary_stream,
        (True, True): channel.stream_stream,
    }
    start = kinds[method.client_streaming, method.server_streaming](path)
    try:
        replies = start(iter(parts) if method.client_streaming else parts[0], timeout=60, metadata=METADATA)
        if method.server_streaming:
            for _ in replies:
                pass
    except grpc.RpcError as error:
        call: Any = error
        code: grpc.StatusCode = call.code()
        assert code not in OURS | {grpc.StatusCode.DEADLINE_EXCEEDED}, call.details()
        assert call.details().strip()
        assert len(call.details()) < 1000
        return code
    return grpc.StatusCode.OK


@METHOD
def test_any_message_is_answered_or_refused(channel: grpc.Channel, method: MethodDescriptor) -> None:
    any_message = st.lists(messages.of(method.input_type), min_size=1, max_size=4 if method.client_streaming else 1)

    @given(any_message)
    @thorough(30)
    def run(parts: list[Any]) -> None:
        called(channel, method, [part.SerializeToString() for part in parts])

    run()


@METHOD
def test_any_bytes_are_answered_or_refused(channel: grpc.Channel, method: MethodDescriptor) -> None:
    """Random ones, and messages that are cut, have a byte changed, or have fields that nobody knows."""

    @given(messages.of(method.input_type), st.binary(max_size=40), st.integers(0, 1000), st.sampled_from("race"))
    @thorough(30)
    def run(message: Any, noise: bytes, at: int, how: str) -> None:
        whole = message.SerializeToString()
        at %= len(whole) + 1
        unknown = b"\xfa\x7f" + bytes([len(noise)]) + noise  # field 2047
        broken = {"r": noise, "a": whole + unknown, "c": whole[:at], "e": whole[:at] + noise + whole[at + 1 :]}[how]
        called(channel, method, [broken])

    run()


@METHOD
def test_a_message_that_is_too_large_is_refused(channel: grpc.Channel, method: MethodDescriptor) -> None:
    """Beyond 1 MiB by the service, beyond the limit of messages by gRPC. Where no text belongs it may be read."""
    field = next((one for one in method.input_type.fields if one.type == one.TYPE_STRING and one.number < 16), None)
    number = field.number if field else 1
    for size in (2 * 1024 * 1024, MAX_MESSAGE_BYTES + 1):
        head = bytes([number << 3 | 2]) + bytes(
            [size & 127 | 128, size >> 7 & 127 | 128, size >> 14 & 127 | 128, size >> 21]
        )
        code = called(channel, method, [head + b"x" * size])
        assert size < MAX_MESSAGE_BYTES or code is grpc.StatusCode.RESOURCE_EXHAUSTED


@METHOD
def test_a_message_of_a_hundred_storeys_is_refused(channel: grpc.Channel, method: MethodDescriptor) -> None:
    """Groups of an unknown field in each other, and messages in each other where a message belongs."""
    nested = b""
    for _ in range(200):
        nested = b"\x0a" + _length(nested) + nested
    for data in (b"\x0b" * 200, b"\xfb\x7f" * 200 + b"\xfc\x7f" * 200, nested):
        called(channel, method, [data])


def _length(data: bytes) -> bytes:
    size, found = len(data), b""
    while size > 127:
        size, found = size >> 7, found + bytes([size & 127 | 128])
    return found + bytes([size])
