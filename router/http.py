"""The OpenAI-compatible door: any OpenAI client works, with a mode as its `model`.

Answers are held until they are final, because such a client cannot forget a retracted draft; drafts are streamed as
`reasoning_content` when `show_drafts` asks for them. The last chunk has the usage and, under `edgewise`, the decision.
"""

from __future__ import annotations

import base64
import json
import logging
import struct
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.status import HTTP_405_METHOD_NOT_ALLOWED
from starlette.types import ASGIApp

from edgewise.callers import Anybody, Callers
from edgewise.errors import EdgewiseError, Internal
from edgewise.ports import Embedder
from edgewise.types import Citations, Done, Event, Grounding, Question, Retraction, Step, Token
from edgewise.wire import invalid
from router import openapi
from router.apps import NO_APPS, Apps
from router.guard import LOCAL, Guard, reach_of
from router.modes import VARIANTS
from router.openai_types import ChatRequest, EmbeddingRequest
from router.page import api, files
from router.reach import OWNERS_HTTP
from router.service import Router
from router.web import body_of, error_body, failure, refused, unless_gone

log = logging.getLogger(__name__)

_OPEN = frozenset({"/healthz"}) | files.PATHS


def application(
    router: Router,
    embedder: Embedder,
    *,
    callers: Callers = Anybody(),
    apps: Apps = NO_APPS,
    hosts: frozenset[str] = LOCAL,
) -> ASGIApp:
    """The ASGI application, for the callers that pass the guard."""
    door = _Door(router, embedder, apps)
    routes = [
        Route("/v1/chat/completions", door.chat, methods=["POST"]),
        Route("/v1/embeddings", door.embeddings, methods=["POST"]),
        Route("/v1/models", door.models),
        Route("/metrics", door.metrics),
        Route("/healthz", door.health),
        Route("/openapi.json", openapi.serve),
        *files.routes(),
        *api.routes(router),
    ]
    handlers = {EdgewiseError: _refused, HTTPException: _unrouted, Exception: _failed}
    site = Starlette(routes=routes, exception_handlers=handlers)
    site.router.redirect_slashes = False  # it would send callers to wherever their Host header says
    return Guard(site, callers, apps, hosts=hosts, is_open=_OPEN)


class _Door:
    def __init__(self, router: Router, embedder: Embedder, apps: Apps) -> None:
        self._router = router
        self._embedder = embedder
        self._apps = apps

    async def chat(self, request: Request) -> Response:
        body = await body_of(request, ChatRequest)
        try:
            question = body.question(self._router.default_max_tokens)
        except ValidationError as error:
            raise invalid(error) from None
        reach = reach_of(request.scope)
        events = self._router.ask(reach.asked(question), self._apps.origin(reach, OWNERS_HTTP))
        if not body.stream:
            return JSONResponse(await unless_gone(request, _completion(events, body.model, question)))
        chunks = _chunks(events, body, question)
        # The status line waits for the first chunk, so that a failed answer has the status that it deserves.
        first = await unless_gone(request, anext(chunks))
        return StreamingResponse(_server_sent(first, chunks), media_type="text/event-stream")

    async def embeddings(self, request: Request) -> Response:
        body = await body_of(request, EmbeddingRequest)
        vectors = await self._embedder.embed(body.input)
        data = [
            {"object": "embedding", "index": place, "embedding": _encoded(vector, body.encoding_format)}
            for place, vector in enumerate(vectors)
        ]
        return JSONResponse({"object": "list", "model": body.model, "data": data})

    async def models(self, _: Request) -> Response:
        data = [{"id": name, "object": "model", "created": 0, "owned_by": "edgewise"} for name in VARIANTS]
        return JSONResponse({"object": "list", "data": data})

    async def metrics(self, _: Request) -> Response:
        return Response(self._router.metrics.text(), media_type="text/plain; version=0.0.4")

    async def health(self, _: Request) -> Response:
        edge, cloud = await self._router.status()
        return JSONResponse({"edge": edge.ready, "cloud": cloud.ready}, status_code=200 if edge.ready else 503)


