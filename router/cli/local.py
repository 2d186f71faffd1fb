"""How a command reaches a router: the daemon that owns the data directory, or one of its own for as long as it runs."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgewise.errors import Conflict

if TYPE_CHECKING:
    from edgewise.client import Client, Daemon

DataDir = Annotated[
    Path | None, typer.Option(help="Records, documents and token; else EDGEWISE_DATA_DIR or the XDG place.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
EmbeddedCloud = Annotated[
    bool, typer.Option(help="Use the stand-in for a cloud (the edge's own weights) if no cloud is configured.")
]


def data_directory(given: Path | None) -> Path:
    from edgewise import settings

    return (given or settings.data_dir()).expanduser().absolute()


def running_daemon(data_dir: Path) -> Daemon | None:
    """The daemon that owns a data directory now; a `daemon.json` left by a crash does not count."""
    from edgewise.client import Daemon

    daemon = Daemon.of(data_dir)
    return daemon if daemon and is_owned(data_dir) else None


def is_owned(data_dir: Path) -> bool:
    from router.owner import Ownership

    try:
        with Ownership(data_dir):
            return False
    except Conflict:
        return True


@contextmanager
def as_given() -> Iterator[None]:
    """An argument that breaks a rule of the contract is an InvalidInput that names it."""
    from pydantic import ValidationError

    from edgewise.wire import invalid

    try:
        yield
    except ValidationError as error:
        raise invalid(error) from None


@asynccontextmanager
async def client(data_dir: Path, *, embedded_cloud: bool = False, records_only: bool = False) -> AsyncIterator[Client]:
    """A client of the daemon, or of a router started for this command with the same data directory.

    With `records_only` that router starts no models: it can show and grade what was asked, and nothing else.
    """
    from edgewise.client import Client

    daemon = running_daemon(data_dir)
    if daemon is not None:
        async with Client(f"unix:{daemon.socket}") as found:
            yield found
        return
    from edgewise.callers import Anybody
    from edgewise.rpc import start_server
    from router.apps import Apps
    from router.daemon import services_of
    from router.owner import Ownership
    from router.wiring import Settings, forgetting_of, open_stack

    with Ownership(data_dir), tempfile.TemporaryDirectory(prefix="edgewise-") as sockets:
        opened = open_stack(Settings.load(), data_dir, embedded_cloud=embedded_cloud, records_only=records_only)
        async with opened as stack, Apps.open(data_dir) as apps:
            services = services_of(stack, apps, Anybody(), forgetting_of(stack, apps, data_dir))
            server, address = await start_server(services, f"unix:{sockets}/own.sock")
            try:
                async with Client(address) as own:
                    yield own
            finally:
                await server.stop(1)
