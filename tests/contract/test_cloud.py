"""Every cloud through one suite: each backend, in this process and behind gRPC."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Literal

import pytest

from cloud.client import CloudClient, NoCloud
from cloud.config import CloudSettings
from cloud.gateway import CloudGateway
from cloud.server import service
from edgewise.callers import owner_of
from edgewise.errors import CloudUnavailable, DeadlineExceeded, InvalidInput, NotFound, NotReady, Overloaded
from edgewise.keys import question_hash
from edgewise.ports import Cloud
from edgewise.rpc import open_channel, start_server
from edgewise.types import (
    Chunk,
    Completion,
    CostBasis,
    Message,
    Options,
    Privacy,
    Prompt,
    Query,
    Released,
    Sampling,
    Text,
)
from edgewise.v1 import cloud_pb2, cloud_pb2_grpc
from edgewise.wire import error_of
from tests.clouds import Way, opened, run, ways
from tests.upstream import Upstream

Backend = Literal["openai_compatible", "llama", "replay"]
QUESTION = "Who wrote Hamlet?"


def prompt(question: str) -> Released[Prompt]:
    return Released(Prompt(messages=(Message(role="user", content=Text.ours(question)),)))


PROMPT = prompt(QUESTION)
OPTIONS = Options(sampling=Sampling(max_tokens=8), question_hash=question_hash(QUESTION))
BASIS = {
    "openai_compatible": CostBasis.BILLED,
    "llama": CostBasis.NOTIONAL,
    "replay": CostBasis.SIMULATED,
}


Settings = Callable[..., CloudSettings]


@pytest.fixture
def settings(upstream: Upstream, tmp_path: Path) -> Settings:
    """The settings of a backend, and what a test changes in them."""
    recorded = {"prompt": QUESTION, "answer": "William Shakespeare.", "prompt_tokens": 9, "completion_tokens": 4}
    replay_file = tmp_path / "recorded.jsonl"
    replay_file.write_text(json.dumps(recorded) + "\n")

    def make(backend: Backend, /, **changes: object) -> CloudSettings:
        of_backend: dict[Backend, dict[str, object]] = {
            "openai_compatible": {"base_url": upstream.url, "model": "ok", "attempts": 1},
            "llama": {},
            "replay": {"replay_file": replay_file},
        }
        prices = {"usd_per_mtok_prompt": 1.0, "usd_per_mtok_completion": 10.0}
        return CloudSettings.model_validate({"backend": backend, **of_backend[backend], **prices, **changes})

    return make


async def everything(
    cloud: Cloud, options: Options = OPTIONS, asked: Released[Prompt] = PROMPT
) -> tuple[tuple[Chunk, ...], Completion]:
    async with aclosing(cloud.generate(asked, options)) as events:
        *chunks, last = [event async for event in events]
    assert isinstance(last, Completion)
    return tuple(chunk for chunk in chunks if isinstance(chunk, Chunk)), last


backends = pytest.mark.parametrize("backend", ["openai_compatible", "llama", "replay"])


@backends
@ways
def test_chunks_then_one_completion_with_its_price(
    backend: Backend, way: Way, settings: Settings, tmp_path: Path
) -> None:
    async def main() -> None:
        async with opened(settings(backend), way, tmp_path) as cloud:
            chunks, end = await everything(cloud)
            status = await cloud.status()
        assert "".join(chunk.text for chunk in chunks).strip()
        assert end.model == status.model
        assert end.tokens.prompt_tokens > 0
        assert end.tokens.completion_tokens >= 1
        fresh_and_cached = end.tokens.prompt_tokens
        assert end.cost_usd == pytest.approx((fresh_and_cached + 10 * end.tokens.completion_tokens) / 1e6)
        assert end.cost_basis is status.cost_basis is BASIS[backend]
        assert status.ready
        assert status.label
        assert (status.usd_per_mtok_prompt, status.usd_per_mtok_completion) == (1.0, 10.0)

    run(main)


@backends
def test_leaving_early_leaves_nothing_behind(backend: Backend, settings: Settings, tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(settings(backend, max_concurrent=1), "in process", tmp_path) as cloud:
            async with aclosing(cloud.generate(PROMPT, OPTIONS)) as events:
                assert isinstance(await anext(events), Chunk)
            chunks, _ = await everything(cloud)
        assert chunks

    run(main)


def test_the_stand_in_calls_itself_one(settings: Settings, tmp_path: Path) -> None:
    async def main() -> None:
        stand_in = settings("llama", usd_per_mtok_prompt=None, usd_per_mtok_completion=None)
        async with opened(stand_in, "in process", tmp_path) as cloud:
            status = await cloud.status()
            _, end = await everything(cloud)
        assert status.label.startswith("stand-in")
        assert status.usd_per_mtok_prompt is not None
        assert end.cost_basis is CostBasis.NOTIONAL
        assert end.tokens.completion_tokens <= 8
        assert end.flops == pytest.approx(
            2 * (status.parameters or 0) * (end.tokens.prompt_tokens + end.tokens.completion_tokens), rel=0.3
        )

    run(main)


@ways
def test_a_question_that_was_never_recorded_is_an_error(way: Way, settings: Settings, tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(settings("replay"), way, tmp_path) as cloud:
            with pytest.raises(NotFound):
                await everything(cloud, Options(), prompt("Who wrote Faust?"))

    run(main)


@ways
@pytest.mark.parametrize(
    ("model", "kind", "said"),
    [
        ("401", CloudUnavailable, "check cloud.api_key_file"),
        ("429", Overloaded, "try again later"),
        ("400", InvalidInput, "temperature must be 1"),
        ("disconnect", CloudUnavailable, "in the middle of an answer"),
    ],
)
def test_an_error_keeps_its_name_and_message(
    *, way: Way, model: str, kind: type[Exception], said: str, settings: Settings, tmp_path: Path
) -> None:
    async def main() -> None:
        async with opened(settings("openai_compatible", model=model), way, tmp_path) as cloud:
            with pytest.raises(kind, match=said) as caught:
                await everything(cloud)
        assert getattr(caught.value, "retry_after_s", None) == (7 if model == "429" else None)

    run(main)


@ways
def test_one_more_than_the_limit_is_refused_at_once(
    way: Way, settings: Settings, upstream: Upstream, tmp_path: Path
) -> None:
    async def main() -> None:
        busy = settings("openai_compatible", model="hang-midway", max_concurrent=1)
        async with (
            opened(busy, way, tmp_path) as cloud,
            aclosing(cloud.generate(PROMPT, OPTIONS)) as first,
        ):
            await anext(first)
            with pytest.raises(Overloaded) as caught:
                await everything(cloud)
            assert caught.value.retry_after_s == 1

    run(main)
    assert upstream.released.wait(5)


def test_a_deadline_reaches_the_upstream(settings: Settings, upstream: Upstream, tmp_path: Path) -> None:
    async def main() -> None:
        gateway = await CloudGateway.open(settings("openai_compatible", model="hang"), tmp_path)
        server, address = await start_server([service(gateway)], "127.0.0.1:0")
        client = CloudClient(address, timeout_s=0.3)
        with pytest.raises(DeadlineExceeded):
            await everything(client)
        assert await asyncio.to_thread(upstream.released.wait, 5)
        await client.close()
        await server.stop(0)
        await gateway.close()

    run(main)


def test_a_client_that_leaves_stops_the_upstream(settings: Settings, upstream: Upstream, tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(settings("openai_compatible", model="hang-midway"), "over gRPC", tmp_path) as cloud:
            async with aclosing(cloud.generate(PROMPT, OPTIONS)) as events:
                await anext(events)
            assert await asyncio.to_thread(upstream.released.wait, 5)

    run(main)


@ways
def test_info_comes_from_the_gateways_own_corpora(way: Way, settings: Settings, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    (corpus / "deep").mkdir(parents=True)
    (corpus / "deep" / "lighthouse.md").write_text("# Lighthouse\n\nThe lamp of Skerry Vale is lit at nine o'clock.\n")
    (corpus / "bread.txt").write_text("Rye bread rests for a night before it is baked.\n")
    (corpus / "picture.png").write_bytes(b"not text")
    query = Released(Query(text=Text.ours("When is the lamp of the lighthouse lit?"), k=1))

    async def main() -> None:
        given = settings("openai_compatible", corpora=(corpus,), usd_per_fetch=0.001)
        async with opened(given, way, tmp_path) as cloud:
            findings = await cloud.retrieve(query)
            status = await cloud.status()
        (passage,) = findings.passages
        assert "nine o'clock" in passage.text.value
        assert passage.text.label is Privacy.PUBLIC
        assert passage.source == "corpus/deep/lighthouse.md"
        assert passage.origin == "cloud"
        assert passage.as_of.endswith("Z")
        assert (findings.cost_usd, findings.cost_basis) == (0.001, CostBasis.BILLED)
        assert findings.elapsed_s is not None
        assert (status.documents, status.passages) == (2, 2)

    run(main)


@ways
def test_without_corpora_nothing_is_found(way: Way, settings: Settings, tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(settings("openai_compatible"), way, tmp_path) as cloud:
            findings = await cloud.retrieve(Released(Query(text=Text.ours("anything"))))
        assert findings.passages == ()
        assert findings.cost_usd == 0

    run(main)


def test_a_corpus_follows_its_files(settings: Settings, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "old.txt").write_text("The ferry leaves at seven.\n")
    given = settings("openai_compatible", corpora=(corpus,))
    query = Released(Query(text=Text.ours("When does the ferry leave?")))

    async def ask() -> list[str]:
        async with opened(given, "in process", tmp_path) as cloud:
            return [passage.text.value for passage in (await cloud.retrieve(query)).passages]

    assert asyncio.run(ask()) == ["The ferry leaves at seven."]
    (corpus / "old.txt").unlink()
    (corpus / "new.txt").write_text("The ferry leaves at eight.\n")
    assert asyncio.run(ask()) == ["The ferry leaves at eight."]


def test_a_corpus_that_is_not_there_is_named(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(NotReady, match=r"cloud\.corpora: .*missing"):
        run(lambda: _open_and_close(settings("openai_compatible", corpora=(tmp_path / "missing",)), tmp_path))


def test_two_corpora_of_one_name_are_refused(settings: Settings, tmp_path: Path) -> None:
    for parent in ("one", "two"):
        (tmp_path / parent / "docs").mkdir(parents=True)
    corpora = (tmp_path / "one" / "docs", tmp_path / "two" / "docs")
    with pytest.raises(NotReady, match="two are called docs"):
        run(lambda: _open_and_close(settings("openai_compatible", corpora=corpora), tmp_path))


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"backend": None}, "set cloud.backend"),
        ({"base_url": ""}, "needs cloud.base_url"),
        ({"model": ""}, "needs cloud.model"),
        ({"backend": "replay", "replay_file": None}, "needs cloud.replay_file"),
    ],
)
def test_what_is_missing_is_named(changes: dict[str, object], advice: str, settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(NotReady, match=advice):
        run(lambda: _open_and_close(settings("openai_compatible", **changes), tmp_path))


async def _open_and_close(settings: CloudSettings, data_dir: Path) -> None:
    async with opened(settings, "in process", data_dir):
        pass


def test_a_gateway_that_is_not_there() -> None:
    async def main() -> None:
        client = CloudClient("127.0.0.1:1")
        with pytest.raises(CloudUnavailable, match=r"the cloud gateway at 127\.0\.0\.1:1 cannot be reached"):
            await everything(client)
        with pytest.raises(CloudUnavailable, match="cannot be reached"):
            await client.status()
        await client.close()

    run(main)


def test_the_gateway_asks_for_its_token(settings: Settings, tmp_path: Path) -> None:
    async def main() -> None:
        gateway = await CloudGateway.open(settings("openai_compatible"), tmp_path)
        server, address = await start_server([service(gateway)], "127.0.0.1:0", callers=owner_of("right"))
        stranger, friend = CloudClient(address, "wrong"), CloudClient(address, "right")
        with pytest.raises(CloudUnavailable, match=r"refused the token; check cloud\.token_file"):
            await everything(stranger)
        assert (await friend.status()).ready
        await stranger.close()
        await friend.close()
        await server.stop(0)
        await gateway.close()

    run(main)


def test_a_request_without_a_prompt_is_invalid(settings: Settings, tmp_path: Path) -> None:
    import grpc

    async def main() -> None:
        gateway = await CloudGateway.open(settings("openai_compatible"), tmp_path)
        server, address = await start_server([service(gateway)], "127.0.0.1:0")
        async with open_channel(address) as channel:
            stub = cloud_pb2_grpc.CloudServiceStub(channel)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                _ = [event async for event in stub.Generate(cloud_pb2.CloudServiceGenerateRequest())]
        assert isinstance(error_of(caught.value), InvalidInput)
        await server.stop(0)
        await gateway.close()

    run(main)


def test_no_cloud_says_what_to_configure() -> None:
    async def main() -> None:
        cloud: Cloud = NoCloud()
        status = await cloud.status()
        assert not status.ready
        assert "set cloud.address or cloud.backend" in status.reason
        with pytest.raises(CloudUnavailable, match="no cloud is configured"):
            await everything(cloud)
        with pytest.raises(CloudUnavailable, match="no cloud is configured"):
            await cloud.retrieve(Released(Query(text=Text.ours("anything"))))

    run(main)
