"""`edgewise models ...`: what the catalogue has, and what of it is on this machine."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge import models
from edge.models.entries import HuggingFace
from edgewise.errors import InvalidInput, NotReady

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

models_app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="The models of this device: list, pull, verify, requantise.",
    context_settings={"help_option_names": ["-h", "--help"]},
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
_COST = (
    "What is lost by rounding the weights of {name} a second time does not come back: expect worse answers than from a "
    "file that its publisher made as {to}. (The perplexity of SmolLM2 on a speech, 22.6 as Q4_1, became 26.5 as "
    "q4_0 and 22.7 as q8_0.) The original stays, and stays the one in use."
)
_SHORTER, _FIRST_DIGITS = re.compile("([0-9a-f]{12})[0-9a-f]{52}"), r"\1"
_TRUST = {
    "published": "in Edgewise's catalogue",
    "given": "given by you",
    "first_use": "as first seen, nobody vouches for it",
    "made_here": "computed when it was made here",
}


@models_app.command("list")
def list_models(*, as_json: AsJson = False) -> None:
    """Say what there is, where it is from and under which licence, and what is on this machine."""
    rows = [_row(model) for model in models.catalogue()]
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    for row in rows:
        parameters = None if row["parameters"] is None else f"{row['parameters'] / 1e6:.0f} M parameters"
        context = None if row["context_tokens"] is None else f"context {row['context_tokens']} tokens"
        template = None if row["chat_template"] in {None, "none"} else f"chat template {row['chat_template']}"
        size = f"{row['bytes'] / 1e6:.0f} MB" if row["bytes"] else None
        typer.echo(f"{row['name']}: {'here' if row['present'] else 'not here'}; hash {_TRUST[row['trust']]}")
        typer.echo("  " + ", ".join(filter(None, [size, parameters, context, template])))
        typer.echo(f"  licence {row['licence'] or 'unknown'}, from {_SHORTER.sub(_FIRST_DIGITS, row['source'])}")
        for file in row["files"]:
            typer.echo(f"  sha256 {file['sha256'] or 'unknown until it is fetched'}")


@models_app.command()
def pull(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME | hf:OWNER/REPOSITORY/FILE.gguf@REVISION]...",
            help="Models of the catalogue, or files of Hugging Face (HF_TOKEN and HF_ENDPOINT are heeded); if none is "
            "named, what Edgewise itself needs.",
        ),
    ] = None,
    sha256: Annotated[str | None, typer.Option(help="The hash that the one file has to have.")] = None,
    trust_first: Annotated[
        bool, typer.Option("--trust-first", help="Take a file of unknown hash, and hold later ones to its hash.")
    ] = False,
    name: Annotated[str | None, typer.Option(help="What to call the one file; else its own name.")] = None,
) -> None:
    """Fetch models, check them, and make them ready; what is here already stays, and a broken download goes on."""
    wanted = names or [model.name for model in models.catalogue() if model.trust == "published" and not model.optional]
    if (sha256 or name) and not (len(wanted) == 1 and wanted[0].startswith("hf:")):
        raise InvalidInput("--sha256 and --name belong to one hf:OWNER/REPOSITORY/FILE.gguf")
    digest = _hash(sha256)
    for one in wanted:
        with _bars(one) as bars:
            if one.startswith("hf:"):
                model = models.fetch(models.add(one, name, digest), _Stages(bars).report, trust_first=trust_first)
            else:
                models.ensure(one, _Stages(bars).report, trust_first=trust_first)
                model = models.find(one)
        _say_ready(_looked_into(model))


@models_app.command()
def verify(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Models; else all that are here.")
    ] = None,
) -> None:
    """Read the files on this machine and compare them with their hashes."""
    for name in names or [model.name for model in models.catalogue() if model.present]:
        models.verify(name)
        typer.echo(f"{name} is intact")


@models_app.command()
def requantise(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A model of the catalogue, or a path to a .gguf file.")],
    to: Annotated[str, typer.Option("--to", help="The weight type, such as q8_0, q4_k_m or q4_0.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Make a model with another weight type beside the one that is here, which stays. It costs answers."""
    from edge.llama.requantise import requantise as make

    typer.echo(_COST.format(name=name, to=to), err=True)
    if not yes:
        if not sys.stdin.isatty():
            raise InvalidInput("nobody is there to agree; give --yes")
        typer.confirm("Go on?", abort=True)
    with _bars(f"{name} to {to}") as bars:
        task = bars.add_task("starting", total=None)
        model = make(name, to, lambda written: bars.update(task, description=f"{written / 1e6:.0f} MB written"))
    _say_ready(model)
    typer.echo("`edgewise compare` says what it costs on your questions.")


class _Stages:
    """One bar for each thing that is done, in the order in which they come."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def report(self, stage: str, done: int, total: int) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total)
        self._bars.update(self._tasks[stage], completed=done, total=total)


def _bars(title: str) -> Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    console.print(title, markup=False, highlight=False, soft_wrap=True)
    return Progress(
        TextColumn("  {task.description}", markup=False), BarColumn(24), TaskProgressColumn(), TimeElapsedColumn(),
        TimeRemainingColumn(), console=console,
    )  # fmt: skip


def _looked_into(model: models.Model) -> models.Model:
    """The same with what the file says of itself, where nobody else has said it; a warning if it cannot be used."""
    if not isinstance(model.source, HuggingFace):
        return model
    from edge.llama.machine.probe import probe

    try:
        found = probe(model.path)
    except NotReady as error:
        typer.echo(f"warning: {error.message}", err=True)
        return model
    learnt = replace(
        model,
        licence=model.licence or found.licence,
        parameters=model.parameters or found.parameters,
        context_tokens=model.context_tokens or found.context_tokens,
        chat_template=model.chat_template or ("in the file" if found.has_chat_template else "none"),
    )
    if learnt != model:
        models.remember(learnt)
    return learnt


def _say_ready(model: models.Model) -> None:
    typer.echo(f"{model.name} is ready in {model.directory}")
    if model.trust == "published":
        return
    typer.echo(f"  sha256 {model.files[0].sha256}")
    typer.echo(f"  hash {_TRUST[model.trust]}; licence {model.licence or 'unknown'}")
    typer.echo(f'  to use it, write model = "{model.name}" below [edge] in edgewise.toml')


def _hash(text: str | None) -> str | None:
    found = text.lower().removeprefix("sha256:") if text else None
    if found is not None and (len(found) != 64 or set(found) - set("0123456789abcdef")):
        raise InvalidInput("--sha256 takes 64 hexadecimal digits")
    return found


def _row(model: models.Model) -> dict[str, Any]:
    sizes = [file.bytes for file in model.files]
    return {
        "name": model.name,
        "kind": model.kind,
        "label": model.label,
        "licence": model.licence,
        "parameters": model.parameters,
        "context_tokens": model.context_tokens,
        "chat_template": model.chat_template,
        "bytes": None if None in sizes else sum(filter(None, sizes)),
        "source": str(model.source),
        "trust": model.trust,
        "files": [{"name": file.name, "sha256": file.sha256, "bytes": file.bytes} for file in model.files],
        "present": model.present,
        "path": str(model.path),
    }
