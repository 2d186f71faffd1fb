"""What stands before an upstream, over a real one: in this process and behind gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from cloud.client import CloudClient
from cloud.config import CloudSettings
from cloud.gateway import CloudGateway
from cloud.server import service
from cloud.terms import Terms
from edgewise.errors import CloudUnavailable, Conflict, EdgewiseError, InvalidInput, NotReady, Overloaded
from edgewise.ports import Cloud
from edgewise.rpc import open_channel, start_server
from edgewise.types import Completion, CostBasis, Findings, Options, Privacy, Query, Released, Sampling, Text
from edgewise.v1 import cloud_pb2, cloud_pb2_grpc, types_pb2
from edgewise.wire import error_of, pack, unpack
from tests.backends import asking, failure_of, heard
from tests.clouds import Way, opened, run, ways
from tests.upstream import PROMPT_TOKENS, WORDS, Upstream

PROMPT = Released(asking("Who wrote Hamlet?"))
OPTIONS = Options(sampling=Sampling(max_tokens=8))
ANSWER = "".join(WORDS)


def settings(upstream: Upstream, model: str = "ok", **changes: object) -> CloudSettings:
    given: dict[str, object] = {"backend": "openai_compatible", "base_url": upstream.url, "model": model}
    prices = {"usd_per_mtok_prompt": 1, "usd_per_mtok_completion": 10}
    return CloudSettings.model_validate({**given, **prices, "attempts": 1, **changes})


def dear(model: str) -> dict[str, object]:
    return {"model": model, "usd_per_mtok_prompt": 100, "usd_per_mtok_completion": 5}


def asked(upstream: Upstream) -> list[str]:
    return [str(request["model"]) for request in upstream.requests]


# --- falling back -----------------------------------------------------------------------------------------------------


@ways
@pytest.mark.parametrize("fault", ["500", "401", "404", "429", "quota", "html", "disconnect-first"])
def test_the_next_upstream_answers_in_its_name_and_at_its_price(
    *, way: Way, fault: str, upstream: Upstream, tmp_path: Path
) -> None:
    async def main() -> None:
        async with opened(settings(upstream, fault, fallback=[dear("ok")]), way, tmp_path) as cloud:
            text, end = await heard(cloud.generate(PROMPT, OPTIONS))
            status = await cloud.status()
        assert (text, end.model, end.via) == (ANSWER, "ok", "fallback")
        if fault in {"html", "disconnect-first"}:  # it had begun, and may bill
            assert (end.cost_usd, end.cost_basis) == (None, None)
        else:
            assert end.cost_usd == pytest.approx((100 * PROMPT_TOKENS + 5 * len(WORDS)) / 1e6)
        assert asked(upstream) == [fault, "ok"]
        assert (status.usd_per_mtok_prompt, status.usd_per_mtok_completion) == (100, 10)

    run(main)


@ways
@pytest.mark.parametrize(
    ("fault", "kind"),
    [("400", InvalidInput), ("context", InvalidInput), ("filter", CloudUnavailable), ("disconnect", CloudUnavailable)],
)
def test_nobody_takes_over_what_is_wrong_itself_or_has_begun(
    *, way: Way, fault: str, kind: type[EdgewiseError], upstream: Upstream, tmp_path: Path
) -> None:
    async def main() -> None:
        async with opened(settings(upstream, fault, fallback=[dear("ok")]), way, tmp_path) as cloud:
            assert isinstance(await failure_of(cloud.generate(PROMPT, OPTIONS)), kind)
        assert asked(upstream) == [fault]

    run(main)


@ways
def test_a_silent_upstream_is_passed_over_in_time(way: Way, upstream: Upstream, tmp_path: Path) -> None:
    async def main() -> None:
        silent = settings(upstream, "hang", timeout_s=0.2, fallback=[{"model": "ok", "timeout_s": 30}])
        async with opened(silent, way, tmp_path) as cloud:
            _, end = await heard(cloud.generate(PROMPT, OPTIONS))
        assert (end.model, end.via, end.cost_usd) == ("ok", "fallback", None)
        assert upstream.released.wait(5)

    run(main)


@pytest.mark.parametrize(("model", "answers"), [("flaky-1", "flaky-1"), ("429", "ok"), ("503-wait", "ok")])
def test_the_first_one_is_tried_again_but_not_waited_for(
    model: str, answers: str, upstream: Upstream, tmp_path: Path
) -> None:
    async def main() -> None:
        patient = settings(upstream, model, attempts=3, retry_budget_s=60, fallback=[dear("ok")])
        async with gateway(patient, tmp_path) as cloud:
            _, end = await heard(cloud.generate(PROMPT, OPTIONS))
        assert end.model == answers
        assert asked(upstream) == [model, answers]

    run(main)


def test_a_price_that_is_unknown_in_one_is_unknown(upstream: Upstream, tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(settings(upstream, fallback=[{"model": "other"}]), "in process", tmp_path) as cloud:
            assert (await cloud.status()).most_usd(PROMPT.value, 8) is None

    run(main)


@asynccontextmanager
async def gateway(settings: CloudSettings, place: Path) -> AsyncGenerator[CloudGateway]:
    opened = await CloudGateway.open(settings, place)
    try:
        yield opened
    finally:
        await opened.close()


def test_a_callers_models_are_all_that_is_asked(upstream: Upstream, tmp_path: Path) -> None:
    async def main() -> None:
        async with gateway(settings(upstream, "500", fallback=[dear("ok")]), tmp_path) as cloud:
            app = cloud.under(Terms("app", frozenset({"ok"})))
            _, end = await heard(app.generate(PROMPT, OPTIONS))
            assert (end.via, (await app.status()).usd_per_mtok_completion) == ("", 5)
            assert asked(upstream) == ["ok"]
            stranger = cloud.under(Terms("app", frozenset({"gpt-9"})))
            assert isinstance(await failure_of(stranger.generate(PROMPT, OPTIONS)), NotReady)
            assert not (await stranger.status()).ready
            assert asked(upstream) == ["ok"]

    run(main)


async def is_ready(cloud: Cloud) -> bool:
    return (await cloud.status()).ready


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(5):
        while not await holds():  # noqa: ASYNC110 - it happens elsewhere, and nobody tells
            await asyncio.sleep(0.02)


# --- the breaker ------------------------------------------------------------------------------------------------------


@ways
def test_five_failures_and_nothing_more_is_sent_until_one_probe_finds_it_well(
    way: Way, upstream: Upstream, tmp_path: Path
) -> None:
    upstream.instead["m"] = "500"

    async def main() -> None:
        async with opened(settings(upstream, "m", breaker_pause_s=1), way, tmp_path) as cloud:
            for _ in range(6):
                failed = await failure_of(cloud.generate(PROMPT, OPTIONS))
                assert isinstance(failed, CloudUnavailable)
            assert len(upstream.requests) == 5
            assert failed.retry_after_s is not None
            status = await cloud.status()
            assert not status.ready
            assert "failed 5 times in a row" in status.reason
            upstream.instead["m"] = "ok"
            await until(lambda: is_ready(cloud))
            text, end = await heard(cloud.generate(PROMPT, OPTIONS))
            assert (text, end.via, len(upstream.requests)) == (ANSWER, "", 6)
            assert (await cloud.status()).ready

    run(main)


@ways
def test_an_open_breaker_sends_on_at_once(way: Way, upstream: Upstream, tmp_path: Path) -> None:
    async def main() -> None:
        broken = settings(upstream, "500", breaker_failures=1, breaker_pause_s=60, fallback=[dear("ok")])
        async with opened(broken, way, tmp_path) as cloud:
            for _ in range(3):
                _, end = await heard(cloud.generate(PROMPT, OPTIONS))
                assert (end.model, end.via) == ("ok", "fallback")
            status = await cloud.status()
            assert status.ready
            assert "500 at" in status.reason
        assert asked(upstream) == ["500", "ok", "ok", "ok"]

    run(main)


@ways
def test_who_asks_for_a_pause_gets_it_from_all(way: Way, upstream: Upstream, tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(settings(upstream, "429"), way, tmp_path) as cloud:
            for _ in range(3):
                error = await failure_of(cloud.generate(PROMPT, OPTIONS))
                assert isinstance(error, Overloaded)
                assert error.retry_after_s is not None
                assert 5 < error.retry_after_s <= 7
        assert len(upstream.requests) == 1

    run(main)


# --- the cache --------------------------------------------------------------------------------------------------------


@ways
def test_the_same_question_is_asked_once_until_it_is_forgotten(way: Way, upstream: Upstream, tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(settings(upstream, cache_entries=10), way, tmp_path) as cloud:
            assert isinstance(cloud, CloudGateway | CloudClient)
            ends = [await heard(cloud.generate(PROMPT, OPTIONS)) for _ in range(3)]
            assert [end.via for _, end in ends] == ["", "cache", "cache"]
            assert [text for text, _ in ends] == [ANSWER] * 3
            assert (ends[1][1].cost_usd, ends[1][1].cost_basis, ends[1][1].model) == (0.0, CostBasis.BILLED, "ok")
            assert len(upstream.requests) == 1
            assert await cloud.forget_answers() >= 1
            _, end = await heard(cloud.generate(PROMPT, OPTIONS))
            assert (end.via, len(upstream.requests)) == ("", 2)
            private = Released(asking("Who wrote Hamlet?", Privacy.PRIVATE))
            for _ in range(2):
                assert (await heard(cloud.generate(private, OPTIONS)))[1].via == ""

    run(main)


@ways
def test_nothing_is_cached_unless_it_is_wanted(way: Way, upstream: Upstream, tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(settings(upstream), way, tmp_path) as cloud:
            for _ in range(2):
                assert (await heard(cloud.generate(PROMPT, OPTIONS)))[1].via == ""
        assert len(upstream.requests) == 2

    run(main)


@pytest.mark.parametrize("model", ["length", "short", "500"])
def test_neither_cut_nor_broken_answers_are_cached(model: str, upstream: Upstream, tmp_path: Path) -> None:
    async def main() -> None:
        async with gateway(settings(upstream, model, cache_entries=10), tmp_path) as cloud:
            for _ in range(2):
                if model == "length":
                    await heard(cloud.generate(PROMPT, OPTIONS))
                else:
                    await failure_of(cloud.generate(PROMPT, OPTIONS))
        assert len(upstream.requests) == 2

    run(main)


# --- idempotency keys -------------------------------------------------------------------------------------------------


@asynccontextmanager
async def stub(settings: CloudSettings, place: Path) -> AsyncGenerator[cloud_pb2_grpc.CloudServiceStub]:
    async with gateway(settings, place) as cloud:
        server, address = await start_server([service(cloud)], f"unix:{place}/cloud.sock")
        async with open_channel(address) as channel:
            yield cloud_pb2_grpc.CloudServiceStub(channel)
        await server.stop(0)


def request(key: str, question: str = "Who wrote Hamlet?") -> cloud_pb2.CloudServiceGenerateRequest:
    prompt, options = pack(asking(question), types_pb2.Prompt), pack(OPTIONS, types_pb2.Options)
    return cloud_pb2.CloudServiceGenerateRequest(prompt=prompt, options=options, idempotency_key=key)


async def end_of(stub: cloud_pb2_grpc.CloudServiceStub, request: cloud_pb2.CloudServiceGenerateRequest) -> Completion:
    *_, last = [event async for event in stub.Generate(request)]
    return unpack(last.completion, Completion)


async def refusal_of(stub: cloud_pb2_grpc.CloudServiceStub, request: cloud_pb2.CloudServiceGenerateRequest) -> object:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await end_of(stub, request)
    return type(error_of(caught.value))


def test_the_same_key_is_asked_and_paid_once(upstream: Upstream, tmp_path: Path) -> None:
    async def main() -> None:
        async with stub(settings(upstream), tmp_path) as cloud:
            first, again = await end_of(cloud, request("k")), await end_of(cloud, request("k"))
            assert (first.via, again.via, again.cost_usd) == ("", "repeated", first.cost_usd)
            assert len(upstream.requests) == 1
            assert await refusal_of(cloud, request("k", "Who wrote Faust?")) is InvalidInput
            assert (await end_of(cloud, request(""))).via == ""
            assert (await cloud.ForgetAnswers(cloud_pb2.ForgetAnswersRequest())).answers == 1
            assert (await end_of(cloud, request("k"))).via == ""

    run(main)


def test_a_key_that_is_being_answered_says_wait_and_is_free_when_its_caller_has_left(
    upstream: Upstream, tmp_path: Path
) -> None:
    async def main() -> None:
        async with stub(settings(upstream, "hang-midway"), tmp_path) as cloud:
            call = cloud.Generate(request("k"))
            await call.read()
            assert await refusal_of(cloud, request("k")) is Conflict
            call.cancel()
            assert await asyncio.to_thread(upstream.released.wait, 5)
            upstream.instead["hang-midway"] = "ok"
            await until(lambda: is_answered(cloud))
            assert (await end_of(cloud, request("k"))).via == "repeated"

    async def is_answered(cloud: cloud_pb2_grpc.CloudServiceStub) -> bool:
        try:
            await end_of(cloud, request("k"))
        except grpc.aio.AioRpcError as error:
            return not isinstance(error_of(error), Conflict)
        return True

    run(main)


def test_a_look_up_with_the_same_key_is_paid_once(upstream: Upstream, tmp_path: Path) -> None:
    async def main() -> None:
        async with stub(settings(upstream, usd_per_fetch=0.5), tmp_path) as cloud:
            query = pack(Query(text=Text.ours("When?")), types_pb2.Query)
            wish = cloud_pb2.FetchInfoRequest(query=query, idempotency_key="k")
            first, again = [unpack((await cloud.FetchInfo(wish)).findings, Findings) for _ in range(2)]
        assert (first.via, again.via, again.cost_usd) == ("", "repeated", 0.5)

    run(main)
