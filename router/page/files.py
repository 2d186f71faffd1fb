"""The page's files, served as they are: they hold no data, so they need no token."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_FILES = (
    "index.html", "page.css", "icon.svg", "theme.js", "main.js", "api.js", "dom.js", "format.js", "ask.js", "answer.js",
    "passages.js", "overview.js", "records.js", "waterfall.js", "grading.js", "charts.js",
    "vendor/uplot/uPlot.iife.min.js", "vendor/uplot/uPlot.min.css",
)  # fmt: skip
PATHS = frozenset({"/", *(f"/{name}" for name in _FILES if name != "index.html")})

# Nothing of another origin, nothing inline, no text that becomes markup (uPlot needs none of it either).
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; font-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-cache",
}


def routes() -> list[Route]:
    return [Route(path, _serving(path.lstrip("/") or "index.html")) for path in sorted(PATHS)]


def _serving(name: str) -> Callable[[Request], Awaitable[Response]]:
    content = files(__package__).joinpath(name).read_bytes()
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {**_HEADERS, "etag": tag}

    async def serve(request: Request) -> Response:
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=_TYPES[name.rpartition(".")[2]], headers=headers)

    return serve
