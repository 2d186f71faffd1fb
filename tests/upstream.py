"""A real server that speaks OpenAI's chat completions on a loopback port, and misbehaves on request.

The model that a request asks for says how: `settings(model="hang")` gets a server that hangs. With `instead`, another
behaviour takes a model's place while a test runs: a server that fails, and comes back.
"""

from __future__ import annotations

import asyncio
import json
import math
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from email.utils import formatdate
from typing import Any, Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

KEY = "sk-test-0123456789"
WORDS = ("Hamlet", " was", " written", " by", " Shakespeare", ".")
PROMPT_TOKENS = 21


class Upstream:
    """`with Upstream() as upstream:` serves at `upstream.url`.

    `arrived` is set by a request, `released` when its connection has been given up or its answer sent.
    """

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.instead: dict[str, str] = {}
        self.arrived = threading.Event()
        self.released = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        app = Starlette(routes=self.routes())
        config = uvicorn.Config(app, log_config=None, ws="none", lifespan="off", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],))

    def routes(self) -> list[Route]:
        return [Route("/v1/chat/completions", self._complete, methods=["POST"])]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    def reset(self) -> None:
        self.requests.clear()
        self.keys.clear()
        self.instead.clear()
        self.arrived.clear()
        self.released.clear()

    async def _complete(self, request: Request) -> Response:
        body = await request.json()
        self.requests.append(body)
        self.keys.append(request.headers.get("authorization", ""))
        self.arrived.set()
        model = self.behaviour(body)
        if model in _REFUSALS:
            return _REFUSALS[model]()
        if model in _ENDLESS:
            return StreamingResponse(self._endless(model), _ENDLESS[model][0], media_type="text/event-stream")
        if model == "hang":
            return await self._hang(request)
        if model.startswith("flaky-"):  # fails as often as it says, then answers
            if len(self.requests) <= int(model.removeprefix("flaky-")):
                return _error(503, "warming up") if len(self.requests) % 2 else _error(429, "wait", retry_after="0.1")
            model = "ok"
        return StreamingResponse(self._stream(model, body), media_type="text/event-stream")

    def behaviour(self, body: dict[str, Any]) -> str:
        return self.instead.get(str(body["model"]), str(body["model"]))

    def words(self, _: dict[str, Any]) -> tuple[str, ...]:
        return WORDS

    async def _hang(self, request: Request) -> Response:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        self.released.set()
        return Response()

    async def _endless(self, model: str) -> AsyncIterator[str]:
        _, part, pause_s = _ENDLESS[model]
        try:
            while True:
                yield part
                await asyncio.sleep(pause_s)
        finally:
            self.released.set()

    async def _stream(self, model: str, body: dict[str, Any]) -> AsyncIterator[str]:
        words = self.words(body)
        try:
            if model == "disconnect-first":
                yield ": connected\n\n"
                raise ConnectionAbortedError
            for number, word in enumerate(words):
                yield _event(choices=[{"index": 0, "delta": {"content": word}, "logprobs": _logprobs(body, model)}])
                if number == 1 and model in _INTERRUPTIONS:
                    yield _INTERRUPTIONS[model]
                    raise ConnectionAbortedError
                if number == 1 and model == "short":
                    return
                if number == 1 and model in {"hang-midway", "keep-alive"}:
                    while True:
                        await asyncio.sleep(0.02 if model == "keep-alive" else 3600)
                        yield ": keep-alive\n\n"
            reason = {"filter": "content_filter", "length": "length"}.get(model, "stop")
            yield _event(choices=[{"index": 0, "delta": {}, "finish_reason": reason}])
            if body.get("stream_options") and model != "no-usage":
                true = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": len(words)}
                yield _event(choices=[], usage=USAGES.get(model, true))
            yield "data: [DONE]\n\n"
        finally:
            self.released.set()


def _event(**fields: Any) -> str:
    chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", **fields}
    return f"data: {json.dumps(chunk)}\n\n"


def _logprobs(body: dict[str, Any], model: str) -> dict[str, Any] | None:
    if not body.get("logprobs") or model == "no-logprobs":
        return None
    likely = -math.inf if model == "impossible" else -0.25
    return {"content": [{"token": "t", "logprob": likely, "top_logprobs": []}]}


def _error(status: int, message: str, code: str = "", **headers: str) -> Response:
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return JSONResponse({"error": {"message": message, "code": code}}, status, headers)


_REFUSALS: Mapping[str, Callable[[], Response]] = {
    "401": lambda: _error(401, f"Incorrect API key provided: {KEY}"),
    "404": lambda: _error(404, "no such model"),
    "400": lambda: _error(400, "temperature must be 1"),
    "context": lambda: _error(400, "too many tokens", code="context_length_exceeded"),
    "429": lambda: _error(429, "slow down", retry_after="7"),
    "429-date": lambda: _error(429, "slow down", retry_after=formatdate(time.time() + 60, usegmt=True)),
    "429-odd": lambda: _error(429, "slow down", retry_after="inf"),
    "quota": lambda: _error(429, "pay first", code="insufficient_quota"),
    "429-bare": lambda: _error(429, "slow down"),
    "503-wait": lambda: _error(503, "maintenance", retry_after="30"),
    "500-broken": lambda: Response("{", 500, {"content-length": "100", "content-encoding": "gzip"}),
    "500": lambda: _error(500, "oops"),
    "503": lambda: _error(503, "Loading model"),
    "html": lambda: HTMLResponse("<html>log in to the hotel's network</html>"),
    "redirect": lambda: RedirectResponse("http://127.0.0.1:9/elsewhere", 307),
    "not-json": lambda: Response("data: {{{\n\n", media_type="text/event-stream"),
    "not-utf8": lambda: Response(b'data: {"choices": "\xff"}\n\n', media_type="text/event-stream"),
    "other-json": lambda: Response('data: {"choices": 7}\n\n', media_type="text/event-stream"),
    "null": lambda: Response("data: null\n\n", media_type="text/event-stream"),
}
# What a server may say that it counted, of `WORDS` and a short question: none of it is true.
USAGES: Mapping[str, object] = {
    "usage-negative": {"prompt_tokens": -5, "completion_tokens": 6},
    "usage-none": {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": 0},
    "usage-absurd": {"prompt_tokens": 10**6, "completion_tokens": 6},
    "usage-beyond": {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": 10**6},
    "usage-huge": {"prompt_tokens": 10**30, "completion_tokens": 6},
    "usage-words": {"prompt_tokens": "many", "completion_tokens": "more"},
    "usage-list": [1, 2, 3],
}
_INTERRUPTIONS: Mapping[str, str] = {
    "disconnect": "",
    "error-midway": 'data: {"error": {"message": "the engine died"}}\n\n',
}
# Status, what comes again and again, and the seconds in between.
_ENDLESS: Mapping[str, tuple[int, str, float]] = {
    "endless": (200, _event(choices=[{"index": 0, "delta": {"content": " more"}}]), 0),
    "endless-silence": (200, _event(choices=[{"index": 0, "delta": {}}]), 0.001),
    "endless-line": (200, "data: " + "x" * 2**16, 0),
    "endless-refusal": (500, "x" * 2**16, 0),
    "drip": (200, " ", 0.02),
    "drip-pieces": (200, _event(choices=[{"index": 0, "delta": {"content": "x"}}]), 0.05),
}
