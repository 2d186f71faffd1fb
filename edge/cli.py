"""`edgewise edge ...`, and the same as `python -m edge ...`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgewise import exits

edge_app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="The edge node: a small model that knows your files.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


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
    from edge.config import EdgeSettings
    from edge.server import serve as serve_node
    from edgewise import settings

    exits.run(
        serve_node(
            settings.load(EdgeSettings, {"token_file": token_file}),
            data_dir or settings.data_dir(),
            address,
            on_ready=lambda bound: exits.ready(grpc=bound),
            until_stdin_closes=until_stdin_closes,
        )
    )
