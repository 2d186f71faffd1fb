"""Anything at all over HTTP: what the OpenAPI document promises holds, nothing of it is a fault of ours."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from router import http, openapi
from router.openai_types import Extras
from router.page import files
from tests.fuzz.running import running, thorough
from tests.routers import TOKEN
from tests.site import CHAT, Site

# Without `security`, which would have the token left out or changed: tests/contract/test_http_refusals.py does that.
schema = schemathesis.openapi.from_dict({**openapi.document(), "security": []})
CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(tmp_path_factory.mktemp("fuzzed")) as site:
        yield site


@schema.parametrize()
@thorough(40)
def test_what_the_document_promises_holds(case: Case[Any], fuzzed: Site) -> None:
    response = case.call(
        base_url=f"http://127.0.0.1:{fuzzed.port}", headers={"authorization": f"Bearer {TOKEN}"}, timeout=30
    )
    case.validate_response(response, checks=CHECKS)


def test_the_document_has_every_path(fuzzed: Site) -> None:
    app: Any = http.application(fuzzed.place.router, fuzzed.place.edge)
    served = {
        (route.path, method.lower())
        for route in app._app.routes
        if route.path not in files.PATHS
        for method in route.methods - {"HEAD"}
    }
    described = {(path, method) for path, methods in openapi.document()["paths"].items() for method in methods}
    assert served == described


def test_the_document_is_behind_the_token_and_says_what_extra_body_takes(fuzzed: Site) -> None:
    status, answer = asyncio.run(fuzzed.raw("GET", "/openapi.json"))
    told = json.loads(answer)["paths"][CHAT]["post"]["description"]
    assert status == 200
    assert [name for name in Extras.model_fields if f"`{name}`" not in told] == []
    assert asyncio.run(fuzzed.raw("GET", "/openapi.json", authorization=""))[0] == 401
