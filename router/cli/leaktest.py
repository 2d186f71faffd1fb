"""`leaktest`: whether anything private leaves this device."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgewise import exits
from router.cli.local import AsJson
from router.cli.measuring import bar_on

if TYPE_CHECKING:
    from router.leaktest.plan import Plan
    from router.leaktest.report import Report
    from router.leaktest.run import OnProgress
    from router.leaktest.sinks import Sinks
    from router.wiring import Settings


def leaktest(
    data_dir: Annotated[
        Path | None,
        typer.Option(help="An empty directory to keep records and the audit log of the test in; else none."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the secrets.")] = 0,
    as_json: AsJson = False,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer modes and faults: half a minute.")] = False,
    self_check: Annotated[
        bool, typer.Option("--self-check", help="Open the boundary on purpose, and see that the test finds the leaks.")
    ] = False,
) -> None:
    """Ask questions with secrets in all modes, and look for the secrets in all that leaves this device.

    Recording sinks stand in the place of the cloud and of telemetry, and fail in every way. Your own data is not
    touched. Exit code 1 for a leak.
    """
    exits.run(_leaktest(data_dir, seed, as_json=as_json, quick=quick, self_check=self_check))


async def _leaktest(data_dir: Path | None, seed: int, *, as_json: bool, quick: bool, self_check: bool) -> None:
    from router.leaktest.plan import Planner

    planner = Planner(seed, quick=quick or self_check)
    plans = (planner.allow(), *(() if self_check else (planner.hold(),)))
    with _place(data_dir) as place, _progress(sum(plan.questions for plan in plans)) as on_progress:
        report = await _carried_out(plans, place, seed, on_progress, opened=self_check)
    print(report.model_dump_json(indent=1) if as_json else report.text())
    if self_check:
        typer.echo(f"self-check: the open boundary {'was' if report.leaks else 'WAS NOT'} found", err=True)
    if not (report.leaks if self_check else report.passed):
        raise typer.Exit(1)


async def _carried_out(
    plans: tuple[Plan, ...], place: Path, seed: int, on_progress: OnProgress, *, opened: bool
) -> Report:
    from router.leaktest.run import OpenPolicy, Run
    from router.leaktest.sinks import standing
    from router.owner import Ownership
    from router.wiring import Settings, open_stack

    chosen = Settings.load()
    async with standing() as sinks:
        run = Run(sinks, on_progress)
        for plan in plans:
            directory = place / plan.unknown
            with Ownership(directory):
                async with open_stack(_settings(chosen, sinks, plan), directory) as stack:
                    if opened:
                        stack.boundary.policy = OpenPolicy("allow")
                    await run.carry_out(plan, stack.router, stack.edge.ingest)
        return run.report(seed)


def _settings(chosen: Settings, sinks: Sinks, plan: Plan) -> Settings:
    """The user's, with sinks for a cloud and a collector, and with a router that asks the cloud whenever it may."""
    from dataclasses import replace

    from edgewise.errors import InvalidInput
    from router.telemetry.config import TelemetrySettings

    if chosen.edge.address:
        raise InvalidInput("edge.address is set: the test would put its documents there; unset it for this command")
    eager = {
        "gain_threshold": -1.0,
        "unfamiliar_gain_threshold": -1.0,
        "trust_threshold": 1.0,
        "judge": True,
        "rewrite": "cloud",
        "cloud_share": None,
        "usd_per_error": None,
        "usd_per_question": None,
        "wrong_at_most": None,
    }
    return replace(
        chosen,
        cloud=chosen.cloud.model_copy(update={"address": sinks.cloud.address, "backend": None, "token_file": None}),
        router=chosen.router.apart.model_copy(update=eager),
        privacy=chosen.privacy.model_copy(update={"unknown": plan.unknown}),
        telemetry=TelemetrySettings(otlp_endpoint=sinks.collector.url, content=True, interval_s=0.2, timeout_s=2),
    )


@contextmanager
def _place(data_dir: Path | None) -> Iterator[Path]:
    from edgewise.errors import InvalidInput

    if data_dir is None:
        with tempfile.TemporaryDirectory(prefix="edgewise-leaktest-") as place:
            yield Path(place)
        return
    if data_dir.exists() and any(data_dir.iterdir()):
        raise InvalidInput(f"{data_dir} is not empty; the test makes a data directory of its own: name a new one")
    yield data_dir.expanduser().absolute()


@contextmanager
def _progress(total: int) -> Iterator[OnProgress]:
    from rich.console import Console

    with bar_on(Console(stderr=True)) as bar:
        task = bar.add_task("starting the models", total=total)
        yield lambda done, what: bar.update(task, completed=done, description=what)
