"""A gateway and the holders of its keys: over gRPC, with an upstream that counts what reaches it."""

from __future__ import annotations

import asyncio
import logging
import urllib.request
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import grpc
import pytest

from cloud.client import CloudClient
from cloud.config import CloudSettings
from edgewise import rpc
from edgewise.accounts import Account
from edgewise.errors import CloudUnavailable, EdgewiseError, OverBudget, Overloaded, Unauthenticated
from edgewise.rpc import open_channel
from edgewise.types import Message, Prompt, Query, Released, Text
from edgewise.v1 import cloud_pb2, cloud_pb2_grpc, types_pb2
from edgewise.wire import error_of, pack
from tests.clouds import run
from tests.gateways import OPTIONS, PROMPT, answer, new_key, revoke, serving, standing
from tests.upstream import Upstream

Settings = Callable[..., CloudSettings]
PRICES = {"usd_per_mtok_prompt": 1.0, "usd_per_mtok_completion": 10.0}
COST = (21 * 1.0 + 6 * 10.0) / 1e6
"""Of an answer of the upstream."""
MOST = (len("Who wrote Hamlet?") + 512 + 32 + (8 + 16) * 10.0) / 1e6


@pytest.fixture
def settings(upstream: Upstream) -> Settings:
    def make(**changes: object) -> CloudSettings:
        given = {"backend": "openai_compatible", "base_url": upstream.url, "model": "ok", "attempts": 1}
        return CloudSettings.model_validate({**given, **PRICES, "max_concurrent": 100, **changes})

    return make


async def refused(address: str, token: str | None) -> EdgewiseError:
    """As the wire has it, before the client makes a CloudUnavailable of it."""
    metadata = () if token is None else (("authorization", f"Bearer {token}"),)
    async with open_channel(address) as channel:
        stub = cloud_pb2_grpc.CloudServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetStatus(cloud_pb2.CloudServiceGetStatusRequest(), metadata=metadata)
    return error_of(caught.value)


async def until_refused(client: CloudClient) -> None:
    for _ in range(400):
        try:
            await client.status()
        except CloudUnavailable:
            break
        await asyncio.sleep(0.05)
    with pytest.raises(CloudUnavailable, match="refused the token"):
        await client.status()


# --- who comes in -----------------------------------------------------------------------------------------------------


def test_a_key_is_let_in_until_it_is_revoked_and_nobody_else_is(settings: Settings, tmp_path: Path) -> None:
    async def main() -> None:
        token = await new_key(tmp_path, Account(name="zoe"))
        gone = await new_key(tmp_path, Account(name="ann"))
        await revoke(tmp_path, "ann")
        async with serving(settings(), tmp_path) as served, served.client(token) as zoe:
            await answer(zoe)
            errors = [await refused(served.address, other) for other in (gone, "ew_nonsense", "", None)]
            assert {type(error) for error in errors} == {Unauthenticated}
            assert len({error.message for error in errors}) == 1
            await revoke(tmp_path, "zoe")
            await until_refused(zoe)

    run(main)


