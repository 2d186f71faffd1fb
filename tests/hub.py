"""A hub on loopback that serves one file, as slowly, brokenly and changeably as a test wants."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Hub:
    """`storage` is where the content is, on another origin than `address`, which redirects to it."""

    content: bytes
    address: str = ""
    storage: str = ""
    etag: str | None = '"one"'
    statuses: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    """Answered first, one a request."""
    drops: list[int] = field(default_factory=list)
    """How many bytes an answer sends before its connection is closed, one a request."""
    ranges: bool = True
    heeds_if_range: bool = True
    length: int | None = None
    """What Content-Length claims instead of the truth; negative: no header."""
    linked: dict[str, str] | None = None
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """Paths and headers of all requests; those to the storage begin with `/storage`."""

    @property
    def ranges_asked(self) -> list[str | None]:
        return [headers.get("range") for path, headers in self.seen if path.startswith("/storage")]

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


@contextmanager
def running(content: bytes) -> Iterator[Hub]:
    hub = Hub(content)

    class Handler(_Handler):
        served = hub

    servers = [ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(2)]
    hub.address, hub.storage = (f"http://127.0.0.1:{server.server_address[1]}" for server in servers)
    threads = [threading.Thread(target=server.serve_forever, args=(0.01,)) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield hub
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()


class _Handler(BaseHTTPRequestHandler):
    served: Hub

    def do_GET(self) -> None:
        hub = self.served
        hub.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        if hub.statuses:
            status, headers = hub.statuses.pop(0)
            self._head(status, {"Content-Length": "0", **headers})
        elif not self.path.startswith("/storage"):
            linked = {"X-Linked-ETag": f'"{hub.sha256}"', "X-Linked-Size": str(len(hub.content))}
            linked = linked if hub.linked is None else hub.linked
            location = f"{hub.storage}/storage"
            self._head(302, {"Location": location, "Content-Length": "0", "X-Repo-Commit": "c0ffee", **linked})
        else:
            self._file(hub)

    def _file(self, hub: Hub) -> None:
        start, status, headers = 0, 200, {}
        wanted = self.headers.get("Range")
        if wanted and hub.ranges and (not hub.heeds_if_range or self.headers.get("If-Range") == hub.etag):
            start, status = int(wanted.removeprefix("bytes=").removesuffix("-")), 206
            headers["Content-Range"] = f"bytes {start}-{len(hub.content) - 1}/{len(hub.content)}"
            if start >= len(hub.content):
                self._head(416, {"Content-Range": f"bytes */{len(hub.content)}", "Content-Length": "0"})
                return
        if hub.etag:
            headers["ETag"] = hub.etag
        body = hub.content[start:]
        length = len(body) if hub.length is None else hub.length
        if length >= 0:
            headers["Content-Length"] = str(length)
        self._head(status, headers)
        self.wfile.write(body[: hub.drops.pop(0)] if hub.drops else body)

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that the library gives it
        """Say nothing."""
