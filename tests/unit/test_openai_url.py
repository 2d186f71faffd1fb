"""The engine on a local server: what it finds out, what it asks for, and where it never goes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from edge.config import EdgeSettings
from edge.openai_url import OpenAIUrlEngine
from edgewise.errors import NotReady
from edgewise.types import Completion, Options, Sampling
from tests.edges import finished, prompt
from tests.local_server import LLAMA_SERVER, LM_STUDIO, OLLAMA, PLAIN, LocalServer
from tests.upstream import PROMPT_TOKENS, WORDS

GRAMMAR = 'root ::= "7"'
SCHEMA = '{"type": "object"}'


def settings(server: LocalServer, **changes: object) -> EdgeSettings:
    return EdgeSettings.model_validate({"engine": "openai_url", "base_url": server.url, **changes})


def opened(chosen: EdgeSettings) -> OpenAIUrlEngine:
    async def main() -> OpenAIUrlEngine:
        engine = await OpenAIUrlEngine.open(chosen)
        await engine.close()
        return engine

    return asyncio.run(main())


def asked(server: LocalServer, options: Options) -> tuple[dict[str, Any], Completion]:
    """The body of one request, and what it came to."""

    async def main() -> Completion:
        engine = await OpenAIUrlEngine.open(settings(server))
        server.reset()
        _, completion = await finished(engine.generate(prompt(), options))
        await engine.close()
        return completion

    completion = asyncio.run(main())
    (body,) = server.requests
    return body, completion


# --- finding out ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pages", "constrains", "model", "capabilities", "context_tokens"),
    [
        (LLAMA_SERVER, True, "/models/small.gguf", ("logprobs", "grammar", "tokenize"), 512),
        (OLLAMA, True, "tiny:latest", ("logprobs", "grammar"), 4096),
        (LM_STUDIO, False, "tiny", ("logprobs",), 2048),
        (PLAIN, False, "tiny", ("logprobs",), None),
    ],
    ids=["llama-server", "Ollama", "LM Studio", "another"],
)
def test_a_server_is_tried_for_what_it_can_do(
    pages: Mapping[str, Any], constrains: bool, model: str, capabilities: tuple[str, ...], context_tokens: int | None
) -> None:
    with LocalServer(pages, constrains=constrains) as server:
        info = opened(settings(server, server_model="tiny" if pages is OLLAMA else "")).info
    assert (info.model, info.capabilities, info.context_tokens) == (model, capabilities, context_tokens)
    assert info.model_hash is None
    assert info.parameters == (1e6 if pages is LLAMA_SERVER else None)


def test_a_server_that_ignores_logprobs_does_not_have_them() -> None:
    with LocalServer() as server:
        server.behaves = "no-logprobs"
        assert opened(settings(server)).info.capabilities == ()


@pytest.mark.parametrize(("wanted", "says"), [("", "has not just one model"), ("large", "has no model 'large'")])
def test_the_models_that_are_there_are_named(wanted: str, says: str) -> None:
    with LocalServer(OLLAMA) as server, pytest.raises(NotReady) as caught:
        opened(settings(server, server_model=wanted))
    assert says in caught.value.message
    assert "tiny:latest, far:20b-cloud, copied; name one in edge.server_model" in caught.value.message


# --- asking -----------------------------------------------------------------------------------------------------------


def test_llama_server_is_told_to_leave_its_own_sampling_and_cache_out() -> None:
    with LocalServer(LLAMA_SERVER, constrains=True) as server:
        body, completion = asked(server, Options(sampling=Sampling(temperature=1), cache_key="one"))
    chosen = {"temperature": 1, "top_k": 0, "top_p": 1, "min_p": 0, "cache_prompt": False, "logprobs": True}
    assert chosen.items() <= body.items()
    assert completion.flops == 2e6 * (PROMPT_TOKENS + len(WORDS))


def test_an_impossible_token_has_a_number_that_json_can_write() -> None:
    with LocalServer() as server:
        server.behaves = "impossible"

        async def main() -> list[float]:
            engine = await OpenAIUrlEngine.open(settings(server))
            chunks, _ = await finished(engine.generate(prompt(), Options()))
            await engine.close()
            return [value for chunk in chunks for value in chunk.logprobs]

        known = asyncio.run(main())
    assert known
    assert set(known) == {-9999.0}


def test_another_server_gets_only_what_any_knows() -> None:
    with LocalServer() as server:
        body, completion = asked(server, Options())
    assert set(body) == {"model", "messages", "stream", "stream_options", "max_tokens", "temperature", "logprobs"}
    assert (completion.model, completion.model_hash, completion.flops) == ("tiny", None, None)
    assert (completion.cost_usd, completion.timings.prompt_s) == (None, None)
    assert completion.tokens.prompt_tokens == PROMPT_TOKENS


def test_a_schema_and_a_grammar_are_passed_on() -> None:
    with LocalServer(LLAMA_SERVER, constrains=True) as server:
        body, _ = asked(server, Options(response_schema=SCHEMA))
        assert body["response_format"]["json_schema"]["schema"] == {"type": "object"}
        body, _ = asked(server, Options(grammar=GRAMMAR))
        assert body["grammar"] == GRAMMAR


@pytest.mark.parametrize(
    "options",
    [Options(response_schema=SCHEMA), Options(grammar=GRAMMAR), Options(adapter="x"), Options(surprisal=True)],
)
def test_what_the_server_cannot_do_is_refused_without_asking_it(options: Options) -> None:
    with LocalServer() as server:

        async def main() -> None:
            engine = await OpenAIUrlEngine.open(settings(server))
            server.reset()
            with pytest.raises(NotReady):
                await finished(engine.generate(prompt(), options))
            for work in (engine.tokenize("x"), engine.score(prompt(), ("x",)), engine.load_adapter("x")):
                with pytest.raises(NotReady, match=r"ask without it"):
                    await work
            await engine.close()

        asyncio.run(main())
        assert server.requests == []


def test_a_key_is_read_from_its_file(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-for-somebody-else")
    (tmp_path / "key").write_text("sk-local\n")
    with LocalServer() as server:
        opened(settings(server, api_key_file=tmp_path / "key"))
        assert set(server.keys) == {"Bearer sk-local"}
        server.reset()
        opened(settings(server))
        assert set(server.keys) == {"Bearer none"}


# --- where questions never go -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://192.168.1.5:11434/v1",
        "https://api.openai.com/v1",
        "http://127.0.0.1@example.com/v1",
        "http://127.0.0.1.example.com/v1",
        "http://2130706433/v1",
        "http://0.0.0.0:8080/v1",
        "http://[::ffff:10.0.0.1]/v1",
    ],
)
def test_another_machine_is_refused_until_it_is_trusted(url: str) -> None:
    with pytest.raises(ValueError, match="another machine, and private questions would go there"):
        EdgeSettings(engine="openai_url", base_url=url)
    assert EdgeSettings(engine="openai_url", base_url=url, trust_server=True).base_url == url


@pytest.mark.parametrize("url", ["http://127.0.0.1:11434/v1", "http://localhost:1234/v1", "https://[::1]:8080/v1"])
def test_this_machine_is_not(url: str) -> None:
    assert EdgeSettings(engine="openai_url", base_url=url).base_url == url


@pytest.mark.parametrize("url", ["", "ftp://127.0.0.1/v1", "127.0.0.1:8080", "http://", "http://127.0.0.1:x/v1"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="base_url"):
        EdgeSettings(engine="openai_url", base_url=url)


@pytest.mark.parametrize(("model", "shown"), [("far:20b-cloud", {}), ("copied", {"remote_host": "https://ollama.com"})])
def test_a_model_that_the_server_runs_elsewhere_is_refused_until_it_is_trusted(
    model: str, shown: dict[str, str]
) -> None:
    with LocalServer({**OLLAMA, "/api/show": {"details": {}, **shown}}) as server:
        with pytest.raises(NotReady, match="on other machines, and private questions would go there"):
            opened(settings(server, server_model=model))
        assert server.requests == []
        assert opened(settings(server, server_model=model, trust_server=True)).info.model == model


def test_the_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with LocalServer() as proxy, LocalServer() as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url.removesuffix("/v1"))
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        assert opened(settings(server)).info.model == "tiny"
        assert server.requests
        assert proxy.requests == []


def test_no_llama_cpp_is_needed() -> None:
    program = "import sys; sys.modules['llama_cpp'] = None; import edge.node, edge.openai_url, cloud.gateway"
    done = subprocess.run([sys.executable, "-c", program], env=dict(os.environ), capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