def test_the_first_key_shuts_a_door_that_was_open_to_this_machine(settings: Settings, tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(settings(), tmp_path) as served, served.client() as anybody:
            await answer(anybody)
            token = await new_key(tmp_path, Account(name="zoe"))
            await until_refused(anybody)
            async with served.client(token) as zoe:
                await answer(zoe)

    run(main)


def test_the_owners_token_stays_and_is_charged_to_nobody(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("of the owner\n")

    async def main() -> None:
        token = await new_key(tmp_path, Account(name="zoe", requests_per_day=1))
        async with serving(settings(token_file=tmp_path / "token"), tmp_path) as served:
            async with served.client("of the owner") as owner, served.client(token) as zoe:
                await answer(zoe)
                for _ in range(3):
                    await answer(owner)
                with pytest.raises(Overloaded):
                    await answer(zoe)
            assert isinstance(await refused(served.address, "of nobody"), Unauthenticated)
        assert (await standing(tmp_path, "zoe")).calls == 1

    run(main)


@pytest.mark.parametrize("method", ["Generate", "FetchInfo", "ForgetAnswers", "GetStatus"])
def test_nothing_of_a_strangers_request_is_read(
    method: str, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[bytes] = []
    monkeypatch.setattr(rpc, "parse", lambda data, _: read.append(data))

    async def main() -> None:
        await new_key(tmp_path, Account(name="zoe"))
        async with serving(settings(), tmp_path) as served, open_channel(served.address) as channel:
            call = channel.unary_unary(f"/edgewise.v1.CloudService/{method}", None, None)
            for body in (b"\xff" * 100, b"x" * 15_000_000):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await call(body)
                assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
            unknown = channel.unary_unary("/edgewise.v1.CloudService/NoSuchMethod", None, None)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await unknown(b"")
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
            healthy = channel.unary_unary("/grpc.health.v1.Health/Check", None, None)
            assert await healthy(b"") == b"\x08\x01"
        assert read == []

    run(main)


def test_keys_that_cannot_be_read_let_nobody_in(settings: Settings, upstream: Upstream, tmp_path: Path) -> None:
    async def main() -> None:
        tokens = [
            await new_key(tmp_path, Account(name=name, requests_per_day=day)) for name, day in (("a", 9), ("b", None))
        ]
        async with serving(settings(), tmp_path) as served:
            (tmp_path / "cloud" / "keys.db").rename(tmp_path / "elsewhere.db")
            for token in tokens:
                async with served.client(token) as client:
                    with pytest.raises(CloudUnavailable, match="nobody is let in"):
                        await answer(client)
        assert upstream.requests == []

    run(main)


# --- what they may spend ----------------------------------------------------------------------------------------------


def test_what_a_call_did_cost_is_spent(settings: Settings, tmp_path: Path) -> None:
    async def main() -> None:
        token = await new_key(tmp_path, Account(name="zoe", budget_usd=1.0))
        async with serving(settings(usd_per_fetch=0.25), tmp_path) as served, served.client(token) as zoe:
            assert (await answer(zoe)).cost_usd == pytest.approx(COST)
            await zoe.retrieve(Released(Query(text=Text.ours("hamlet"))))
        found = await standing(tmp_path, "zoe")
        assert found.spent_usd == pytest.approx(COST + 0.25)
        assert (found.reserved_usd, found.calls, found.tokens, found.unbilled) == (0, 2, 27, 0)

    run(main)


def test_a_hundred_calls_at_once_never_spend_more_than_there_is(
    settings: Settings, upstream: Upstream, tmp_path: Path
) -> None:
    async def main() -> None:
        budget = 10 * MOST
        token = await new_key(tmp_path, Account(name="zoe", budget_usd=budget))
        async with serving(settings(), tmp_path) as served, served.client(token) as zoe:
            results = await asyncio.gather(*(answer(zoe) for _ in range(100)), return_exceptions=True)
        failed = [result for result in results if isinstance(result, BaseException)]
        assert all(isinstance(failure, CloudUnavailable) and "of zoe" in failure.message for failure in failed)
        served_calls = len(results) - len(failed)
        assert served_calls == len(upstream.requests)
        assert 10 <= served_calls <= budget / COST
        found = await standing(tmp_path, "zoe")
        assert found.spent_usd == pytest.approx(served_calls * COST)
        assert found.spent_usd + found.reserved_usd <= budget

    run(main)


def test_a_budget_refuses_a_model_without_a_price(settings: Settings, upstream: Upstream, tmp_path: Path) -> None:
    async def main() -> None:
        token = await new_key(tmp_path, Account(name="zoe", budget_usd=1.0))
        unpriced = settings(usd_per_mtok_prompt=None, usd_per_mtok_completion=None)
        async with serving(unpriced, tmp_path) as served, served.client(token) as zoe:
            with pytest.raises(CloudUnavailable, match="usd_per_mtok_prompt"):
                await answer(zoe)
        assert upstream.requests == []

    run(main)


@pytest.mark.parametrize(
    ("model", "spent"), [("500", 0.0), ("400", 0.0), ("429", 0.0), ("disconnect", MOST), ("no-usage", MOST)]
)
def test_a_failure_costs_what_it_may_have_cost(model: str, spent: float, settings: Settings, tmp_path: Path) -> None:
    async def main() -> None:
        token = await new_key(tmp_path, Account(name="zoe", budget_usd=1.0))
        async with serving(settings(model=model), tmp_path) as served, served.client(token) as zoe:
            if model == "no-usage":
                assert (await answer(zoe)).cost_usd is None
            else:
                with pytest.raises(EdgewiseError):
                    await answer(zoe)
        found = await standing(tmp_path, "zoe")
        assert found.spent_usd == pytest.approx(spent, abs=1e-9)
        assert found.reserved_usd == 0

    run(main)


def test_a_call_that_two_upstreams_may_bill_is_kept_money_for_both(settings: Settings, tmp_path: Path) -> None:
    """The first falls silent, so that it may bill what it was asked for; the second answers."""

    async def main() -> None:
        two = settings(model="hang", timeout_s=0.3, fallback=[{"model": "ok", **PRICES}])
        for budget, is_served in ((1.5 * MOST, False), (2.5 * MOST, True)):
            name = f"zoe{budget:.6f}"
            token = await new_key(tmp_path, Account(name=name, budget_usd=budget))
            async with serving(two, tmp_path) as served, served.client(token) as zoe:
                if is_served:
                    assert (await answer(zoe)).cost_usd is None
                else:
                    with pytest.raises(CloudUnavailable, match="may cost up to"):
                        await answer(zoe)
            found = await standing(tmp_path, name)
            assert found.spent_usd == pytest.approx(2 * MOST if is_served else 0.0, abs=1e-9)

    run(main)


def test_who_leaves_has_spent_what_it_may_have_cost(settings: Settings, upstream: Upstream, tmp_path: Path) -> None:
    async def main() -> None:
        token = await new_key(tmp_path, Account(name="zoe", budget_usd=1.0))
        async with serving(settings(model="hang-midway"), tmp_path) as served, served.client(token) as zoe:
            async with aclosing(zoe.generate(PROMPT, OPTIONS)) as events:
                await anext(events)
            assert await asyncio.to_thread(upstream.released.wait, 10)
        found = await standing(tmp_path, "zoe")
        assert found.spent_usd == pytest.approx(MOST, abs=1e-9)
        assert (found.reserved_usd, found.unbilled) == (0, 1)

    run(main)


def test_the_same_call_again_is_paid_once(settings: Settings, upstream: Upstream, tmp_path: Path) -> None:
    async def main() -> None:
        token = await new_key(tmp_path, Account(name="zoe", budget_usd=1.0))
        request = cloud_pb2.CloudServiceGenerateRequest(
            prompt=pack(PROMPT.value, types_pb2.Prompt), options=pack(OPTIONS, types_pb2.Options), idempotency_key="k"
        )
        async with serving(settings(), tmp_path) as served, open_channel(served.address) as channel:
            stub = cloud_pb2_grpc.CloudServiceStub(channel)
            for via in ("", "repeated"):
                call = stub.Generate(request, metadata=(("authorization", f"Bearer {token}"),))
                *_, last = [event async for event in call]
                assert last.completion.via == via
        assert len(upstream.requests) == 1
        found = await standing(tmp_path, "zoe")
        assert found.spent_usd == pytest.approx(COST)
        assert (found.calls, found.tokens, found.reserved_usd) == (2, 27, 0)

    run(main)


def test_a_key_reaches_its_models_only(settings: Settings, upstream: Upstream, tmp_path: Path) -> None:
    async def main() -> None:
        allowed = await new_key(tmp_path, Account(name="zoe", allowed=frozenset({"ok"})))
        other = await new_key(tmp_path, Account(name="ann", allowed=frozenset({"something-else"})))
        async with serving(settings(), tmp_path) as served, served.client(allowed) as zoe, served.client(other) as ann:
            with pytest.raises(EdgewiseError):
                await answer(ann)
            assert upstream.requests == []
            assert (await answer(zoe)).model == "ok"

    run(main)


def test_a_refusal_that_passes_says_when(settings: Settings, tmp_path: Path) -> None:
    async def main() -> None:
        token = await new_key(tmp_path, Account(name="zoe", requests_per_minute=2))
        async with serving(settings(), tmp_path) as served, served.client(token) as zoe:
            results = await asyncio.gather(*(answer(zoe) for _ in range(5)), return_exceptions=True)
        waits = [result.retry_after_s for result in results if isinstance(result, Overloaded)]
        assert len(waits) == 3
        assert all(wait is not None and 0 < wait <= 30 for wait in waits)

    run(main)


def test_an_upstream_that_says_no_time_passes_soon(settings: Settings, tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(settings(model="429-bare"), tmp_path) as served, served.client() as client:
            with pytest.raises(Overloaded) as caught:
                await answer(client)
            assert caught.value.retry_after_s == 1

    run(main)


def test_over_budget_has_its_own_name_on_the_wire(settings: Settings, tmp_path: Path) -> None:
    async def main() -> None:
        token = await new_key(tmp_path, Account(name="zoe", budget_usd=0.0))
        async with serving(settings(), tmp_path) as served, open_channel(served.address) as channel:
            stub = cloud_pb2_grpc.CloudServiceStub(channel)
            query = pack(Query(text=Text.ours("hamlet")), types_pb2.Query)
            request = cloud_pb2.FetchInfoRequest(query=query)
            free = await stub.FetchInfo(request, metadata=(("authorization", f"Bearer {token}"),))
            assert free.findings.cost_usd == 0
        async with serving(settings(usd_per_fetch=0.1), tmp_path) as served, open_channel(served.address) as channel:
            stub = cloud_pb2_grpc.CloudServiceStub(channel)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.FetchInfo(request, metadata=(("authorization", f"Bearer {token}"),))
        assert isinstance(error_of(caught.value), OverBudget)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED

    run(main)


# --- what is told of it -----------------------------------------------------------------------------------------------


def test_metrics_and_log_tell_of_calls_and_of_no_content(
    settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    secret = Released(Prompt(messages=(Message(role="user", content=Text.ours("the zanzibar question")),)))

    async def main() -> None:
        token = await new_key(tmp_path, Account(name="zoe", budget_usd=MOST + 1.5 * COST))
        async with serving(settings(), tmp_path, metrics_address="127.0.0.1:0") as served:
            async with served.client(token) as zoe, served.client("ew_unknown") as stranger:
                for _ in range(3):
                    try:
                        await answer(zoe, secret)
                    except CloudUnavailable:
                        break
                with pytest.raises(CloudUnavailable):
                    await answer(stranger)
            text = await asyncio.to_thread(lambda: urllib.request.urlopen(served.metrics_url).read().decode())
        assert 'edgewise_gateway_calls_total{key="zoe",kind="generate",outcome="ok"} 2.0' in text
        assert 'edgewise_gateway_calls_total{key="zoe",kind="generate",outcome="OverBudget"} 1.0' in text
        assert 'edgewise_gateway_refused_total{reason="Unauthenticated"} 1.0' in text
        assert 'edgewise_gateway_tokens_total{key="zoe",kind="prompt"} 42.0' in text
        lines = [record.getMessage() for record in caplog.records if record.name == "cloud.visits"]
        assert [line.split()[:3] for line in lines] == [["generate", "key=zoe", "outcome=ok"]] * 2 + [
            ["generate", "key=zoe", "outcome=OverBudget"]
        ]
        for said in (text, caplog.text):
            assert "zanzibar" not in said
            assert "Shakespeare" not in said
            assert token not in said
            assert "ew_" not in said

    with caplog.at_level(logging.INFO):
        run(main)
