"""`edgewise models ...`: what the catalogue has, and what of it is on this machine."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from edge import models

models_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="The models of this device: list, pull, verify."
)

Names = Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Models; all if none is named.")]


@models_app.command("list")
def list_models(*, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Say what there is, under which licence, and what is on this machine."""
    rows = [_row(model) for model in models.catalogue()]
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    table = Table(Column("name", no_wrap=True), "licence", "parameters", "context", "size", "here")
    for row in rows:
        table.add_row(
            row["name"], row["licence"], f"{row['parameters'] / 1e6:.0f} M", str(row["context_tokens"]),
            f"{row['bytes'] / 1e6:.0f} MB", "yes" if row["present"] else "no",
        )  # fmt: skip
    Console().print(table)


@models_app.command()
def pull(names: Names = None) -> None:
    """Fetch models, check them, and make them ready; what is here already stays."""
    for model in _chosen(names):
        with Progress(
            TextColumn(model.name), TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(),
            TimeRemainingColumn(),
        ) as bar:  # fmt: skip
            models.ensure(model.name, _Stages(bar).report)
        typer.echo(f"{model.name} is ready in {model.directory}")


@models_app.command()
def verify(names: Names = None) -> None:
    """Compare the files on this machine with their hashes."""
    for model in _chosen(names):
        models.verify(model.name)
        typer.echo(f"{model.name} is intact")


class _Stages:
    """One bar for each thing that is done, in the order in which they come."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._tasks: dict[str, TaskID] = {}

    def report(self, stage: str, done: int, total: int) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._bar.add_task(stage, total=total)
        self._bar.update(self._tasks[stage], completed=done)


def _chosen(names: list[str] | None) -> list[models.Model]:
    return [models.find(name) for name in names] if names else list(models.catalogue())


def _row(model: models.Model) -> dict[str, Any]:
    return {
        "name": model.name,
        "kind": model.kind,
        "label": model.label,
        "licence": model.licence,
        "parameters": model.parameters,
        "context_tokens": model.context_tokens,
        "bytes": sum(file.bytes or 0 for file in model.files),
        "source": str(model.source),
        "present": model.present,
        "path": str(model.path),
    }
