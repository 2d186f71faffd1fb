"""A cloud that fails: every failure is typed, says what to do, and never passes for a short answer."""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import aclosing
from pathlib import Path

import pytest

from cloud.backends.openai_compatible import OpenAICompatible
from cloud.client import CloudClient, NoCloud
from cloud.config import CloudSettings
from cloud.gateway import CloudGateway
from cloud.server import service
from edgewise.errors import CloudUnavailable, ContextOverflow, EdgewiseError, InvalidInput, Overloaded, Unanswered
from edgewise.rpc import start_server
from edgewise.types import Chunk, Completion, Message, Options, Prompt, Released, SideStatus, Text
from tests.upstream import KEY, WORDS, Upstream

PROMPT = Prompt(messages=(Message(role="user", content=Text.ours("Who wrote Hamlet?")),))


def settings(upstream: Upstream, model: str, **changes: object) -> CloudSettings:
    given: dict[str, object] = {
        "backend": "openai_compatible",
        "base_url": upstream.url,
        "model": model,
        "api_key": KEY,
        "attempts": 1,
    }
    given |= changes
    return CloudSettings.model_validate(given)


async def ask(settings: CloudSettings) -> list[Chunk | Completion]:
    """Through everything that stands before the backend."""
    gateway = await CloudGateway.open(settings, Path("nothing is kept without corpora"))
    try:
        return [event async for event in gateway.generate(Released(PROMPT), Options())]
    finally:
        await gateway.close()


def failure(settings: CloudSettings) -> EdgewiseError:
    with pytest.raises(EdgewiseError) as caught:
        asyncio.run(ask(settings))
    return caught.value


# Those that had the request, and did not refuse it.
MAY_BE_BILLED = {"html", "not-json", "not-utf8", "other-json", "null", "disconnect", "error-midway", "short", "filter"}


@pytest.mark.parametrize(
    ("model", "kind", "advice"),
    [
        ("401", CloudUnavailable, "refused the API key (401); check cloud.api_key_file"),
        ("404", CloudUnavailable, "check cloud.model"),
        ("400", InvalidInput, "temperature must be 1"),
        ("context", ContextOverflow, "too many tokens"),
        ("quota", CloudUnavailable, "check the account's billing"),
        ("500", CloudUnavailable, "failed (500); try again later"),
        ("html", CloudUnavailable, "check cloud.base_url"),
        ("redirect", CloudUnavailable, "HTTP 307; check cloud.base_url"),
        ("not-json", CloudUnavailable, "check cloud.base_url"),
        ("not-utf8", CloudUnavailable, "check cloud.base_url"),
        ("other-json", CloudUnavailable, "check cloud.base_url"),
        ("null", CloudUnavailable, "check cloud.base_url"),
        ("disconnect", CloudUnavailable, "in the middle of an answer; ask again"),
        ("error-midway", CloudUnavailable, "the engine died"),
        ("short", CloudUnavailable, "not a whole answer"),
        ("filter", CloudUnavailable, "withheld its answer (content_filter)"),
    ],
)
def test_a_failure_says_what_to_do(upstream: Upstream, model: str, kind: type[EdgewiseError], advice: str) -> None:
    error = failure(settings(upstream, model))
    unanswered = kind is CloudUnavailable and model in MAY_BE_BILLED
    assert error.reason == (Unanswered if unanswered else kind).__name__
    assert advice in error.message
    assert KEY not in error.message


def test_a_cloud_that_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    unreachable = CloudSettings(
        backend="openai_compatible", base_url=f"http://127.0.0.1:{port}/v1", model="m", attempts=2
    )
    error = failure(unreachable)
    assert error.reason == CloudUnavailable.__name__
    assert f"the cloud at 127.0.0.1:{port} cannot be reached; check cloud.base_url" in error.message


def test_a_missing_key_is_called_missing(upstream: Upstream) -> None:
    error = failure(settings(upstream, "401", api_key=None))
    assert "asks for an API key" in error.message


