"""What the HTTP API takes and gives, as an OpenAPI document made of the types that check the requests.

The page's own endpoints are in it too, because they are as reachable as the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from pydantic.json_schema import JsonSchemaMode, models_json_schema
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from edgewise.errors import LEAVES
from edgewise.types import Done, FinishReason, Grade
from router.modes import VARIANTS
from router.openai_types import ChatRequest, EmbeddingRequest
from router.page import api

_REF = "#/components/schemas/{model}"
_EXTRAS = (
    "What OpenAI's API has no field for is under `edgewise`; OpenAI's clients take it as "
    '`extra_body={"edgewise": {...}}`. '
    "`privacy`: PRIVATE keeps the question on the device, PUBLIC lets it go. `max_cost_usd`, `max_latency_s`: limits. "
    "`conversation_id`: the earlier turns are remembered here, so send no history. `request_id`: the same one again "
    "gives the same answer again. `collections`: where to look things up, none being everywhere. `show_drafts`: in a "
    "stream, drafts that may still be retracted come as `reasoning_content`. What is not honoured is refused by name."
)
_STREAM = "Server-sent events; where they end in an error, the last one has an `error`."


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", title=None)


class ErrorDetail(_Answer):
    """`type` and `code` are the same name; `message` says what to do, and never repeats a text that was sent."""

    message: str
    type: str
    param: None
    code: str


class Error(_Answer):
    error: ErrorDetail


class ChatMessageGiven(_Answer):
    role: Literal["assistant"]
    content: str | None
    refusal: str | None = None


class ChatChoice(_Answer):
    index: Literal[0]
    message: ChatMessageGiven
    finish_reason: FinishReason
    logprobs: None


class ChatUsage(_Answer):
    """Of both sides together."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class CitedPassage(_Answer):
    source: str
    title: str
    origin: Literal["edge", "cloud"]
    as_of: str
    expires_at: str
    stale: bool
    spans: tuple[dict[str, int], ...]
    text: str


class Decision(Done):
    """Who answered, how, for what, and from which passages."""

    citations: tuple[CitedPassage, ...]


class ChatCompletion(_Answer):
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: tuple[ChatChoice, ...]
    usage: ChatUsage
    edgewise: Decision


class EmbeddingGiven(_Answer):
    """`embedding` is text where `base64` was asked for."""

    object: Literal["embedding"]
    index: int
    embedding: tuple[float, ...] | str


class EmbeddingList(_Answer):
    object: Literal["list"]
    model: str
    data: tuple[EmbeddingGiven, ...]


class ModelGiven(_Answer):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(_Answer):
    object: Literal["list"]
    data: tuple[ModelGiven, ...]


class Health(_Answer):
    edge: bool
    cloud: bool


@dataclass(frozen=True, slots=True)
class _Operation:
    """`gives` by its media type: None where that is text."""

    summary: str
    gives: dict[str, type[BaseModel] | None]
    takes: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    description: str = ""
    open: bool = False


def _json(given: type[BaseModel]) -> dict[str, type[BaseModel] | None]:
    return {"application/json": given}


_OPERATIONS: dict[str, dict[str, _Operation]] = {
    "/v1/chat/completions": {
        "post": _Operation(
            "Ask: `model` is a mode, or `default`",
            {**_json(ChatCompletion), "text/event-stream": None},
            takes=ChatRequest,
            description=f"{_EXTRAS} {_STREAM}",
        )
    },
    "/v1/embeddings": {"post": _Operation("Vectors of texts", _json(EmbeddingList), takes=EmbeddingRequest)},
    "/v1/models": {"get": _Operation("The modes that can be asked", _json(ModelList))},
    "/healthz": {"get": _Operation("Whether the sides can answer; 503 if the edge cannot", _json(Health), open=True)},
    "/metrics": {"get": _Operation("Metrics in Prometheus' format", {"text/plain": None})},
    "/openapi.json": {"get": _Operation("This document", {"application/json": None})},
    "/page/ask": {
        "post": _Operation(
            "Ask, and hear of every event", {"text/event-stream": None}, takes=api.Ask, description=_STREAM
        )
    },
    "/page/overview": {"get": _Operation("How things are", _json(api.Overview))},
    "/page/records": {"get": _Operation("Records, newest first", _json(api.Lines), query=api.Wanted)},
    "/page/records/{record_id}": {"get": _Operation("A record and its calls", _json(api.Whole), query=api.WantedCalls)},
    "/page/records/{record_id}/grade": {"post": _Operation("Grade an answer", _json(Grade), takes=api.Grading)},
}


async def serve(_: Request) -> Response:
    return JSONResponse(document())


@cache
def document() -> dict[str, Any]:
    takes = [one.takes for methods in _OPERATIONS.values() for one in methods.values() if one.takes]
    gives: list[type[BaseModel]] = [Error]
    gives += [
        kind for methods in _OPERATIONS.values() for one in methods.values() for kind in one.gives.values() if kind
    ]
    checked: list[tuple[type[BaseModel], JsonSchemaMode]] = [(one, "validation") for one in takes]
    checked += [(one, "serialization") for one in gives]
    refs, schemas = models_json_schema(checked, ref_template=_REF)
    schemas["$defs"]["ChatRequest"]["properties"]["model"]["enum"] = ["", "default", *VARIANTS]
    schemas["$defs"]["Ask"]["properties"]["mode"]["enum"] = ["", *VARIANTS]
    return {
        "openapi": "3.1.0",
        "info": {"title": "Edgewise", "version": metadata.version("edgewise")},
        "security": [{"token": []}],
        "paths": {
            path: {method: _described(path, one, refs) for method, one in methods.items()}
            for path, methods in _OPERATIONS.items()
        },
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "What is in DATA_DIR/token."}
            },
        },
    }


def _described(path: str, one: _Operation, refs: Any) -> dict[str, Any]:
    given = {kind: {"schema": refs[value, "serialization"] if value else {}} for kind, value in one.gives.items()}
    failed = {
        "description": "What went wrong",
        "content": {"application/json": {"schema": refs[Error, "serialization"]}},
    }
    statuses = sorted({error.http for error in LEAVES.values()} | {403, 405, 415})
    answers = {"200": {"description": one.summary, "content": given}} | {str(status): failed for status in statuses}
    if one.open:
        answers["503"] = answers["200"]
    described: dict[str, Any] = {"summary": one.summary, "responses": answers, "parameters": _parameters(path, one)}
    if one.description:
        described["description"] = one.description
    if one.open:
        described["security"] = []
    if one.takes:
        content = {"application/json": {"schema": refs[one.takes, "validation"]}}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _parameters(path: str, one: _Operation) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if "{record_id}" in path:
        found.append(
            {"name": "record_id", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        )
    if one.query:
        fields = one.query.model_json_schema()["properties"]
        found += [{"name": name, "in": "query", "schema": schema} for name, schema in fields.items()]
    return found
