"""`edgewise cloud ...`, and the same as `python -m cloud ...`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from edgewise import exits

Backend = Literal["openai_compatible", "llama", "replay"]

cloud_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="The cloud gateway: a large model behind a gate."
)


@cloud_app.command()
def prices(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")] = False,
    old_days: Annotated[int, typer.Option(min=1, help="Days after which a list price counts as old.")] = 180,
) -> None:
    """List what models cost, in US dollars a million tokens: yours first, each with its date and source."""
    import dataclasses
    import json
    from datetime import date

    from cloud.config import CloudSettings
    from cloud.price_list import lines, rows
    from edgewise import settings

    listed = list(rows(settings.load(CloudSettings), date.today(), old_days))
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(row) for row in listed], indent=1))
        return
    for line in lines(listed):
        typer.echo(line)


@cloud_app.command()
def serve(
    *,
    address: Annotated[str, typer.Option(help="HOST:PORT (port 0 picks one) or unix:PATH.")] = "127.0.0.1:50052",
    data_dir: Annotated[Path | None, typer.Option(help="Where the gateway keeps its corpora.")] = None,
    backend: Annotated[Backend | None, typer.Option(help="What answers; else cloud.backend.")] = None,
    corpus: Annotated[list[Path] | None, typer.Option(help="File or directory for cloud info; repeatable.")] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="File with the token that callers over TCP must send.")
    ] = None,
    until_stdin_closes: Annotated[
        bool, typer.Option("--until-stdin-closes", help="Stop when standard input ends.")
    ] = False,
) -> None:
    """Serve CloudService; prints `ready grpc=ADDRESS` when it can answer, and stops on SIGTERM."""
    flags = {"backend": backend, "corpora": tuple(corpus) if corpus else None, "token_file": token_file}
    from cloud.config import CloudSettings
    from cloud.server import serve as serve_gateway
    from edgewise import settings

    exits.run(
        serve_gateway(
            settings.load(CloudSettings, flags),
            data_dir or settings.data_dir(),
            address,
            on_ready=lambda bound: typer.echo(f"ready grpc={bound}"),
            until_stdin_closes=until_stdin_closes,
        )
    )
