"""Upstreams that lie, drip, never end or fall silent: bounded, told apart, and left as soon as the caller leaves."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from cloud.config import CloudSettings
from cloud.gateway import CloudGateway
from edge.openai_bodies import MOST_BYTES
from edgewise.errors import CloudUnavailable, DeadlineExceeded, EdgewiseError, Overloaded
from edgewise.types import Completion, Message, Options, Prompt, Released, Sampling, Text
from tests.backends import failure_of, heard
from tests.clouds import Way, opened, ways
from tests.upstream import PROMPT_TOKENS, USAGES, WORDS, Upstream

PROMPT = Released(Prompt(messages=(Message(role="user", content=Text.ours("Who wrote Hamlet?")),)))
NOWHERE = Path("nothing is kept without corpora")


def settings(upstream: Upstream, model: str, **changes: object) -> CloudSettings:
    given: dict[str, object] = {"backend": "openai_compatible", "base_url": upstream.url, "model": model}
    prices = {"usd_per_mtok_prompt": 1, "usd_per_mtok_completion": 2, "parameters": 1e9}
    return CloudSettings.model_validate({**given, **prices, "attempts": 1, **changes})


@asynccontextmanager
async def gateway(settings: CloudSettings) -> AsyncGenerator[CloudGateway]:
    opened = await CloudGateway.open(settings, NOWHERE)
    try:
        yield opened
    finally:
        await opened.close()


def ask(settings: CloudSettings, options: Options = Options()) -> tuple[str, Completion, CloudGateway]:
    async def main() -> tuple[str, Completion, CloudGateway]:
        async with gateway(settings) as cloud:
            return *(await heard(cloud.generate(PROMPT, options))), cloud

    return asyncio.run(main())


def failure(settings: CloudSettings, options: Options = Options()) -> EdgewiseError:
    async def main() -> EdgewiseError:
        async with gateway(settings) as cloud:
            return await failure_of(cloud.generate(PROMPT, options))

    return asyncio.run(main())


# --- lies -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lie", USAGES)
def test_impossible_usage_is_not_billed_and_the_answer_is_given(
    upstream: Upstream, lie: str, caplog: pytest.LogCaptureFixture
) -> None:
    text, end, cloud = ask(settings(upstream, lie))
    assert text == "".join(WORDS)
    assert (end.cost_usd, end.cost_basis, end.flops) == (None, None, None)
    assert end.tokens.completion_tokens == len(WORDS)
    assert 0 < end.tokens.prompt_tokens < PROMPT_TOKENS
    assert cloud.figures.upstreams[0].usage_impossible == 1
    (line,) = [record.getMessage() for record in caplog.records if record.name.startswith("cloud.")]
    assert "impossible usage" in line
    assert "Hamlet" not in line


def test_true_usage_is_billed(upstream: Upstream) -> None:
    _, end, cloud = ask(settings(upstream, "ok"))
    assert end.cost_usd == pytest.approx((PROMPT_TOKENS + 2 * len(WORDS)) / 1e6)
    assert cloud.figures.upstreams[0].usage_impossible == 0


# --- no end -----------------------------------------------------------------------------------------------------------


def test_an_answer_without_end_is_cut_off_at_a_bound(upstream: Upstream) -> None:
    text, end, _ = ask(settings(upstream, "endless"), Options(sampling=Sampling(max_tokens=8)))
    assert end.finish_reason == "length"
    assert len(text) < 64 * (8 + 16) + 100
    assert end.cost_usd is None
    assert upstream.released.wait(5)


def test_a_line_without_end_fills_no_memory(upstream: Upstream) -> None:
    import tracemalloc

    tracemalloc.start()
    error = failure(settings(upstream, "endless-line", timeout_s=20))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(error, CloudUnavailable)
    assert peak < 6 * MOST_BYTES
    assert upstream.released.wait(5)


def test_a_refusal_without_end_is_still_that_refusal(upstream: Upstream) -> None:
    assert "failed (500)" in failure(settings(upstream, "endless-refusal")).message
    assert upstream.released.wait(5)


def test_a_refusal_that_breaks_off_is_still_that_refusal(upstream: Upstream) -> None:
    assert "failed (500)" in failure(settings(upstream, "500-broken")).message


@pytest.mark.parametrize("model", ["drip", "drip-pieces", "endless-silence", "hang", "hang-midway", "keep-alive"])
def test_the_callers_deadline_ends_what_has_no_end(upstream: Upstream, model: str) -> None:
    error = failure(settings(upstream, model), Options(timeout_s=0.4))
    assert isinstance(error, DeadlineExceeded)
    assert upstream.released.wait(5)


@pytest.mark.parametrize("model", ["disconnect-first", "disconnect"])
def test_a_connection_that_breaks_is_no_short_answer(upstream: Upstream, model: str) -> None:
    assert isinstance(failure(settings(upstream, model, attempts=3)), CloudUnavailable)
    assert len(upstream.requests) == 1  # it had begun to answer, and may bill


# --- waiting ----------------------------------------------------------------------------------------------------------


def test_429s_without_a_time_do_not_spin(upstream: Upstream) -> None:
    error = failure(settings(upstream, "429-bare", attempts=10, retry_budget_s=1))
    assert isinstance(error, Overloaded)
    assert 1 < len(upstream.requests) < 6


def test_a_wait_longer_than_the_call_is_not_begun(upstream: Upstream) -> None:
    error = failure(settings(upstream, "503-wait", attempts=3), Options(timeout_s=5))
    assert isinstance(error, CloudUnavailable)
    assert error.retry_after_s == 30
    assert len(upstream.requests) == 1


@pytest.fixture
def black_hole() -> Iterator[str]:
    """An address that answers no packet of a new connection: a listener whose queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        place = listener.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(place)
        yield f"http://127.0.0.1:{place[1]}/v1"
        for each in waiting:
            each.close()


