"""What the OpenAI-compatible door refuses: bodies, fields, sizes, tokens, hosts and origins."""

from __future__ import annotations

import json
from pathlib import Path

import openai
import pytest

from tests.routers import TOKEN
from tests.site import CHAT, MESSAGES, Site, tried

# --- bad input --------------------------------------------------------------------------------------------------------

VALID = {"model": "edge_only", "messages": MESSAGES}


REFUSED: list[tuple[object, str]] = [
    (b'{"model": "edge_only", "messages": [{"role": "user", "content": "a\\ud800"}]}', ""),
    (b'{"model": "edge_only", "messages": [{"role": "user", "content": "a\xff"}]}', ""),
    (b"{", "JSON"),
    (b"", "JSON"),
    (b"[]", ""),
    (b"null", ""),
    (b"[" * 100_000, "JSON"),
    ({"messages": MESSAGES}, "model"),
    ({"model": "edge_only"}, "messages"),
    (VALID | {"messages": []}, "messages"),
    (VALID | {"messages": [{"role": "user", "content": ""}]}, "empty"),
    (VALID | {"messages": [{"role": "user", "content": None}]}, "content"),
    (VALID | {"messages": [{"role": "robot", "content": "x"}]}, "role"),
    (VALID | {"messages": [{"role": "assistant", "content": "x"}]}, "last message"),
    (VALID | {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}]}, "content"),
    (VALID | {"tools": []}, "tools"),
    (VALID | {"logit_bias": {}}, "logit_bias"),
    (VALID | {"n": 2}, "n:"),
    (VALID | {"logprobs": True}, "logprobs"),
    (VALID | {"response_format": {"type": "yaml"}}, "response_format"),
    (VALID | {"max_tokens": 0}, "max_tokens"),
    (VALID | {"max_tokens": 1, "max_completion_tokens": 1}, "not both"),
    (VALID | {"temperature": 3}, "temperature"),
    (VALID | {"stop": ["x"] * 9}, "stop"),
    (VALID | {"stop": {"a": 1}}, "stop: "),
    (VALID | {"stop": ["x", 3]}, "stop.1: "),
    (VALID | {"edgewise": {"privcay": "PRIVATE"}}, "privcay"),
    (VALID | {"edgewise": {"privacy": "UNKNOWN"}}, "privacy"),
    (VALID | {"edgewise": {"max_cost_usd": -1}}, "max_cost_usd"),
    (VALID | {"edgewise": {"conversation_id": "x" * 300}}, "conversation_id"),
    (VALID | {"model": "x" * 5000}, "no mode"),
]


def test_what_is_not_honoured_is_refused_by_name(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        for body, words in REFUSED:
            for stream in (False, True):
                status, answer = await site.post(body | {"stream": stream} if isinstance(body, dict) else body)
                assert status == 400, (body, answer)
                assert words in json.loads(answer)["error"]["message"], (body, answer)
                assert len(answer) < 1000
        assert (site.place.edge.calls, await site.place.records()) == (0, ())

    tried(tmp_path, work)


@pytest.mark.parametrize("size", [2 * 1024 * 1024, 10 * 1024 * 1024])
def test_a_huge_body_is_refused_and_not_repeated(tmp_path: Path, size: int) -> None:
    async def work(site: Site) -> None:
        body = VALID | {"messages": [{"role": "user", "content": "x" * size}]}
        with pytest.raises(openai.APIStatusError) as caught:
            await site.client.chat.completions.create(**body)
        assert caught.value.status_code == 413
        assert len(caught.value.response.content) < 1000
        assert site.place.edge.calls == 0

    tried(tmp_path, work)


# --- who may call -----------------------------------------------------------------------------------------------------


def test_without_the_token_nothing_is_read_or_said(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        paths = (("POST", CHAT), ("POST", "/v1/embeddings"), ("GET", "/v1/models"), ("GET", "/metrics"), ("GET", "/no"))
        for method, path in paths:
            for token in ("", "Bearer wrong", TOKEN, f"Bearer {TOKEN}x"):
                # A body is announced and never sent: who waited for it would never answer.
                status, answer = await site.raw(method, path, authorization=token, content_length="1000000")
                assert (status, json.loads(answer)["error"]["code"]) == (401, "Unauthenticated")
                assert TOKEN not in answer
        assert site.place.edge.calls == 0

    tried(tmp_path, work)


def test_a_name_that_was_rebound_to_this_machine_is_refused(tmp_path: Path) -> None:
    strangers = (
        "", "evil.example", "evil.example:8080", "127.0.0.1.evil.example", "169.254.1.1", "[", "[::1", "a b", "\xff",
        "127.0.0.1@evil.example",
    )  # fmt: skip

    async def work(site: Site) -> None:
        for method, path in (("POST", CHAT), ("GET", "/v1/models"), ("GET", "/healthz")):
            for host in strangers:
                assert (await site.raw(method, path, host=host))[0] == 403, host
        assert site.place.edge.calls == 0

    tried(tmp_path, work)


def test_the_names_of_this_machine_are_welcome(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        for host in ("127.0.0.1", "localhost", "localhost:8080", "LOCALHOST", "[::1]:9"):
            assert (await site.raw("GET", "/v1/models", host=host))[0] == 200, host

    tried(tmp_path, work)


def test_pages_of_other_sites_may_not_ask(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        own = f"http://127.0.0.1:{site.port}"
        assert (await site.post(VALID, origin=own))[0] == 200
        for origin in (
            "http://evil.example",
            "null",
            f"https://127.0.0.1:{site.port}",
            "http://127.0.0.1:1",
            "file://",
        ):
            assert (await site.post(VALID, origin=origin))[0] == 403
        assert len(site.place.edge.prompts) == 1

    tried(tmp_path, work)
