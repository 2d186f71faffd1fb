"""What an engine is asked that it cannot or must not do: a typed refusal, and the next request is served."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import grpc
import pytest
from google.protobuf import json_format
from pydantic import ValidationError

from edge.client import EdgeClient
from edge.config import EdgeSettings
from edge.node import EdgeNode
from edge.server import service
from edgewise.callers import owner_of
from edgewise.errors import ContextOverflow, DeadlineExceeded, InvalidInput
from edgewise.rpc import open_channel, start_server
from edgewise.types import Message, Options, Prompt, Sampling, Text
from edgewise.v1 import edge_pb2
from tests import edges
from tests.edges import TOKEN, Way, finished, prompt

WINDOW = 512
USER = {"role": "user", "content": {"value": "Hello"}}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeNode]:
    yield from edges.opened(EdgeSettings(context_tokens=WINDOW, threads=1), tmp_path_factory.mktemp("node"))


@pytest.fixture(params=["in process", "over gRPC"])
def way(request: pytest.FixtureRequest, node: EdgeNode) -> Way:
    return Way(node, is_remote=request.param == "over gRPC", replays=False, is_told=False)


def tried(way: Way, attempt: Callable[[EdgeNode | EdgeClient], Awaitable[None]]) -> None:
    """And afterwards the engine has nothing left, and answers."""

    async def main() -> None:
        async with way.edge() as edge:
            await attempt(edge)
            _, completion = await finished(edge.generate(prompt("Hello"), asking(1)))
            assert completion.tokens.completion_tokens == 1
        assert (await way.node.status()).queued == 0

    asyncio.run(main())


def asking(max_tokens: int = 4, **sampling: float | tuple[str, ...]) -> Options:
    return Options(sampling=Sampling.model_validate({"max_tokens": max_tokens, **sampling}))


# --- in words of the contract -----------------------------------------------------------------------------------------


def test_an_empty_message_is_a_message(way: Way) -> None:
    async def attempt(edge: EdgeNode | EdgeClient) -> None:
        _, completion = await finished(edge.generate(prompt(""), asking()))
        assert completion.tokens.prompt_tokens > 0

    tried(way, attempt)


def test_half_a_surrogate_pair(way: Way) -> None:
    async def attempt(edge: EdgeNode | EdgeClient) -> None:
        with pytest.raises(InvalidInput):
            await finished(edge.generate(prompt("half \ud83d"), asking()))
        with pytest.raises(InvalidInput):
            await edge.score(prompt("half \udc00"), ("yes",))
        with pytest.raises(InvalidInput):
            await way.node.score(prompt("half"), ("\ud800",))

    tried(way, attempt)


def test_a_stop_string_that_cannot_come(way: Way) -> None:
    async def attempt(edge: EdgeNode | EdgeClient) -> None:
        for stop in (("",), ("\0",), ("x" * 5000,), tuple("äöüßéèêç")):
            _, completion = await finished(edge.generate(prompt("Hello"), asking(3, stop=stop)))
            assert completion.tokens.completion_tokens == 3

    tried(way, attempt)


def test_a_context_that_is_just_full(way: Way) -> None:
    async def attempt(edge: EdgeNode | EdgeClient) -> None:
        _, completion = await finished(edge.generate(prompt("Hello"), asking(1)))
        room = WINDOW - completion.tokens.prompt_tokens
        chunks, _ = await finished(edge.generate(prompt("Hello"), asking(1)))
        first = "".join(chunk.text for chunk in chunks)
        await finished(edge.generate(prompt("Hello"), asking(room, stop=(first,))))
        with pytest.raises(ContextOverflow, match=f" {room + 1} .* {WINDOW}"):
            await finished(edge.generate(prompt("Hello"), asking(room + 1)))
        with pytest.raises(ContextOverflow, match=str(WINDOW)):
            await finished(edge.generate(prompt("word " * 2000), asking()))
        with pytest.raises(ContextOverflow, match=str(WINDOW)):
            await edge.score(prompt("Hello"), ("word " * 2000,))

    tried(way, attempt)


def test_an_empty_continuation(way: Way) -> None:
    async def attempt(edge: EdgeNode | EdgeClient) -> None:
        with pytest.raises(InvalidInput, match="empty continuation"):
            await edge.score(prompt("Hello"), ("yes", ""))
        assert (await edge.score(prompt("Hello"), ())).logprobs == ()

    tried(way, attempt)


def test_no_time(way: Way) -> None:
    async def attempt(edge: EdgeNode | EdgeClient) -> None:
        with pytest.raises(DeadlineExceeded):
            await finished(edge.generate(prompt("Hello"), asking().model_copy(update={"timeout_s": 0.0})))

    tried(way, attempt)


def test_a_stop_string_never_leaks_however_it_is_cut_into_tokens(node: EdgeNode) -> None:
    async def main() -> None:
        asked = prompt("How many days are in a week, and what are their names?")
        whole = "".join(chunk.text for chunk in (await finished(node.generate(asked, asking(14))))[0])
        for start in range(1, len(whole) - 8, 5):
            stop = whole[start : start + 2 + start % 7]
            chunks, completion = await finished(node.generate(asked, asking(14, stop=("never said", stop))))
            assert "".join(chunk.text for chunk in chunks) == whole[: whole.index(stop)]
            assert completion.finish_reason == "stop"
            assert completion.tokens.completion_tokens == sum(len(chunk.logprobs) for chunk in chunks)

    asyncio.run(main())


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_tokens": 0},
        {"max_tokens": -1},
        {"stop": ("x",) * 9},
        {"stop": (1,)},
        {"stop": "word"},
        {"stop": None},
        {"temperature": float("nan")},
        {"temperature": -0.1},
        {"top_p": 0.0},
        {"top_k": -1},
        {"seed": -1},
        {"seed": 2**31},
        {"top_a": 1},
    ],
)
def test_sampling_that_makes_no_sense_cannot_be_written_down(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Sampling.model_validate(wrong)


def test_nor_can_a_prompt_without_messages() -> None:
    with pytest.raises(ValidationError):
        Prompt(messages=())
    with pytest.raises(ValidationError):
        Message.model_validate({"role": "wizard", "content": Text(value="Hello")})


# --- in the words of a client of one's own ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_json",
    [
        {},
        {"prompt": {}},
        {"prompt": {"messages": []}},
        {"prompt": {"messages": [{"role": "wizard", "content": {"value": "Hello"}}]}},
        {"prompt": {"messages": [USER]}, "options": {"sampling": {"max_tokens": 0}}},
        {"prompt": {"messages": [USER]}, "options": {"sampling": {"max_tokens": -5}}},
        {"prompt": {"messages": [USER]}, "options": {"sampling": {"max_tokens": 2**31 - 1}}},
        {"prompt": {"messages": [USER]}, "options": {"sampling": {"stop": ["x"] * 9}}},
        {"prompt": {"messages": [USER]}, "options": {"sampling": {"temperature": "NaN"}}},
        {"prompt": {"messages": [USER]}, "options": {"sampling": {"top_p": "Infinity"}}},
        {"prompt": {"messages": [USER]}, "options": {"priority": "at once"}},
        {"prompt": {"messages": [USER]}, "options": {"timeout_s": -1}},
        {"prompt": {"messages": [USER]}, "options": {"timeout_s": "Infinity"}},
    ],
    ids=str,
)
def test_a_request_that_breaks_the_contract(node: EdgeNode, request_json: dict[str, object]) -> None:
    request = json_format.ParseDict(request_json, edge_pb2.EdgeServiceGenerateRequest())
    assert refusal(node, request.SerializeToString()) is grpc.StatusCode.INVALID_ARGUMENT


def test_bytes_that_are_no_request(node: EdgeNode) -> None:
    request = json_format.ParseDict({"prompt": {"messages": [USER]}}, edge_pb2.EdgeServiceGenerateRequest())
    whole = request.SerializeToString()
    for data in (whole[:-1], whole.replace(b"Hello", b"He\xffo!"), b"\xff" * 20):
        assert refusal(node, data) is grpc.StatusCode.INVALID_ARGUMENT


def refusal(node: EdgeNode, data: bytes) -> grpc.StatusCode:
    async def main() -> grpc.StatusCode:
        async with raw(node) as channel:
            generate = channel.unary_stream("/edgewise.v1.EdgeService/Generate", None, None)
            call = generate(data, metadata=(("authorization", f"Bearer {TOKEN}"),))
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call.read()
            code: grpc.StatusCode = caught.value.code()
            return code

    return asyncio.run(main())


@asynccontextmanager
async def raw(node: EdgeNode) -> AsyncIterator[grpc.aio.Channel]:
    server, address = await start_server([service(node)], "127.0.0.1:0", callers=owner_of(TOKEN))
    try:
        async with open_channel(address) as channel:
            yield channel
    finally:
        await server.stop(None)
