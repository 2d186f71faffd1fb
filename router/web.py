"""What the doors over HTTP share: a body within its limits, a caller who hangs up, and the shape of an error."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from edgewise.errors import Cancelled, EdgewiseError, InvalidInput, TooLarge
from edgewise.wire import invalid

MAX_BODY_BYTES = 4 * 1024 * 1024
BODY_S = 30.0
"""For all of it to arrive."""
BodyT = TypeVar("BodyT", bound=BaseModel)
T = TypeVar("T")


async def body_of(request: Request, body_type: type[BodyT]) -> BodyT:
    """The body of a request as a value; TooLarge before more than the limit is held, InvalidInput for one that is no
    JSON, does not arrive in time, or names a field twice: of two values somebody would heed the other one.
    """
    try:
        async with asyncio.timeout(BODY_S):
            data = await _all_of(request)
    except ClientDisconnect:
        raise Cancelled("the caller went away while sending") from None
    except TimeoutError:
        raise InvalidInput(f"the body did not arrive within {BODY_S:.0f} s; send it at once") from None
    try:
        value = body_type.model_validate_json(data)
        json.loads(data, object_pairs_hook=_once, parse_int=len, parse_float=len)
    except ValidationError as error:
        raise invalid(error) from None
    return value


async def _all_of(request: Request) -> bytes:
    data = bytearray()
    async for piece in request.stream():
        data += piece
        if len(data) > MAX_BODY_BYTES:
            raise TooLarge(f"the body is over {MAX_BODY_BYTES} bytes; ingest long texts instead of sending them")
    return bytes(data)


def _once(pairs: list[tuple[str, object]]) -> None:
    if len({name for name, _ in pairs}) < len(pairs):
        raise InvalidInput("a field of the body is there twice; send it once")


async def unless_gone(request: Request, work: Awaitable[T]) -> T:
    """The result of some work, which is cancelled when the caller hangs up."""
    working = asyncio.ensure_future(work)
    gone = asyncio.create_task(_hang_up(request))
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise Cancelled("the caller went away before the answer was final")
        return working.result()
    finally:
        for task in (working, gone):
            task.cancel()
        await asyncio.wait({working, gone})


async def _hang_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def refused(error: EdgewiseError) -> Response:
    """With the time after which to come back, in whole seconds, where there is one."""
    response = failure(error.http, error.reason, error.message)
    if error.retry_after_s is not None:
        response.headers["retry-after"] = str(math.ceil(error.retry_after_s))
    return response


def failure(status: int, reason: str, message: str) -> Response:
    return JSONResponse(error_body(reason, message), status_code=status)


def error_body(reason: str, message: str) -> dict[str, Any]:
    """The shape of OpenAI's errors."""
    return {"error": {"message": message, "type": reason, "param": None, "code": reason}}