def test_a_black_hole_is_no_connection_and_may_be_tried_again(upstream: Upstream, black_hole: str) -> None:
    error = failure(settings(upstream, "m", base_url=black_hole, connect_timeout_s=0.2, attempts=2))
    assert "took no connection within 0.2 s" in error.message
    fallback = settings(
        upstream, "m", base_url=black_hole, connect_timeout_s=0.2, fallback=[{"base_url": upstream.url}]
    )
    _, end, _ = ask(fallback)
    assert end.via == "fallback"


# --- leaving ----------------------------------------------------------------------------------------------------------


@ways
@pytest.mark.parametrize("model", ["hang", "hang-midway", "drip-pieces", "drip"])
def test_a_caller_that_leaves_closes_the_connection(
    *, way: Way, upstream: Upstream, model: str, tmp_path: Path
) -> None:
    async def main() -> None:
        async with opened(settings(upstream, model), way, tmp_path) as cloud:
            await leave(cloud.generate(PROMPT, Options()), upstream)
            assert await asyncio.to_thread(upstream.released.wait, 5)

    asyncio.run(main())


def test_who_leaves_while_it_waits_for_another_try_is_not_asked_for(upstream: Upstream) -> None:
    async def main() -> None:
        waiting = settings(upstream, "429", attempts=3, retry_budget_s=60)
        async with gateway(waiting) as cloud:
            await leave(cloud.generate(PROMPT, Options()), upstream)
            assert len(upstream.requests) == 1

    asyncio.run(main())


def test_who_leaves_while_it_connects_leaves_nothing_behind(upstream: Upstream, black_hole: str) -> None:
    async def main() -> None:
        async with gateway(settings(upstream, "m", base_url=black_hole, max_concurrent=1)) as cloud:
            for _ in range(2):  # the second would be refused if the first were still there
                task = asyncio.create_task(heard(cloud.generate(PROMPT, Options())))
                await asyncio.sleep(0.1)
                assert not task.done()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

    asyncio.run(main())


async def leave(events: AsyncGenerator[object], upstream: Upstream) -> None:
    """After the request has arrived, and whatever has come of the answer by then."""

    async def listen() -> None:
        async with aclosing(events):
            async for _ in events:
                pass

    task = asyncio.create_task(listen())
    assert await asyncio.to_thread(upstream.arrived.wait, 5)
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


# --- what counts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["500", "503-wait", "html", "not-json", "short", "disconnect", "401", "404", "hang"])
def test_the_upstreams_own_failures_count(upstream: Upstream, model: str) -> None:
    assert counted(settings(upstream, model, timeout_s=0.2)) == (1, 0)


@pytest.mark.parametrize(("model", "overloaded"), [("400", 0), ("context", 0), ("filter", 0), ("429", 1)])
def test_a_refused_request_and_a_429_do_not(upstream: Upstream, model: str, overloaded: int) -> None:
    assert counted(settings(upstream, model)) == (0, overloaded)


def counted(settings: CloudSettings) -> tuple[int, int]:
    async def main() -> tuple[int, int]:
        async with gateway(settings) as cloud:
            await failure_of(cloud.generate(PROMPT, Options()))
            (figures,) = cloud.figures.upstreams
            return figures.failures, figures.overloaded

    return asyncio.run(main())
