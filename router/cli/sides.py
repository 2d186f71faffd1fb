"""`edgewise edge`, `edgewise cloud`, `edgewise models`: the commands of the sides, loaded when they are called."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import typer
from typer.main import get_command

_SIDES = {
    "edge": ("edge.cli", "edge_app", "The edge node: a small model that knows the files of this device."),
    "cloud": ("cloud.cli", "cloud_app", "The cloud gateway: a large model behind a gate."),
    "models": ("edge.models_cli", "models_app", "The models of this device: list, pull, verify."),
}


def add_sides(app: typer.Typer) -> None:
    for name, (module, attribute, summary) in _SIDES.items():
        app.command(
            name,
            help=summary,
            add_help_option=False,
            context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
        )(_passes_to(module, attribute, name))


def _passes_to(module: str, attribute: str, name: str) -> Callable[[typer.Context], None]:
    def run(context: typer.Context) -> None:
        side = getattr(importlib.import_module(module), attribute)
        get_command(side).main(args=context.args, prog_name=f"edgewise {name}")

    return run
