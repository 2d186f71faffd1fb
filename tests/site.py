"""The router's HTTP door on a real server, with OpenAI's own client in front of it."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import uvicorn

from edgewise.callers import owner_of
from router import http
from router.config import RouterSettings
from tests.routers import ASKED, TOKEN, Place, a_cloud, an_edge, place
from tests.sides import FakeCloud, FakeEdge

CHAT = "/v1/chat/completions"
MESSAGES: Any = [{"role": "user", "content": ASKED}]


@dataclass(frozen=True, slots=True)
class Site:
    """A running server, the router behind it, and OpenAI's client in front."""

    place: Place
    port: int
    client: openai.AsyncOpenAI
    server: uvicorn.Server

    def vanish(self) -> None:
        """As if its process were killed: nobody listens any more, and every connection breaks."""
        self.server.should_exit = self.server.force_exit = True
        for listening in self.server.servers:
            listening.close()
        for connection in list(self.server.server_state.connections):
            connection.transport.abort()

    async def stream(self, model: str, **given: Any) -> list[Any]:
        async with await self.client.chat.completions.create(
            model=model, messages=MESSAGES, stream=True, **given
        ) as chunks:
            return [chunk async for chunk in chunks]

    async def raw(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, str]:
        """The status and body of a request that is exactly this."""
        head = {
            "host": f"127.0.0.1:{self.port}",
            "authorization": f"Bearer {TOKEN}",
            "connection": "close",
            "content-length": str(len(body)),
            "content-type": "application/json",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items() if value)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + body)
            answer = (await reader.read()).decode()
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
        start, _, content = answer.partition("\r\n\r\n")
        return int(start.split()[1]), content

    async def post(self, body: object, **headers: str) -> tuple[int, str]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.raw("POST", CHAT, data, **headers)


@asynccontextmanager
async def site(
    directory: Path,
    edge: FakeEdge,
    cloud: FakeCloud,
    settings: RouterSettings,
    token: str = TOKEN,
    *,
    within_s: float = 20,
) -> AsyncIterator[Site]:
    async with place(directory, edge, cloud, settings, records_wait=True, within_s=within_s) as opened:
        app = http.application(opened.router, edge, callers=owner_of(token))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1))
        with socket.create_server(("127.0.0.1", 0)) as listener:
            running = asyncio.create_task(server.serve(sockets=[listener]))
            port = listener.getsockname()[1]
            client = openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=TOKEN, max_retries=0)
            try:
                async with client:
                    yield Site(opened, port, client, server)
            finally:
                server.should_exit = server.force_exit = True
                await running


def tried(
    directory: Path,
    work: Callable[[Site], Awaitable[None]],
    edge: FakeEdge | None = None,
    cloud: FakeCloud | None = None,
    settings: RouterSettings = RouterSettings(),
) -> None:
    async def main() -> None:
        async with site(directory, edge or an_edge(), cloud or a_cloud(), settings) as opened:
            await work(opened)

    asyncio.run(main())
