"""What an OpenAI-compatible server is sent, and what it never is."""

from __future__ import annotations

import asyncio

import pytest

from cloud.backends.openai_compatible import OpenAICompatible
from cloud.config import CloudSettings
from edgewise.types import Chunk, Completion, Message, Options, Prompt, Sampling, Text
from tests.upstream import PROMPT_TOKENS, WORDS, Upstream

QUESTION = "Who wrote Hamlet?"
PROMPT = Prompt(messages=(Message(role="user", content=Text.ours(QUESTION)),))


def ask(upstream: Upstream, options: Options, **changes: object) -> list[Chunk | Completion]:
    settings = CloudSettings.model_validate({"base_url": upstream.url, "model": "ok", **changes})

    async def main() -> list[Chunk | Completion]:
        backend = OpenAICompatible(settings)
        try:
            return [event async for event in backend.generate(PROMPT, options)]
        finally:
            await backend.close()

    return asyncio.run(main())


def test_the_server_gets_what_was_asked(upstream: Upstream) -> None:
    sampling = Sampling(max_tokens=5, temperature=0.5, top_p=0.9, top_k=40, seed=7, stop=("\n",))
    *chunks, end = ask(
        upstream, Options(sampling=sampling), api_key="sk-1", logprobs=True, max_tokens_field="max_completion_tokens"
    )
    assert chunks == [Chunk(text=word, logprobs=(-0.25,)) for word in WORDS]
    assert isinstance(end, Completion)
    assert end.finish_reason == "stop"
    assert (end.tokens.prompt_tokens, end.tokens.completion_tokens) == (PROMPT_TOKENS, len(WORDS))
    assert upstream.keys == ["Bearer sk-1"]
    assert upstream.requests == [
        {
            "model": "ok",
            "messages": [{"role": "user", "content": QUESTION}],
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_completion_tokens": 5,
            "temperature": 0.5,
            "top_p": 0.9,
            "top_k": 40,
            "seed": 7,
            "stop": ["\n"],
            "logprobs": True,
        }
    ]


def test_the_length_limit_is_told(upstream: Upstream) -> None:
    *_, end = ask(upstream, Options(), model="length")
    assert isinstance(end, Completion)
    assert end.finish_reason == "length"


def test_a_refused_field_can_be_left_out(upstream: Upstream) -> None:
    ask(upstream, Options(), omit=("temperature", "stream_options"))
    assert set(upstream.requests[0]) == {"model", "messages", "stream", "max_tokens"}


def test_what_other_programs_have_set_is_not_used(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-for-somebody-else")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    ask(upstream, Options())
    assert len(upstream.keys) == 1
    assert "somebody-else" not in upstream.keys[0]
