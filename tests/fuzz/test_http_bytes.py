"""Requests that no client sends: bodies of every wrong kind, bytes that are no request, and what is said to them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router import openapi, web
from tests.fuzz.running import running, thorough
from tests.routers import ASKED, TOKEN
from tests.site import CHAT, MESSAGES, Site

VALID: dict[str, Any] = {"model": "edge_only", "messages": MESSAGES}
MARK = "Zq7" * 30
JSON_TYPE = "application/json"
POSTS = [path for path, methods in openapi.document()["paths"].items() if "post" in methods]


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(tmp_path_factory.mktemp("fuzzed")) as site:
        yield site


def sent(site: Site, data: bytes, within_s: float = 20) -> bytes:
    """What comes back on a connection of its own until the server closes it."""

    async def main() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        try:
            writer.write(data)
            async with asyncio.timeout(within_s):
                return await reader.read()
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    return asyncio.run(main())


def head(site: Site, *lines: str, method: str = "POST", path: str = CHAT, close: bool = True) -> bytes:
    known = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{site.port}", f"Authorization: Bearer {TOKEN}"]
    known.append(f"Content-Type: {JSON_TYPE}")
    return "\r\n".join([*known, *(["Connection: close"] if close else []), *lines, "", ""]).encode("latin-1")


def posted(site: Site, body: bytes, path: str = CHAT) -> tuple[int, str]:
    return asyncio.run(site.raw("POST", path, body, content_type=JSON_TYPE))


# --- bodies -----------------------------------------------------------------------------------------------------------

NESTED = b'{"model": "edge_only", "messages": ' + b"[" * 60_000
BODIES = [
    b"\xff\xfe{}", b'{"model": "\xc3\x28"}', b"\0" * 1000, b'"', b"{" * 60_000, NESTED, NESTED + b"]" * 60_000 + b"}",
    b'{"a":' * 60_000, b"[" * 199 + b"]" * 199, b"1" * 5000, b"-", b"1e999999", b"NaN", b"\xef\xbb\xbf{}", b"{}" * 1000,
    b'{"model": "edge_only", "messages": [{"role": "user", "content": "x"}], "seed": ' + b"9" * 5000 + b"}",
]  # fmt: skip


@pytest.mark.parametrize("path", POSTS)
def test_a_body_that_is_no_request_is_refused_in_a_line(fuzzed: Site, path: str) -> None:
    for body in BODIES:
        status, answer = posted(fuzzed, body, path)
        assert status == 400, (body[:40], answer)
        assert len(answer) < 1000
        assert json.loads(answer)["error"]["type"] == "InvalidInput"


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize("field", ["temperature", "top_p", "max_cost_usd", "max_latency_s"])
def test_what_is_no_number_is_refused(fuzzed: Site, field: str, number: str) -> None:
    inside = {"edgewise": {field: "?"}} if field.startswith("max_") else {field: "?"}
    status, answer = posted(fuzzed, json.dumps(VALID | inside).replace('"?"', number).encode())
    assert (status, field in answer) == (400, True)


@pytest.mark.parametrize(
    ("of", "twice"),
    [('"privacy": "PRIVATE"', '"privacy": "PRIVATE", "privacy": "PUBLIC"'), ('"n": 1', '"n": 1, "n": 1')],
)
def test_a_field_that_is_there_twice_is_refused(fuzzed: Site, of: str, twice: str) -> None:
    body = json.dumps(VALID | {"n": 1, "edgewise": {"privacy": "PRIVATE"}})
    assert posted(fuzzed, body.encode())[0] == 200
    status, answer = posted(fuzzed, body.replace(of, twice).encode())
    assert (status, "twice" in answer) == (400, True)


def test_a_body_without_end_is_not_waited_for(fuzzed: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "BODY_S", 0.2)
    for announced in ("Content-Length: 1000000", "Transfer-Encoding: chunked"):
        answer = sent(fuzzed, head(fuzzed, announced) + b"5\r\n{    \r\n")
        assert answer.startswith(b"HTTP/1.1 400")
        assert b"did not arrive" in answer


def test_a_body_that_is_too_large_is_not_taken_in(fuzzed: Site) -> None:
    """It is refused, and the connection closed, while most of it has not been sent.

    Who goes on sending may be reset before he has read why.
    """

    async def main() -> tuple[bytes, int]:
        reader, writer = await asyncio.open_connection("127.0.0.1", fuzzed.port)
        answering = asyncio.ensure_future(reader.read(20_000))
        taken, piece = 0, b"10000\r\n" + b"x" * 65_536 + b"\r\n"
        writer.write(head(fuzzed, "Transfer-Encoding: chunked"))
        with suppress(ConnectionError):
            while not answering.done() and taken < 1000:
                writer.write(piece)
                taken += 1
                await writer.drain()
                await asyncio.sleep(0)
        answer = b""
        with suppress(ConnectionError):
            answer = await answering
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        return answer, taken * 65_536

    answer, taken = asyncio.run(main())
    assert answer.startswith(b"HTTP/1.1 413") or not answer
    assert len(answer) < 1000
    assert taken < 30_000_000


# --- what is said -----------------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.just(MARK) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = [
    "model",
    "messages",
    "stream",
    "max_tokens",
    "temperature",
    "stop",
    "response_format",
    "edgewise",
    "user",
    "n",
]
FILLED: list[Any] = [
    {"model": MARK},
    {"model": "edge_only+" + MARK},
    {"messages": [{"role": MARK, "content": "x"}]},
    {"messages": [{"role": "user", "content": MARK}, {"role": "assistant", "content": MARK}]},
    {"messages": [{"role": "user", "content": [{"type": MARK, "text": MARK}]}]},
    {"response_format": {"type": MARK}},
    {"response_format": {"type": "json_schema", "json_schema": {"name": MARK, "schema": {"type": MARK, "$ref": MARK}}}},
    {"edgewise": {"privacy": MARK, "collections": [MARK], "conversation_id": MARK * 3}},
    {"seed": MARK, "temperature": MARK, "n": MARK},
    {MARK: MARK},
]


@pytest.mark.parametrize("filled", FILLED)
def test_no_error_repeats_what_was_sent(fuzzed: Site, filled: dict[str, Any]) -> None:
    check_no_echo(fuzzed, VALID | filled)


@given(st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=6))
@thorough(100)
def test_no_error_repeats_anything(fuzzed: Site, changed: dict[str, Any]) -> None:
    check_no_echo(fuzzed, VALID | changed)


def check_no_echo(site: Site, body: dict[str, Any]) -> None:
    """Of a name that it does not know (a field, a mode) an error may repeat the first 60 letters."""
    status, answer = posted(site, json.dumps(body).encode())
    assert status in {200, 400}, answer
    if status == 400:
        assert MARK[:61] not in answer
        assert ASKED not in answer
        assert len(answer) < 1000


# --- requests ---------------------------------------------------------------------------------------------------------


def test_another_method_or_path_is_refused_in_json(fuzzed: Site) -> None:
    for path, methods in openapi.document()["paths"].items():
        for method in ("DELETE", "PUT", "PATCH", "OPTIONS", *({"GET", "POST"} - {*map(str.upper, methods)})):
            status, answer = asyncio.run(fuzzed.raw(method, path, content_type=JSON_TYPE))
            assert (status, json.loads(answer)["error"]["code"]) == (405, "MethodNotAllowed")
    for path in ("/v1", "/v1/chat/completions/", "//v1/models", "/%2e%2e/token", "/..%2ftoken", f"/{MARK}"):
        status, answer = asyncio.run(fuzzed.raw("GET", path))
        assert status == 404
        assert MARK not in answer


SMUGGLED = b"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Length: 4", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Content-Length: 4"),
        ("Content-Length: 4", "Content-Length: 5"),
        ("Content-Length: -1",),
        ("Content-Length: 0x10",),
        ("Content-Length: 99999999999999999999999",),
        ("Transfer-Encoding: identity, xchunked",),
        ("Transfer-Encoding : chunked",),
        ("Transfer-Encoding: chunked\n",),
        (" folded: value",),
        ("No colon",),
        ("X: a\0b",),
    ],
)
def test_no_request_hides_in_another(fuzzed: Site, lines: tuple[str, ...]) -> None:
    """A request whose length can be read in two ways gets one answer, a refusal, and the connection is closed."""
    answer = sent(fuzzed, head(fuzzed, *lines, close=False) + b"0\r\n\r\n" + SMUGGLED)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.startswith(b"HTTP/1.1 400")


def test_bytes_that_are_no_request_are_answered_or_dropped(fuzzed: Site) -> None:
    for data in (
        b"\x16\x03\x01" + bytes(100),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\r\n" * 10 + b"nonsense\r\n\r\n",
        head(fuzzed, method="BREW"),
    ):
        answer = sent(fuzzed, data)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), answer
    long = head(fuzzed, f"X: {'y' * 200_000}", method="GET", path="/v1/models")
    assert sent(fuzzed, long).startswith((b"HTTP/1.1 4", b"HTTP/1.1 200"))
    assert posted(fuzzed, json.dumps(VALID).encode())[0] == 200