def test_429_tells_how_long_to_wait_and_the_budget_is_kept(upstream: Upstream) -> None:
    started = time.monotonic()
    error = failure(settings(upstream, "429", attempts=5, retry_budget_s=2))
    assert type(error) is Overloaded
    assert error.retry_after_s == 7
    assert len(upstream.requests) == 1  # 7 s would not fit into the budget of 2 s
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(("model", "low", "high"), [("429-date", 50, 60), ("429-odd", 86_400, 86_400)])
def test_the_time_to_wait_may_be_a_date_and_is_bounded(upstream: Upstream, model: str, low: float, high: float) -> None:
    wait = failure(settings(upstream, model)).retry_after_s
    assert wait is not None
    assert low <= wait <= high


def test_a_gateway_that_swallows_what_it_gets_is_left_after_the_timeout() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            client = CloudClient(f"127.0.0.1:{silent.getsockname()[1]}", connect_timeout_s=0.3)
            async with asyncio.timeout(10):
                with pytest.raises(CloudUnavailable, match="cannot be reached"):
                    await client.status()
            await client.close()

    asyncio.run(main())


def test_a_gateway_that_comes_back_is_found_again() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = f"127.0.0.1:{free.getsockname()[1]}"
        client = CloudClient(address)
        with pytest.raises(CloudUnavailable):
            await client.status()
        server, _ = await start_server([service(NoCloud())], address)
        async with asyncio.timeout(10):
            assert await patiently(client)
        await client.close()
        await server.stop(0)

    async def patiently(client: CloudClient) -> SideStatus:
        while True:
            try:
                return await client.status()
            except CloudUnavailable:
                await asyncio.sleep(0.1)

    asyncio.run(main())


def test_a_passing_failure_is_tried_again(upstream: Upstream) -> None:
    *_, last = asyncio.run(ask(settings(upstream, "flaky-2", attempts=3)))
    assert isinstance(last, Completion)
    assert len(upstream.requests) == 3


def test_tries_are_counted(upstream: Upstream) -> None:
    assert "failed (503)" in failure(settings(upstream, "flaky-9", attempts=3)).message
    assert len(upstream.requests) == 3  # 503, 429 and 503 again


def test_what_began_is_not_tried_again(upstream: Upstream) -> None:
    failure(settings(upstream, "disconnect", attempts=3))
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("model", ["hang", "hang-midway", "keep-alive"])
def test_a_hanging_cloud_is_left_after_the_timeout(upstream: Upstream, model: str) -> None:
    error = failure(settings(upstream, model, timeout_s=0.3, attempts=3))
    assert error.reason == Unanswered.__name__
    assert "sent nothing for 0.3 s; ask again, or raise cloud.timeout_s" in error.message
    assert len(upstream.requests) == 1  # the server may still be working on the first
    assert upstream.released.wait(5)


@pytest.mark.parametrize("model", ["hang", "hang-midway"])
def test_cancelling_closes_the_connection(upstream: Upstream, model: str) -> None:
    async def main() -> None:
        task = asyncio.create_task(ask(settings(upstream, model)))
        assert await asyncio.to_thread(upstream.arrived.wait, 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert upstream.released.wait(5)


def test_closing_the_answer_closes_the_connection(upstream: Upstream) -> None:
    async def main() -> None:
        backend = OpenAICompatible(settings(upstream, "hang-midway"))
        async with aclosing(backend.generate(PROMPT, Options())) as events:
            async for event in events:
                assert event == Chunk(text=WORDS[0])
                break
        assert await asyncio.to_thread(upstream.released.wait, 5)
        await backend.close()

    asyncio.run(main())


def test_a_server_that_does_not_count_has_no_known_cost(upstream: Upstream) -> None:
    priced = settings(upstream, "no-usage", usd_per_mtok_prompt=1, usd_per_mtok_completion=2, parameters=1e9)
    *chunks, last = asyncio.run(ask(priced))
    assert isinstance(last, Completion)
    assert last.tokens.completion_tokens == len(chunks)
    assert last.tokens.prompt_tokens > 0
    assert (last.cost_usd, last.cost_basis, last.flops) == (None, None, None)
