"""The command line `edgewise`: one file a family of commands, heavy imports inside the command that needs them."""

from __future__ import annotations

from functools import partial

import typer

from edgewise import exits
from router.cli.apps import apps
from router.cli.asking import ask, chat
from router.cli.audit import audit
from router.cli.daemon import status, stop, up
from router.cli.doctor import doctor
from router.cli.documents import documents, ingest
from router.cli.experiment import experiment
from router.cli.explaining import explain
from router.cli.forget import forget
from router.cli.leaktest import leaktest
from router.cli.measuring import compare, demo, report
from router.cli.records import grade, log
from router.cli.replay import replay
from router.cli.sides import add_sides
from router.cli.train import train

app = typer.Typer(
    help="Edgewise: a small model on this device, a large one in the cloud, and a router that decides who answers.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich's help takes longer to import than everything else here together
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    demo,
    up,
    status,
    stop,
    doctor,
    ask,
    chat,
    explain,
    ingest,
    documents,
    compare,
    report,
    replay,
    log,
    grade,
    forget,
    leaktest,
):
    app.command()(command)
app.add_typer(apps, name="apps")
app.add_typer(train, name="train")
app.add_typer(experiment, name="experiment")
app.add_typer(audit, name="audit")
add_sides(app)


def main() -> None:
    """The entry point."""
    exits.main(partial(app, prog_name="edgewise"))
