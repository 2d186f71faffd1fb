"""The daemon: one process that owns a data directory and serves gRPC and HTTP until it is told to stop."""

from __future__ import annotations

import asyncio
import errno
import importlib.metadata
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from edgewise.callers import Anybody, Callers, Either, owner_of
from edgewise.client import Daemon
from edgewise.errors import Conflict, InvalidInput, NotReady
from edgewise.rpc import Service, start_server
from router import http, server
from router.apps import Apps
from router.edge_door import guarded
from router.forgetting import Forgetting
from router.guard import LOCAL
from router.log import now
from router.owner import AtHome, token_of
from router.wiring import Stack, forgetting_of

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1", "[::1]"})
_LONGEST_SOCKET_PATH = 100


def socket_path(data_dir: Path) -> Path:
    """`DATA_DIR/edgewise.sock`; InvalidInput when the path is longer than the kernel takes."""
    path = data_dir.absolute() / "edgewise.sock"
    if len(os.fsencode(path)) > _LONGEST_SOCKET_PATH:
        raise InvalidInput(f"{path} is too long for a Unix socket; give a --data-dir with a shorter path")
    return path


def check_places(data_dir: Path, *addresses: str) -> None:
    """InvalidInput for a place where a daemon can never be; said before models are loaded for nothing."""
    socket_path(data_dir)
    for address in addresses:
        _loopback(address)


def check_free(*addresses: str) -> None:
    """Conflict for an address that somebody else has; said before models are loaded for nothing, too."""
    for address in addresses:
        _listener(address).close()


@asynccontextmanager
async def serving(
    stack: Stack, data_dir: Path, grpc_address: str, http_address: str, *, auth: bool, grace_s: float
) -> AsyncIterator[Daemon]:
    """Serves a stack on the Unix socket, on TCP and over HTTP, and says so in `daemon.json`."""
    token = token_of(data_dir) if auth else ""
    path = socket_path(data_dir)
    path.unlink(missing_ok=True)
    async with AsyncExitStack() as exits:
        apps = await exits.enter_async_context(Apps.open(data_dir))
        forgetting = forgetting_of(stack, apps, data_dir)
        known = Either(owner_of(token), apps)
        here, there = AtHome(known), known if auth else Anybody()
        local, _ = await start_server(services_of(stack, apps, here, forgetting), f"unix:{path}", callers=here)
        exits.push_async_callback(local.stop, grace_s)
        exits.callback(path.unlink, missing_ok=True)
        services = services_of(stack, apps, there, forgetting)
        remote, bound = await start_server(services, _loopback(grpc_address), callers=there)
        exits.push_async_callback(remote.stop, grace_s)
        hosts = LOCAL | {host.lower() for host in stack.settings.router.http_hosts}
        app = http.application(stack.router, stack.edge, callers=there, apps=apps, hosts=hosts)
        http_bound = await exits.enter_async_context(_http_server(app, http_address, grace_s))
        _, cloud = await stack.router.status()
        described = data_dir / "daemon.json"
        daemon = Daemon(
            pid=os.getpid(),
            socket=str(path),
            grpc=bound,
            http=f"http://{http_bound}",
            cloud=cloud.label or cloud.model or "none",
            privacy=stack.boundary.policy.in_words,
            version=importlib.metadata.version("edgewise"),
            started_at=now(),
        )
        described.write_text(daemon.model_dump_json(indent=2) + "\n", encoding="utf-8")
        exits.callback(described.unlink, missing_ok=True)
        yield daemon


def services_of(stack: Stack, apps: Apps, callers: Callers, forgetting: Forgetting) -> tuple[Service, Service]:
    """RouterService, and EdgeService passed on to the edge node, so that apps ingest at the same address."""
    who = server.who_calls(apps, callers)
    relay = guarded(stack.edge.relay(stack.edge_ready), who, callers)
    return server.service(stack.router, who, apps, forgetting), relay


@contextmanager
def until_sigterm() -> Iterator[None]:
    """SIGTERM cancels the block, whatever it does just then, and is a normal end: what it has opened closes in order.

    Ctrl-C does the same, but surfaces as KeyboardInterrupt: that is how asyncio.run takes it.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    told = asyncio.Event()

    def tell() -> None:
        if not told.is_set():  # a second signal must not cut the draining short
            told.set()
            task.cancel()

    loop.add_signal_handler(signal.SIGTERM, tell)
    try:
        yield
    except asyncio.CancelledError:
        if not told.is_set():
            raise
        task.uncancel()
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


@asynccontextmanager
async def _http_server(app: ASGIApp, address: str, grace_s: float) -> AsyncIterator[str]:
    listener = _listener(address)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=max(int(grace_s), 1),
        ws="none",
    )
    http_server = _HttpServer(config)
    running = asyncio.create_task(http_server.serve(sockets=[listener]))
    try:
        # It listens already: what connects before the server has started waits in the kernel's queue.
        bound_host, bound_port = listener.getsockname()[:2]
        yield f"[{bound_host}]:{bound_port}" if ":" in bound_host else f"{bound_host}:{bound_port}"
    finally:
        http_server.should_exit = True
        with suppress(asyncio.CancelledError):
            await running
        listener.close()


class _HttpServer(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are for the whole daemon, not for its HTTP part."""
        yield


def _listener(address: str) -> socket.socket:
    host, port = _host_and_port(_loopback(address))
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            what = f"{address} is in use; stop what listens there, or give another --grpc-address or --http-address"
            raise Conflict(what) from None
        raise NotReady(f"cannot listen on {address}: {error.strerror}") from None
    return listener


def _loopback(address: str) -> str:
    """The address, if it is of this machine alone: the daemon is not meant for other ones."""
    host, _ = _host_and_port(address)
    if host not in _LOOPBACK:
        raise InvalidInput(
            f"{address} is not a loopback address; the daemon listens on 127.0.0.1, localhost or [::1] only"
        )
    return address


def _host_and_port(address: str) -> tuple[str, int]:
    host, separator, port = address.rpartition(":")
    if not separator or not port.isdigit() or int(port) > 65535:
        raise InvalidInput(f"`{address}` is not HOST:PORT; write 127.0.0.1:8080, or 127.0.0.1:0 for any free port")
    return host.strip("[]"), int(port)
