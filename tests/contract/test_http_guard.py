"""What a page of another site can make a browser send here, and who else is not who he seems: refused by the head."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from pathlib import Path

import pytest

from tests.routers import ASKED, TOKEN
from tests.site import CHAT, Site, tried

BODY = json.dumps({"model": "edge_only", "messages": [{"role": "user", "content": ASKED}]}).encode()


async def sent(site: Site, head: list[str], body: bytes = b"") -> tuple[int, str, str]:
    """The status, the head and the body of an answer to exactly these lines."""
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    try:
        writer.write("\r\n".join([*head, "Connection: close", "", ""]).encode("latin-1") + body)
        async with asyncio.timeout(10):
            answer = (await reader.read()).decode()
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
    start, _, content = answer.partition("\r\n\r\n")
    return int(start.split()[1]), start.lower(), content


def post(site: Site, *more: str, host: str = "", kind: str = "application/json", auth: str = TOKEN) -> list[str]:
    lines = [f"POST {CHAT} HTTP/1.1", f"Host: {host or f'127.0.0.1:{site.port}'}", f"Content-Length: {len(BODY)}"]
    lines += [f"Authorization: Bearer {auth}"] if auth else []
    return [*lines, *([f"Content-Type: {kind}"] if kind else []), *more]


def test_a_request_that_is_as_it_should_be_is_answered(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        for host in ("", f"LocalHost:{site.port}", "127.0.0.1", f"[::1]:{site.port}"):
            status, head, _ = await sent(site, post(site, host=host), BODY)
            assert status == 200, host
            assert "access-control" not in head
        own = f"Origin: http://127.0.0.1:{site.port}"
        for more in ((own, "Sec-Fetch-Site: same-origin"), ("Sec-Fetch-Site: none",)):
            assert (await sent(site, post(site, *more), BODY))[0] == 200
        assert (await sent(site, post(site, kind="Application/JSON; charset=utf-8"), BODY))[0] == 200

    tried(tmp_path, work)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:80", "127.0.0.1.evil.example", "127.0.0.1:80:80", "127.0.0.1:x", "127.0.0.1:-1",
        "evil@127.0.0.1", "127.0.0.1@evil.example", "127.0.0.1#.evil.example", "127.0.0.1/evil", "127.0.0.1?evil",
        "127.0.0.1\\evil.example", "localhost.", "localhost.evil.example", "[::1].evil.example", "[::1", "::1", "[::2]",
        "[::ffff:127.0.0.1]", "0.0.0.0", "0x7f000001", "2130706433", "127.1", "127.0.0.2", "127.0.0.1 evil.example",
        "127.0.0.1, evil.example", "127.0.0.1:123456",
    ],
)  # fmt: skip
def test_a_host_that_is_not_this_machine_is_refused(tmp_path: Path, host: str) -> None:
    async def work(site: Site) -> None:
        status, _, content = await sent(site, post(site, host=host), BODY)
        assert status in {400, 403}
        assert "example" not in content
        assert site.place.edge.calls == 0

    tried(tmp_path, work)


def test_a_host_is_given_once_and_no_other_way_counts(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        own, head = f"Host: 127.0.0.1:{site.port}", [f"Authorization: Bearer {TOKEN}"]
        for lines in (
            ["GET /v1/models HTTP/1.1", *head],
            ["GET /v1/models HTTP/1.0", *head],
            ["GET /v1/models HTTP/1.1", "Host:", *head],
            ["GET /v1/models HTTP/1.1", own, "Host: evil.example", *head],
            ["GET /v1/models HTTP/1.1", "Host: evil.example", own, *head],
            ["GET /v1/models HTTP/1.1", own, own, *head],
            ["GET http://127.0.0.1/v1/models HTTP/1.1", "Host: evil.example", *head],
            ["GET /v1/models HTTP/1.1", "Host: evil.example", "X-Forwarded-Host: 127.0.0.1", *head],
            ["GET /v1/models HTTP/1.1", "Host: evil.example", "Forwarded: host=127.0.0.1", *head],
            ["CONNECT 127.0.0.1:80 HTTP/1.1", own, *head],
        ):
            assert (await sent(site, lines))[0] in {400, 403, 404, 405}, lines
        absolute = ["GET http://evil.example/v1/models HTTP/1.1", own]
        assert (await sent(site, absolute))[0] == 401  # the target's own host lets nobody in

    tried(tmp_path, work)


def test_pages_of_other_sites_are_refused_however_they_ask(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        own = f"Origin: http://127.0.0.1:{site.port}"
        for more in (
            ("Origin: null",),
            ("Origin: http://evil.example",),
            (f"Origin: https://127.0.0.1:{site.port}",),
            ("Origin: http://127.0.0.1:1",),
            ("Origin: http://127.0.0.1",),
            (f"Origin: http://localhost:{site.port}",),
            ("Origin: file://",),
            (own, "Origin: http://evil.example"),
            (own, "Sec-Fetch-Site: cross-site"),
            ("Sec-Fetch-Site: cross-site",),
            ("Sec-Fetch-Site: same-site",),
        ):
            assert (await sent(site, post(site, *more), BODY))[0] == 403, more
        assert site.place.edge.calls == 0

    tried(tmp_path, work)


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/json"]
)
def test_what_a_form_can_send_is_refused(tmp_path: Path, kind: str) -> None:
    async def work(site: Site) -> None:
        assert (await sent(site, post(site, kind=kind), BODY))[0] == 415
        assert site.place.edge.calls == 0

    tried(tmp_path, work)


def test_a_preflight_gets_no_leave(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        for origin in ("http://evil.example", f"http://127.0.0.1:{site.port}"):
            lines = [
                f"OPTIONS {CHAT} HTTP/1.1", f"Host: 127.0.0.1:{site.port}", f"Origin: {origin}",
                "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization,content-type",
            ]  # fmt: skip
            status, head, _ = await sent(site, lines)
            assert status in {401, 403, 405}
            assert "access-control" not in head

    tried(tmp_path, work)


def test_a_websocket_is_refused(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        for path in ("/", "/v1/models", CHAT):
            lines = [
                f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{site.port}", f"Authorization: Bearer {TOKEN}",
                "Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13",
            ]  # fmt: skip
            assert (await sent(site, [*lines, "Connection: Upgrade"]))[0] == 403

    tried(tmp_path, work)


def test_a_token_is_in_its_header_once_or_nowhere(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        for query in (f"token={TOKEN}", f"api_key={TOKEN}", f"authorization=Bearer%20{TOKEN}", f"access_token={TOKEN}"):
            lines = [f"GET /v1/models?{query.replace(' ', '%20')} HTTP/1.1", f"Host: 127.0.0.1:{site.port}"]
            assert (await sent(site, lines))[0] == 401
        for more in (
            (f"Cookie: token={TOKEN}",),
            (f"X-Api-Key: {TOKEN}",),
            (f"Authorization: Basic {TOKEN}",),
            (f"Authorization: bearer {TOKEN}",),
            ("Authorization: Bearer wrong", f"Authorization: Bearer {TOKEN}"),
            (f"Authorization: Bearer {TOKEN}", f"Authorization: Bearer {TOKEN}"),
        ):
            status, _, content = await sent(site, post(site, *more, auth=""), BODY)
            assert status == 401, more
            assert TOKEN not in content
        assert site.place.edge.calls == 0

    tried(tmp_path, work)