async def _completion(events: AsyncGenerator[Event], model: str, question: Question) -> dict[str, Any]:
    text: dict[str, str] = {}
    citations: list[dict[str, Any]] = []
    async with aclosing(events):
        async for event in events:
            match event:
                case Token():
                    text[event.answer_id] = text.get(event.answer_id, "") + event.text
                case Citations():
                    citations = _cited(event)
                case Done():
                    message = {"content": None, **_said(text.get(event.answer_id, ""), event, question)}
                    choice = {"index": 0, "message": message, "finish_reason": event.finish_reason, "logprobs": None}
                    return _envelope(event.record_id, model, "chat.completion") | {
                        "choices": [choice],
                        **_ending(event, citations),
                    }
    raise Internal("the answer ended without a `done`; see the log")


async def _chunks(
    events: AsyncGenerator[Event], body: ChatRequest, question: Question
) -> AsyncGenerator[dict[str, Any]]:
    """Chunks of a streamed answer: drafts as reasoning where wanted, the final answer as content, then the ending."""
    drafts = body.edgewise.show_drafts
    text: dict[str, str] = {}
    citations: list[dict[str, Any]] = []
    envelope = _envelope("pending", body.model, "chat.completion.chunk")
    async with aclosing(events):
        async for event in events:
            match event:
                case Token():
                    text[event.answer_id] = text.get(event.answer_id, "") + event.text
                    if drafts:
                        yield envelope | _delta({"reasoning_content": event.text})
                case Retraction() if drafts:
                    yield envelope | _delta({"reasoning_content": f"\n[retracted: {event.reason}]\n"})
                case Citations():
                    citations = _cited(event)
                case Step():
                    pass
                case Done():
                    yield envelope | _delta(_said(text.get(event.answer_id, ""), event, question))
                    yield envelope | _delta({}, event.finish_reason)
                    yield envelope | {"choices": [], **_ending(event, citations)}


async def _server_sent(first: dict[str, Any], rest: AsyncGenerator[dict[str, Any]]) -> AsyncIterator[str]:
    async with aclosing(rest):
        yield _line(first)
        try:
            async for chunk in rest:
                yield _line(chunk)
        except EdgewiseError as error:
            yield _line(error_body(error.reason, error.message))
    yield "data: [DONE]\n\n"


def _line(content: dict[str, Any]) -> str:
    return f"data: {json.dumps(content)}\n\n"


def _envelope(record_id: str, model: str, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{record_id}", "object": kind, "created": int(time.time()), "model": model}


def _delta(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}


def _said(text: str, done: Done, question: Question) -> dict[str, Any]:
    """The answer in a message. An abstention is no JSON; where JSON was asked for it is what OpenAI calls a refusal."""
    is_refusal = question.response_schema and done.grounding is Grounding.ABSTAINED
    return {"role": "assistant", "refusal" if is_refusal else "content": text}


def _ending(event: Done, citations: list[dict[str, Any]]) -> dict[str, Any]:
    """OpenAI's usage is the sum of both sides; ours, by side, is under `edgewise`."""
    both = event.usage.edge + event.usage.cloud
    usage = {
        "prompt_tokens": both.prompt_tokens,
        "completion_tokens": both.completion_tokens,
        "total_tokens": both.prompt_tokens + both.completion_tokens,
    }
    return {"usage": usage, "edgewise": event.model_dump(mode="json") | {"citations": citations}}


def _cited(event: Citations) -> list[dict[str, Any]]:
    """`spans` are the characters of `text` that the answer stands on."""
    plain = {"source", "title", "origin", "as_of", "expires_at", "stale", "spans"}
    return [passage.model_dump(mode="json", include=plain) | {"text": passage.text.value} for passage in event.passages]


def _encoded(vector: tuple[float, ...], encoding: str) -> list[float] | str:
    if encoding == "float":
        return list(vector)
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, EdgewiseError)
    return refused(error)


async def _unrouted(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    reason = "MethodNotAllowed" if error.status_code == HTTP_405_METHOD_NOT_ALLOWED else "NotFound"
    response = failure(
        error.status_code, reason, "there is no such path or method; /openapi.json has those that there are"
    )
    response.headers.update(error.headers or {})
    return response


async def _failed(_: Request, error: Exception) -> Response:
    log.error("a request failed", exc_info=error)
    return failure(500, "Internal", f"a fault in edgewise ({type(error).__name__}); its log has the details")
