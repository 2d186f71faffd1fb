"""A daemon's doors with two apps and the owner: gRPC on TCP and on a Unix socket, and HTTP, on real parts."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import uvicorn
from starlette.types import ASGIApp

from edge.client import EdgeClient
from edge.config import EdgeSettings
from edge.node import EdgeNode
from edge.server import service as edge_service
from edgewise.accounts import Account
from edgewise.accounts.accounts import Accounts
from edgewise.callers import Callers, Either, owner_of
from edgewise.client import Client
from edgewise.rpc import Service, start_server
from router import http, server
from router.apps import FILE, Apps
from router.config import RouterSettings
from router.edge_door import guarded
from router.forgetting import Forgetting
from router.owner import AtHome
from router.service import edge_answers_for_itself
from tests.marked import recording
from tests.routers import TOKEN, Place, a_cloud, an_edge, place
from tests.sides import FakeCloud, FakeEdge


@dataclass(frozen=True, slots=True)
class World:
    """`tokens` are those of the apps, by name; `address` is the TCP one."""

    place: Place
    node: EdgeNode
    accounts: Accounts
    tokens: dict[str, str]
    address: str
    socket: str
    app: ASGIApp
    port: int
    services: tuple[Service, ...]

    def client(self, app: str = "", *, local: bool = False) -> Client:
        return Client(self.socket if local else self.address, self.token(app) if app or not local else "")

    def token(self, app: str) -> str:
        return self.tokens[app] if app else TOKEN

    def site(self, app: str = "", headers: Mapping[str, str] | None = None) -> httpx2.AsyncClient:
        head = {"authorization": f"Bearer {self.token(app)}", **(headers or {})}
        return httpx2.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", headers=head)


@asynccontextmanager
async def world(
    directory: Path,
    edge: FakeEdge | None = None,
    cloud: FakeCloud | None = None,
    settings: RouterSettings = RouterSettings(),
    **accounts: Any,
) -> AsyncIterator[World]:
    """The apps `camera` and `lamp`, with what their accounts are given more; `lamp` may use `notes` and `lamp`."""
    async with AsyncExitStack() as exits:
        await exits.enter_async_context(asyncio.timeout(30))
        sockets = exits.enter_context(tempfile.TemporaryDirectory(prefix="edgewise-"))
        node = await EdgeNode.open(
            EdgeSettings(engine="replay", replay_file=recording(directory), store="sqlite"), directory
        )
        exits.push_async_callback(node.close)
        inner, inside = await start_server([edge_service(node)], f"unix:{sockets}/edge")
        exits.push_async_callback(inner.stop, None)
        behind = EdgeClient(inside)
        exits.push_async_callback(behind.close)
        opened = await exits.enter_async_context(place(directory, edge or an_edge(), cloud or a_cloud(), settings))
        known = await Accounts.open(directory / FILE)
        exits.push_async_callback(known.close)
        allowed = {"camera": None, "lamp": frozenset({"lamp", "notes"})}
        tokens = {
            name: await known.add(Account(name=name, allowed=may, **accounts)) for name, may in allowed.items()
        }  # fmt: skip
        apps, router, ready = Apps(known), opened.router, edge_answers_for_itself
        forgetting = Forgetting(opened.log, node, router.floor, router.settled, ready, apps, directory)
        callers = Either(owner_of(TOKEN), apps)

        def services(callers: Callers) -> tuple[Service, ...]:
            who = server.who_calls(apps, callers)
            return server.service(router, who, apps, forgetting), guarded(behind.relay(ready), who, callers)

        remote, address = await start_server(services(callers), "127.0.0.1:0", callers=callers)
        exits.push_async_callback(remote.stop, None)
        home = AtHome(callers)
        local, at = await start_server(services(home), f"unix:{sockets}/own", callers=home)
        exits.push_async_callback(local.stop, None)
        app = http.application(router, opened.edge, callers=callers, apps=apps)
        port = await exits.enter_async_context(served(app))
        yield World(opened, node, known, tokens, address, at, app, port, services(callers))


@asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[int]:
    """The port of a running HTTP server."""
    running = uvicorn.Server(
        uvicorn.Config(app, log_config=None, lifespan="off", ws="none", timeout_graceful_shutdown=1)
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        task = asyncio.create_task(running.serve(sockets=[listener]))
        try:
            yield listener.getsockname()[1]
        finally:
            running.should_exit = running.force_exit = True
            with suppress(asyncio.CancelledError):
                await task


def tried(directory: Path, work: Callable[[World], Awaitable[None]], *given: Any, **accounts: Any) -> None:
    async def main() -> None:
        async with world(directory, *given, **accounts) as opened:
            await work(opened)

    asyncio.run(main())
