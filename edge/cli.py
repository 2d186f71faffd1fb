"""`edgewise edge ...`, and the same as `python -m edge ...`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from edge.config import EdgeSettings
from edgewise import place, settings
from edgewise.errors import EdgewiseError, NotReady

edge_app = typer.Typer(no_args_is_help=True, help="The edge node: a small model that knows your files.")


@edge_app.callback()
def _group() -> None:
    """Makes `serve` a command of its own also while it is the only one."""


@edge_app.command()
def serve(
    address: Annotated[str, typer.Option(help="HOST:PORT (port 0 picks one) or unix:PATH.")] = "127.0.0.1:50053",
    data_dir: Annotated[Path | None, typer.Option(help="Where the documents are kept.")] = None,
    token_file: Annotated[Path | None, typer.Option(help="File with the token that callers must send.")] = None,
    until_stdin_closes: Annotated[bool, typer.Option(help="Stop when standard input ends.")] = False,
) -> None:
    """Serve EdgeService; prints `ready grpc=ADDRESS` when it can answer, and stops on SIGTERM."""
    try:
        configured = settings.load(EdgeSettings)
        token = _read_token(token_file)

        from edge.server import serve as serve_node

        asyncio.run(
            serve_node(
                configured,
                data_dir or place.data_dir(),
                address,
                token=token,
                on_ready=lambda bound: typer.echo(f"ready grpc={bound}"),
                until_stdin_closes=until_stdin_closes,
            )
        )
    except EdgewiseError as error:
        typer.echo("error: " + error.message.replace("\n", "; "), err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _read_token(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        token = file.expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise NotReady(f"--token-file: {file} cannot be read; check the path and its permissions") from None
    if not token:
        raise NotReady(f"--token-file: {file} is empty; put the token into it")
    return token
