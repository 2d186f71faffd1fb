"""Who may use the HTTP door, decided from the head of a request, before a byte of its body is read.

A page of another site can make a browser send requests here. It cannot choose their Host (so a name that was rebound to
this machine is seen), nor send `application/json` or an Authorization header without being asked first; and to that
question (a CORS preflight) nobody here says yes.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from edgewise.callers import Callers
from edgewise.errors import EdgewiseError, Forbidden, InvalidInput, Unauthenticated
from router.apps import Apps
from router.reach import Reach
from router.web import failure, refused

LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})
FOR_APPS = frozenset({"/v1/chat/completions", "/v1/embeddings", "/v1/models", "/openapi.json"})
"""What apps may use; all else that is not open is the owner's."""

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\s:@/?#\\\[\]]+)(?::[0-9]{1,5})?")
_REACH = "edgewise.reach"


class Guard:
    """`hosts` are the names under which this daemon may be asked, `is_open` the paths that need no token."""

    def __init__(
        self, app: ASGIApp, callers: Callers, apps: Apps, *, hosts: Collection[str], is_open: Collection[str]
    ) -> None:
        self._app = app
        self._callers = callers
        self._apps = apps
        self._hosts = hosts
        self._open = is_open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        refusal = await self._refusal(scope) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send)

    async def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if reason := self._stranger(headers, is_open=scope["path"] in self._open):
            return failure(403, Forbidden.__name__, reason)
        if scope["path"] in self._open:
            return None
        try:
            scope[_REACH] = reach = await self._apps.reach(self._callers.identify(_authorization(headers)))
            if scope["path"] not in FOR_APPS:
                reach.owner_only("this")
        except Unauthenticated:
            message = "send your token as `Authorization: Bearer TOKEN` (an OpenAI client's api_key)"
            return failure(401, Unauthenticated.__name__, message)
        except EdgewiseError as error:
            return refused(error)
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if scope["method"] == "POST" and kind != "application/json":
            return failure(415, InvalidInput.__name__, "send the body as JSON, with `Content-Type: application/json`")
        return None

    def _stranger(self, headers: Headers, *, is_open: bool) -> str:
        """Why a request seems to come from somewhere else; empty for one that does not."""
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or _name(hosts[0]) not in self._hosts:
            return "this daemon answers only requests to its own address, such as 127.0.0.1"
        if any(origin.lower() != f"http://{hosts[0].lower()}" for origin in origins):
            return "pages of other sites may not use this daemon"
        if not is_open and headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
            return "pages of other sites may not use this daemon"
        return "this daemon speaks no WebSocket" if "websocket" in headers.get("upgrade", "").lower() else ""


def reach_of(scope: Scope) -> Reach:
    """Of the caller of a request that has passed the guard."""
    reach: Reach = scope[_REACH]
    return reach


def _authorization(headers: Headers) -> str:
    """One of several would be anybody's guess."""
    given = headers.getlist("authorization")
    return given[0] if len(given) == 1 else ""


def _name(host: str) -> str | None:
    """The name in a Host header, without the port."""
    found = _HOST.fullmatch(host.lower())
    return found[1].strip("[]") if found else None
