"""LoRA adapters on the real engine: which one writes an answer, and what is kept of it."""

from __future__ import annotations

import asyncio
import math
import shutil
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from edge.client import EdgeClient
from edge.llama.engine import LlamaEngine
from edge.llama.native import Native
from edge.llama.scheduler import Scheduler
from edge.models.digests import sha256
from edge.replay import ReplayEngine
from edgewise.errors import InvalidInput, NotFound, NotReady
from edgewise.types import Chunk, Completion, Options, Sampling, SideStatus
from tests.adapters import write_adapter
from tests.edges import finished, prompt
from tests.stack import up

NAMES = ("", "red", "blue")
Tried = Callable[[Callable[[LlamaEngine], Awaitable[None]]], None]

LONG = "The monks wrote down what the river took in every year. " * 20


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the engine has: `red` and `blue`."""
    place = tmp_path_factory.mktemp("adapters")
    for seed, name in enumerate(("red", "blue")):
        write_adapter(place, name, seed=seed)
    return place


@pytest.fixture(scope="module")
def opened(gguf: Path, directory: Path) -> Iterator[LlamaEngine]:
    engine = asyncio.run(
        LlamaEngine.open(gguf, context_tokens=1024, parallel=3, threads=1, adapter_directory=directory)
    )
    yield engine
    asyncio.run(engine.close())


@pytest.fixture
def tried(opened: LlamaEngine) -> Tried:
    """Runs a test on the engine, and takes the adapter out again."""

    def run(attempt: Callable[[LlamaEngine], Awaitable[None]]) -> None:
        async def main() -> None:
            try:
                await attempt(opened)
            finally:
                await opened.load_adapter("")

        asyncio.run(main())

    return run


def options(adapter: str = "", key: str = "", max_tokens: int = 16) -> Options:
    return Options(cache_key=key, adapter=adapter, sampling=Sampling(max_tokens=max_tokens, seed=0))


async def write(
    engine: LlamaEngine | EdgeClient, adapter: str = "", key: str = "", text: str = "Who are you?"
) -> tuple[str, Completion]:
    chunks, completion = await finished(engine.generate(prompt(text), options(adapter, key)))
    return "".join(chunk.text for chunk in chunks), completion


async def loaded(engine: LlamaEngine) -> set[str]:
    """The digests of the adapters that llama.cpp has in memory."""

    def look(native: Native, _: Scheduler) -> set[str]:
        return set(native._adapters)

    return await asyncio.wrap_future(engine._owner.call(look))


def test_an_adapter_changes_the_answers_until_it_is_removed(tried: Tried, directory: Path) -> None:
    async def attempt(engine: LlamaEngine) -> None:
        plain, first = await write(engine)
        assert await engine.load_adapter("red") == sha256(directory / "red.gguf")
        red, second = await write(engine)
        assert (engine.load.adapter, engine.load.adapters) == ("red", ("blue", "red"))
        assert await engine.load_adapter("") == ""
        again, third = await write(engine)
        assert again == plain != red
        assert (first.adapter, second.adapter, third.adapter) == ("", "red", "")
        assert (engine.load.adapter, engine.load.adapters) == ("", ("blue", "red"))

    tried(attempt)


def test_a_score_is_the_adapters_too(tried: Tried) -> None:
    async def attempt(engine: LlamaEngine) -> None:
        plain = await engine.score(prompt(), ("yes", "no"))
        await engine.load_adapter("blue")
        assert (await engine.score(prompt(), ("yes", "no"))).logprobs != plain.logprobs

    tried(attempt)


def test_requests_side_by_side_give_what_each_gives_alone(tried: Tried) -> None:
    async def attempt(engine: LlamaEngine) -> None:
        alone = {name: (await write(engine, name, "alone"))[0] for name in NAMES}
        beside = await asyncio.gather(*(write(engine, name, "beside") for name in NAMES * 3))
        assert len(set(alone.values())) == 3
        for name, (text, completion) in zip(NAMES * 3, beside, strict=True):
            assert (completion.adapter, text) == (name, alone[name])

    tried(attempt)


def test_a_running_answer_keeps_its_adapter(tried: Tried) -> None:
    async def attempt(engine: LlamaEngine) -> None:
        red, _ = await write(engine, "red", "before")
        await engine.load_adapter("red")
        events = engine.generate(prompt(), options(key="running"))
        begun = [await anext(events)]
        await engine.load_adapter("blue")
        assert len(await loaded(engine)) == 2
        begun += [event async for event in events]
        assert "".join(event.text for event in begun if isinstance(event, Chunk)) == red
        assert isinstance(begun[-1], Completion)
        assert begun[-1].adapter == "red"
        assert (await write(engine, key="after"))[1].adapter == "blue"

    tried(attempt)


def test_prefixes_are_not_shared_across_adapters(tried: Tried) -> None:
    async def attempt(engine: LlamaEngine) -> None:
        for name in NAMES:
            text, cold = await write(engine, name, "prefix", LONG)
            again, warm = await write(engine, name, "prefix", LONG)
            assert (cold.tokens.cached_tokens, again) == (0, text)
            assert warm.tokens.cached_tokens == warm.tokens.prompt_tokens - 2

    tried(attempt)


def test_new_content_under_an_old_name_is_a_new_adapter(tried: Tried, directory: Path) -> None:
    async def attempt(engine: LlamaEngine) -> None:
        green = write_adapter(directory, "green", seed=7)
        before, _ = await write(engine, "green", "new")
        digest = await engine.load_adapter("green")
        write_adapter(directory, "green", seed=8)
        assert (await write(engine, key="new"))[0] == before, "what is loaded stays until it is loaded again"
        after, completion = await write(engine, "green", "new")
        assert after != before
        assert completion.tokens.cached_tokens == 0
        assert await engine.load_adapter("green") == sha256(green) != digest
        green.unlink()
        assert (await write(engine, key="new"))[0] == after
        with pytest.raises(NotFound):
            await write(engine, "green")

    tried(attempt)


@pytest.mark.parametrize("name", ["red", "removed"])
def test_a_file_that_changed_while_a_request_waited_is_not_taken_for_the_old_one(
    tried: Tried, directory: Path, name: str
) -> None:
    digest = sha256(directory / "blue.gguf")

    async def attempt(engine: LlamaEngine) -> None:
        def load(native: Native, _: Scheduler) -> None:
            native.load_adapter(directory / f"{name}.gguf", digest)

        with pytest.raises(NotFound, match="ask again"):
            await asyncio.wrap_future(engine._owner.call(load))
        assert await loaded(engine) == set()

    tried(attempt)


def test_memory_of_adapters_that_nobody_uses_is_freed(tried: Tried) -> None:
    async def attempt(engine: LlamaEngine) -> None:
        for name in ("red", "blue", ""):
            digest = await engine.load_adapter(name)
            assert await loaded(engine) == {digest} - {""}

    tried(attempt)


def test_what_is_no_adapter_for_this_model_is_refused_and_changes_nothing(
    tried: Tried, directory: Path, gguf: Path
) -> None:
    place = directory / "bad"
    place.mkdir()
    whole = write_adapter(place, "whole").read_bytes()
    write_adapter(directory, "other", architecture="qwen2")
    write_adapter(directory, "narrow", projections={"attn_q": (512, 512)})
    write_adapter(directory, "unknown", projections={"attn_z": (576, 576)})
    (directory / "truncated.gguf").write_bytes(whole[: len(whole) // 2])
    (directory / "headless.gguf").write_bytes(whole[:20])
    (directory / "text.gguf").write_text("not a GGUF")
    (directory / "empty.gguf").touch()
    (directory / "model.gguf").symlink_to(gguf)
    bad = ("other", "narrow", "unknown", "truncated", "headless", "text", "empty", "model")

    async def attempt(engine: LlamaEngine) -> None:
        await engine.load_adapter("red")
        red, _ = await write(engine, key="bad")
        for name in bad:
            refusal = rf"{name}\.gguf is no adapter for this model|the adapter {name} is damaged"
            with pytest.raises(InvalidInput, match=refusal):
                await engine.load_adapter(name)
            with pytest.raises(InvalidInput, match=refusal):
                await write(engine, name)
            assert engine.load.adapter == "red"
        assert (await write(engine, key="bad"))[0] == red
        assert len(await loaded(engine)) == 1

    try:
        tried(attempt)
    finally:
        shutil.rmtree(place)
        for name in bad:
            (directory / f"{name}.gguf").unlink()


def test_a_name_that_is_none_says_which_there_are(tried: Tried, directory: Path) -> None:
    (directory / "hidden").mkdir()
    write_adapter(directory / "hidden", "secret")
    (directory / "folder.gguf").mkdir()
    (directory / "dangling.gguf").symlink_to(directory / "nothing")

    async def attempt(engine: LlamaEngine) -> None:
        for name in (
            "green!",
            "hidden/secret",
            "../adapters/red",
            "..",
            "/etc/passwd",
            "red.gguf",
            "r*",
            "\0",
            "é" * 99,
        ):
            with pytest.raises(NotFound, match=r"there are blue, .*red") as caught:
                await engine.load_adapter(name)
            assert len(caught.value.message) < 500
            with pytest.raises(NotFound, match=r"there are blue, .*red"):
                await write(engine, name)
        with pytest.raises(NotFound) as caught:
            await engine.load_adapter("x" * 100_000)
        assert len(caught.value.message) < 500
        for name in ("folder", "dangling"):
            with pytest.raises(NotReady, match=f"{name}.gguf cannot be read"):
                await engine.load_adapter(name)

    try:
        tried(attempt)
    finally:
        (directory / "folder.gguf").rmdir()
        (directory / "dangling.gguf").unlink()


def test_without_a_directory_there_is_no_adapter(gguf: Path, tmp_path: Path) -> None:
    async def main() -> None:
        engine = await LlamaEngine.open(gguf, context_tokens=512, threads=1, adapter_directory=tmp_path / "none")
        try:
            assert engine.load.adapters == ()
            with pytest.raises(NotFound, match=r"put a GGUF adapter into .*none"):
                await engine.load_adapter("red")
        finally:
            await engine.close()

    asyncio.run(main())


def test_a_recording_has_no_weights_to_adapt(tmp_path: Path) -> None:
    (tmp_path / "answers.jsonl").write_text('{"prompt": "Who are you?", "answer": "A model."}')

    async def main() -> None:
        engine = await ReplayEngine.open(tmp_path / "answers.jsonl")
        with pytest.raises(NotReady, match="adapters"):
            await engine.load_adapter("red")
        with pytest.raises(NotReady, match="adapters"):
            await finished(engine.generate(prompt(), Options(adapter="red")))

    asyncio.run(main())


def test_a_daemon_passes_adapters_on(tmp_path: Path) -> None:
    place = tmp_path / "data" / "edge" / "adapters"
    place.mkdir(parents=True)
    write_adapter(place, "red")

    async def main() -> None:
        with up(tmp_path / "data", settings={"EDGEWISE_EDGE__CONTEXT_TOKENS": "512"}) as daemon:
            client = EdgeClient(daemon.grpc, daemon.token)
            plain, _ = await write(client)
            assert await client.load_adapter("red") == sha256(place / "red.gguf")
            red, completion = await write(client)
            assert (completion.adapter, red != plain) == ("red", True)
            status: SideStatus = await client.status()
            assert (status.adapter, status.adapters) == ("red", ("red",))
            with pytest.raises(NotFound, match="there are red"):
                await client.load_adapter("blue")
            await client.load_adapter("")
            assert (await write(client, "red"))[0] == red
            assert (await write(client))[0] == plain
            await client.close()

    asyncio.run(main())


def test_an_adapter_that_llama_cpp_dies_of_is_refused(tried: Tried, directory: Path) -> None:
    write_adapter(directory, "deadly", alpha_is_int=True)
    write_adapter(directory, "void", strength=math.nan)

    async def attempt(engine: LlamaEngine) -> None:
        for name, reason in (("deadly", "dies of the adapter deadly"), ("void", "gives no numbers")):
            with pytest.raises(InvalidInput, match=reason):
                await engine.load_adapter(name)
            with pytest.raises(InvalidInput, match=reason):
                await write(engine, name)
        assert engine.load.adapter == ""

    tried(attempt)
    for name in ("deadly", "void"):
        (directory / f"{name}.gguf").unlink()


def test_the_default_outlives_a_restart_and_can_be_declined(gguf: Path, tmp_path: Path) -> None:
    file = write_adapter(tmp_path, "red")

    async def reopened() -> LlamaEngine:
        return await LlamaEngine.open(gguf, context_tokens=512, parallel=1, threads=1, adapter_directory=tmp_path)

    async def main() -> None:
        engine = await reopened()
        (bare, _), digest = await write(engine, "", "1"), await engine.load_adapter("red")
        await engine.close()
        engine = await reopened()
        assert engine.load.adapter == "red"
        adapted, completion = await write(engine, "", "2")
        assert (completion.adapter, digest != "", adapted != bare) == ("red", True, True)
        declined, completion = await write(engine, "none", "3")
        assert (completion.adapter, declined) == ("", bare)
        await engine.close()
        file.unlink()
        engine = await reopened()
        assert engine.load.adapter == ""
        await engine.close()

    asyncio.run(main())
