"""`up`, `status` and `stop`."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgewise import exits
from edgewise.errors import EdgeUnavailable, InvalidInput, NotReady
from edgewise.logs import log_to_stderr
from router.cli.local import AsJson, DataDir, EmbeddedCloud, data_directory, is_owned, running_daemon

if TYPE_CHECKING:
    from edgewise.client import Daemon

_STOP_S = 40.0


def up(
    grpc_address: Annotated[
        str, typer.Option(help="Loopback HOST:PORT for gRPC; port 0 picks one.")
    ] = "127.0.0.1:50051",
    http_address: Annotated[
        str, typer.Option(help="Loopback HOST:PORT for HTTP; port 0 picks one.")
    ] = "127.0.0.1:8080",
    corpus: Annotated[list[Path] | None, typer.Option(help="Corpus of our gateway for cloud info; repeatable.")] = None,
    embedded_cloud: EmbeddedCloud = False,
    no_auth: Annotated[bool, typer.Option("--no-auth", help="Ask no token; for throw-away use.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Run the daemon. Prints `ready grpc=... http=...` when it can answer; SIGTERM drains and ends it."""
    log_to_stderr()
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells of every plug-in that it brings along

    async def work() -> None:
        from router.daemon import check_free, check_places, serving, until_sigterm
        from router.owner import Ownership
        from router.wiring import Settings, open_stack

        directory = data_directory(data_dir)
        check_places(directory, grpc_address, http_address)
        settings = Settings.load()
        if corpus and (settings.cloud.address or not (settings.cloud.backend or embedded_cloud)):
            raise InvalidInput("--corpus is for a gateway of our own: set cloud.backend, or give --embedded-cloud")
        grace_s = settings.router.stop_grace_s
        with Ownership(directory), until_sigterm():
            check_free(grpc_address, http_address)
            async with (
                open_stack(settings, directory, embedded_cloud=embedded_cloud, corpora=corpus or ()) as stack,
                serving(stack, directory, grpc_address, http_address, auth=not no_auth, grace_s=grace_s) as daemon,
            ):
                print(f"cloud: {daemon.cloud}", file=sys.stderr)
                print(f"privacy: {daemon.privacy}", file=sys.stderr)
                print(f"audit: {stack.boundary.in_words}", file=sys.stderr)
                if stack.telemetry is not None:
                    print(f"telemetry: {stack.telemetry}", file=sys.stderr)
                print(f"page: {daemon.http}/ (`edgewise status --page` prints it with its token)", file=sys.stderr)
                print(f"records: {stack.records.in_words}", file=sys.stderr)
                if no_auth:
                    print("warning: no token is asked; every program here may ask", file=sys.stderr)
                exits.ready(grpc=daemon.grpc, http=daemon.http)
                await asyncio.Event().wait()

    exits.run(work())


def status(
    as_json: AsJson = False,
    page: Annotated[
        bool, typer.Option("--page", help="Print the address of the page with its token, which is a secret.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Say whether a daemon runs, where, and with which models. Exit code 1 when none does."""
    directory = data_directory(data_dir)
    daemon = running_daemon(directory)
    if daemon is None:
        raise EdgeUnavailable(f"no daemon owns {directory}; start one with `edgewise up`")
    if page:
        print(_page(daemon, directory))
        return

    from edgewise.client import Client

    async def work() -> dict[str, object]:
        async with Client(f"unix:{daemon.socket}") as edgewise:
            edge = await edgewise.edge_status()
        return {**daemon.model_dump(), "edge": edge.model_dump(mode="json"), "audit_head": _audit_head(directory)}

    found = exits.run(work())
    if as_json:
        print(json.dumps(found, indent=2))
        return
    for line in _in_words(daemon, found):
        print(line)


def stop(data_dir: DataDir = None) -> None:
    """Stop the daemon: running answers may end, then it exits."""
    directory = data_directory(data_dir)
    daemon = running_daemon(directory)
    if daemon is None:
        print(f"no daemon owns {directory}")
        return
    with suppress(ProcessLookupError):  # it was faster
        os.kill(daemon.pid, signal.SIGTERM)
    end = time.monotonic() + _STOP_S
    while is_owned(directory):
        if time.monotonic() > end:
            raise NotReady(
                f"process {daemon.pid} did not stop within {_STOP_S:g} s; look at its log, or end it by hand"
            )
        time.sleep(0.05)
    print(f"stopped process {daemon.pid}")


def _in_words(daemon: Daemon, found: dict[str, object]) -> list[str]:
    edge = found["edge"]
    assert isinstance(edge, dict)
    return [
        f"running   process {daemon.pid}, edgewise {daemon.version}, since {daemon.started_at}",
        f"grpc      {daemon.grpc}, {daemon.socket}",
        f"http      {daemon.http}",
        f"page      {daemon.http}/ (with its token: edgewise status --page)",
        f"edge      {_edge_in_words(edge)}",
        f"cloud     {daemon.cloud}",
        f"privacy   {daemon.privacy}",
        f"audit     {found['audit_head'] or 'nothing was let out of this device yet'}",
    ]


def _audit_head(directory: Path) -> str:
    """Number and hash of the last row; noted elsewhere, it proves later that no row up to it was changed."""
    from router.egress.rows import read_head

    head = read_head(directory)
    return f"{head[0]}:{head[1]}" if head and head[0] else ""


def _page(daemon: Daemon, directory: Path) -> str:
    """A browser sends no fragment to anybody; without a token file there never was one to send."""
    from router.owner import token_of

    return f"{daemon.http}/#token={token_of(directory)}" if (directory / "token").exists() else f"{daemon.http}/"


def _edge_in_words(edge: Mapping[str, object]) -> str:
    what = f"{edge['model']}, {edge['documents']} documents, {edge['passages']} passages"
    again = f"; ended {edge['restarts']} times, last: {edge['reason']}" if edge["restarts"] else ""
    return (what if edge["ready"] else "is being started again") + again
