"""A local OpenAI-compatible server with the habits of a known one, that misbehaves when it is told to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.upstream import Upstream

LLAMA_SERVER: Mapping[str, Any] = {
    "/v1/models": {"data": [{"id": "/models/small.gguf", "owned_by": "llamacpp", "meta": {"n_params": 1e6}}]},
    "/props": {"default_generation_settings": {"n_ctx": 512}},
    "/tokenize": {"tokens": [5, 6]},
}
OLLAMA: Mapping[str, Any] = {
    "/v1/models": {"data": [{"id": "tiny:latest", "owned_by": "library"}, {"id": "far:20b-cloud"}, {"id": "copied"}]},
    "/api/show": {"details": {}},
    "/api/ps": {"models": [{"name": "tiny:latest", "context_length": 4096}]},
}
LM_STUDIO: Mapping[str, Any] = {
    "/v1/models": {"data": [{"id": "tiny"}]},
    "/api/v0/models": {"data": [{"id": "tiny", "loaded_context_length": 2048}]},
}
PLAIN: Mapping[str, Any] = {"/v1/models": {"data": [{"id": "tiny"}]}}


class LocalServer(Upstream):
    """`pages` are what it answers apart from chats; `constrains` if it heeds schemas and grammars.

    `behaves` is a model of `Upstream`, whose faults it then shows whatever model is asked for.
    """

    def __init__(self, pages: Mapping[str, Any] = PLAIN, *, constrains: bool = False) -> None:
        self.pages = dict(pages)
        self.constrains = constrains
        self.behaves = "ok"
        super().__init__()

    def routes(self) -> list[Route]:
        return [*super().routes(), Route("/{path:path}", self._page, methods=["GET", "POST"])]

    async def _page(self, request: Request) -> Response:
        page = self.pages.get(request.url.path)
        return JSONResponse({"error": {"message": "File Not Found"}} if page is None else page, 200 if page else 404)

    def behaviour(self, _: dict[str, Any]) -> str:
        return self.behaves

    def words(self, body: dict[str, Any]) -> tuple[str, ...]:
        if self.constrains and "response_format" in body:
            return ('{"n":', " 7}")
        if self.constrains and "grammar" in body:
            return ("7",)
        return super().words(body)
