"""`edgewise cloud ...`, and the same as `python -m cloud ...`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Literal

import typer

from cloud.keys_cli import keys_app
from edgewise import exits
from edgewise.logs import log_to_stderr

Backend = Literal["openai_compatible", "llama", "replay"]

cloud_app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="The cloud gateway: a large model behind a gate.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
cloud_app.add_typer(keys_app, name="keys")


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
    data_dir: Annotated[Path | None, typer.Option(help="Where the gateway keeps its corpora and its keys.")] = None,
    backend: Annotated[Backend | None, typer.Option(help="What answers; else cloud.backend.")] = None,
    corpus: Annotated[list[Path] | None, typer.Option(help="File or directory for cloud info; repeatable.")] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="File with the owner's token; others have keys (`edgewise cloud keys add`).")
    ] = None,
    tls_cert_file: Annotated[Path | None, typer.Option(help="PEM file with the gateway's certificate.")] = None,
    tls_key_file: Annotated[Path | None, typer.Option(help="PEM file with that certificate's key.")] = None,
    client_ca_file: Annotated[
        Path | None, typer.Option(help="PEM file with the authorities that callers' certificates must come from.")
    ] = None,
    plaintext: Annotated[
        bool, typer.Option("--plaintext", help="Let other machines in without TLS: something in front has it.")
    ] = False,
    metrics_address: Annotated[
        str, typer.Option(help="Loopback HOST:PORT of Prometheus metrics; else there are none.")
    ] = "",
    until_stdin_closes: Annotated[
        bool, typer.Option("--until-stdin-closes", help="Stop when standard input ends.")
    ] = False,
) -> None:
    """Serve CloudService; prints `ready grpc=ADDRESS` when it can answer, and stops on SIGTERM.

    What other machines can reach needs a key or a token, and TLS.
    """
    flags = {
        "backend": backend,
        "corpora": tuple(corpus) if corpus else None,
        "token_file": token_file,
        "tls_cert_file": tls_cert_file,
        "tls_key_file": tls_key_file,
        "client_ca_file": client_ca_file,
        "plaintext": plaintext or None,
    }
    from cloud.config import CloudSettings
    from cloud.server import serve as serve_gateway
    from edgewise import settings

    log_to_stderr()
    for library in ("httpx2", "httpx", "openai"):
        logging.getLogger(library).setLevel(logging.WARNING)  # they tell of every request
    exits.run(
        serve_gateway(
            settings.load(CloudSettings, flags),
            data_dir or settings.data_dir(),
            address,
            on_ready=lambda bound, page: exits.ready(grpc=bound, metrics=page),
            metrics_address=metrics_address,
            until_stdin_closes=until_stdin_closes,
        )
    )
