"""A local server with the search API of SearXNG, and a chat model beside it; it misbehaves when it is told to."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.upstream import Upstream


def result(url: str, content: object, title: object = "A page", **more: object) -> dict[str, object]:
    return {"url": url, "title": title, "content": content, "engine": "any", "score": 1.0, **more}


class SearXNG(Upstream):
    """`behaves` names a fault of the search; `says` is what the model writes, and `model` how it behaves."""

    def __init__(self) -> None:
        super().__init__()
        self.reset()

    def routes(self) -> list[Route]:
        return [*super().routes(), Route("/search", self._search), Route("/elsewhere/search", self._search)]

    def reset(self) -> None:
        super().reset()
        self.results: list[object] = []
        self.unresponsive: list[list[str]] = []
        self.behaves = "ok"
        self.says = ""
        self.asked: list[dict[str, str]] = []
        self.search_keys: list[str] = []

    @property
    def search_url(self) -> str:
        return self.url.removesuffix("/v1")

    def words(self, _: dict[str, Any]) -> tuple[str, ...]:
        return tuple(self.says.splitlines(keepends=True))

    async def _search(self, request: Request) -> Response:
        self.asked.append(dict(request.query_params))
        self.search_keys.append(request.headers.get("authorization", ""))
        if self.behaves in _FAULTS:
            return _FAULTS[self.behaves]()
        if self.behaves == "hang":
            return await self._hang(request)
        page = {"query": "", "number_of_results": 0, "results": self.results, "unresponsive_engines": self.unresponsive}
        return Response(json.dumps(page), media_type="application/json")


async def _huge() -> AsyncIterator[bytes]:
    """64 MiB, if somebody reads them."""
    yield b'{"results": ["'
    for _ in range(1024):
        yield b"x" * 65_536


async def _broken() -> AsyncIterator[bytes]:
    yield b'{"results": ['
    raise ConnectionAbortedError


_FAULTS: Mapping[str, Callable[[], Response]] = {
    "401": lambda: Response(status_code=401),
    "403": lambda: HTMLResponse("<h1>403 Forbidden</h1>", 403),
    "404": lambda: Response(status_code=404),
    "429": lambda: HTMLResponse("<h1>Too Many Requests</h1>", 429, {"Retry-After": "7"}),
    "500": lambda: Response(status_code=500),
    "html": lambda: HTMLResponse("<!doctype html><title>Search</title>"),
    "redirect": lambda: RedirectResponse("/elsewhere/search", 302),
    "not json": lambda: Response(b"\x89PNG\r\n\x1a\n\xff", media_type="image/png"),
    "compressed": lambda: Response(gzip.compress(b'{"results": []}'), headers={"Content-Encoding": "gzip"}),
    "deep": lambda: Response("[" * 200_000, media_type="application/json"),
    "other json": lambda: JSONResponse({"results": "none"}),
    "number": lambda: Response(json.dumps(7), media_type="application/json"),
    "huge": lambda: StreamingResponse(_huge(), media_type="application/json"),
    "broken": lambda: StreamingResponse(_broken(), media_type="application/json"),
}
