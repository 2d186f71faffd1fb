"""`experiment`: modes compared on live questions."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from edgewise import exits
from edgewise.errors import InvalidInput
from router.cli.local import AsJson, DataDir, as_given, client, data_directory

if TYPE_CHECKING:
    from edgewise.types import Arm, ArmDifference, ArmFigures, ExperimentStatus

_WIDTH = 80
_COLUMNS = (7, 8, 7, 7, 6, 10, 7)

experiment = typer.Typer(
    help="Compare modes on live questions: who names no mode gets one by lot, and grades decide.",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(help="The experiment; else the one that runs, or the newest.")]


@experiment.command()
def start(
    name: Annotated[str, typer.Argument(help="A new name: a-z, 0-9 and `-`.")],
    arms: Annotated[
        list[str],
        typer.Option("--arm", help="MODE=WEIGHT, the control first; without weights all get the same. Repeatable."),
    ],
    unit: Annotated[
        Literal["conversation", "user", "question"], typer.Option(help="What keeps its arm, and counts once.")
    ] = "conversation",
    shadow: Annotated[str, typer.Option(help="A mode that is asked beside the control's answers, unseen.")] = "",
    shadow_usd: Annotated[float | None, typer.Option(help="What the shadow may cost in all.")] = None,
    harm: Annotated[
        float, typer.Option(help="Stop when an arm is shown to be worse than the control by more than this.")
    ] = 0.0,
    grader: Annotated[str, typer.Option(help="Whose grades count; else everybody's.")] = "",
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Have questions that name no mode answered by one of several, by lot."""
    from edgewise.types import Experiment

    with as_given():
        wanted = Experiment(
            name=name, arms=arms_of(arms), unit=unit, shadow=shadow, shadow_usd=shadow_usd, harm=harm, grader=grader
        )

    async def work() -> ExperimentStatus:
        # What a shadow may cost is the cloud's to say, so that it has to be there.
        async with client(data_directory(data_dir), records_only=not shadow) as edgewise:
            return await edgewise.start_experiment(wanted)

    _print(exits.run(work()), as_json=as_json)


@experiment.command()
def status(name: Name = "", as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Say what is known so far. It may be looked at as often as you like: looking makes no error more likely."""

    async def work() -> ExperimentStatus:
        async with client(data_directory(data_dir), records_only=True) as edgewise:
            return await edgewise.experiment(name)

    _print(exits.run(work()), as_json=as_json)


@experiment.command()
def stop(name: Name = "", as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """End it: questions that name no mode get the configured default again."""

    async def work() -> ExperimentStatus:
        async with client(data_directory(data_dir), records_only=True) as edgewise:
            return await edgewise.stop_experiment(name)

    _print(exits.run(work()), as_json=as_json)


def arms_of(given: list[str]) -> tuple[Arm, ...]:
    from edgewise.types import Arm

    pairs = [one.rpartition("=") if "=" in one else (one, "", "") for one in given]
    if len({bool(equals) for _, equals, _ in pairs}) > 1:
        raise InvalidInput("give all arms a weight (--arm edge_only=0.5), or none of them")
    try:
        weights = [float(weight) if equals else 1 / len(pairs) for _, equals, weight in pairs]
    except ValueError:
        raise InvalidInput("the weight of an arm is a number, as in --arm edge_only=0.5") from None
    return tuple(Arm(mode=mode, weight=weight) for (mode, _, _), weight in zip(pairs, weights, strict=True))


def _print(status: ExperimentStatus, *, as_json: bool) -> None:
    if as_json:
        import json

        print(json.dumps(status.model_dump(mode="json"), ensure_ascii=False, indent=2))
        return
    print("\n".join(lines_of(status)))


def lines_of(status: ExperimentStatus) -> list[str]:
    """At most 80 columns wide, as far as names of modes allow."""
    experiment = status.experiment
    state = f"stopped {experiment.stopped_at[:16]}" if experiment.stopped_at else "running"
    head = f"{experiment.name}: {state}, since {experiment.started_at[:16]} UTC, by {experiment.unit}"
    said = [head]
    if experiment.stopped_because:
        said.append(f"because: {experiment.stopped_because}")
    control = experiment.arms[0].mode
    if experiment.held:
        said.append(f"{control} answers until `edgewise experiment stop {experiment.name}`")
    said += [sentence for one in status.differences for sentence in _verdict(one, control, experiment.unit)]
    weights = {arm.mode: f"{arm.weight:.2f}" for arm in experiment.arms}
    columns = ("arm", "weight", "answers", "failed", "graded", "grade", "$ each", "s each")
    rows = [columns, *(_row(one, weights.get(one.mode, "")) for one in status.arms)]
    if status.shadow:
        rows.append(_row(status.shadow, "shadow"))
    first = max(len(row[0]) for row in rows)
    table = [row[0].ljust(first) + "".join(map(str.rjust, row[1:], _COLUMNS)) for row in rows]
    lines = [line for sentence in said for line in wrap(sentence, _WIDTH, subsequent_indent="  ")]
    return [*lines, "", *table, *_basis_lines(status), *_shadow_lines(status)]


def _verdict(one: ArmDifference, control: str, unit: str) -> list[str]:
    if one.difference is None:
        return [f"no graded {unit} of {one.arm} or {control} yet; grade answers with `edgewise grade`"]
    after = f"after {one.units:,} graded {unit}{'s' * (one.units != 1)}"
    if one.lo <= -1 and one.hi >= 1:
        said = f"{after} nothing can be said yet of {one.arm} against {control}; grade more answers"
    elif one.lo <= 0 <= one.hi:
        guess = "" if one.units_needed is None else f"; if it goes on like this, some {one.units_needed:,} would decide"
        said = f"{after} it is open whether {one.arm} is better or worse than {control}: {one.difference:+.2f} "
        said += f"({one.lo:+.2f} to {one.hi:+.2f} at any time){guess}"
    else:
        ends = sorted((abs(one.lo), abs(one.hi)))
        word = "better" if one.difference > 0 else "worse"
        said = f"{after}: {one.arm} is {word} than {control} by {abs(one.difference):.2f} "
        said += f"({ends[0]:.2f} to {ends[1]:.2f} at any time), p = {one.p_value:.2g}"
    return [said, f"but {one.remark}"] if one.remark else [said]


def _row(one: ArmFigures, weight: str) -> tuple[str, ...]:
    return (
        one.mode,
        weight,
        str(one.answers),
        str(one.errors),
        str(one.graded),
        "-" if one.grade is None else f"{one.grade:.2f}",
        "unknown" if one.cost_usd is None and one.answers else "-" if one.cost_usd is None else f"{one.cost_usd:.6f}",
        "-" if one.total_s is None else f"{one.total_s:.2f}",
    )


def _basis(one: ArmFigures) -> str:
    """What a cost stands on, if that is not a provider's bill."""
    return one.cost_basis.lower() if one.cost_basis and one.cost_basis != "BILLED" else ""


def _basis_lines(status: ExperimentStatus) -> list[str]:
    bases = sorted({basis for one in status.arms if (basis := _basis(one))})
    return ["", f"$ each is {' or '.join(bases)}: nobody was billed so much"] if bases else []


def _shadow_lines(status: ExperimentStatus) -> list[str]:
    if not status.shadow:
        return []
    limit = status.experiment.shadow_usd or 0.0
    basis = _basis(status.shadow)
    spent = f"the shadow has spent ${status.shadow_spent_usd:.6f}{f' ({basis})' if basis else ''} of ${limit:g}"
    skipped = [f"  {one.count:,} left out: {one.reason}" for one in status.shadow_skipped]
    return ["", spent, *skipped]
