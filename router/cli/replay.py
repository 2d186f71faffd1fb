"""`replay`."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgewise.errors import InvalidInput
from router.cli.measuring import progress_bar, show

if TYPE_CHECKING:
    from router.compare.questions import Graded
    from router.replay.policy import Candidate
    from router.trace import Trace


_THRESHOLD = 0.5


def replay(
    trace: Annotated[Path, typer.Argument(help="A trace, or the --out of a comparison.")],
    mode: Annotated[str, typer.Option(help="Modes with commas between; `all` are those that were recorded.")] = "",
    policy: Annotated[
        Path | None, typer.Option(help="Settings (.toml) for these modes, or decisions of another router (.csv).")
    ] = None,
    command: Annotated[str, typer.Option(help="Another router: a program that reads prompts and decides.")] = "",
    threshold: Annotated[
        float | None, typer.Option(help="Score from which another router's question goes to the cloud; else 0.5.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Where records, summary and report go, if wanted.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Score modes, settings or another router on recorded calls: no model runs, and nothing is paid."""
    from rich.console import Console

    from router.arbiter.arbiter import Arbiter, Models
    from router.replay.policy import of_mode, of_table, settings_of, unique
    from router.replay.result import check_out, result, write, write_missing
    from router.replay.run import replay as run
    from router.trace import Trace

    scored = _threshold(threshold, is_used=bool(command) or (policy is not None and policy.suffix == ".csv"))
    if out is not None:
        check_out(out)
    found = Trace.read(trace)
    settings, trained = found.head.settings, None
    names = found.modes if mode == "all" else tuple(filter(None, mode.split(",")))
    candidates = [of_mode(name) for name in names]
    if policy is not None and policy.suffix == ".csv":
        candidates.append(of_table(policy, scored))
        _tell_of_strangers(candidates[-1], found)
    elif policy is not None:
        settings, trained = settings_of(policy, settings)
    candidates += _outside(command, tuple(found.questions.values()), scored)
    if not candidates:
        known = ", ".join(found.modes) or "none was recorded"
        raise InvalidInput(f"nothing is to be replayed; give --mode ({known}), a --policy or a --command")
    console = Console(stderr=True)
    with progress_bar(console, "replaying") as on_progress:
        replayed = run(
            found, unique(candidates), settings, lambda chosen: Arbiter(Models.open(trained), chosen), on_progress
        )
    if out is not None:
        write_missing(out, replayed)
    summary = result(found, candidates, replayed, policy.name if policy else "")
    if out is not None:
        write(out, found, replayed, summary)
    if as_json:
        print(summary.model_dump_json(indent=1))
    else:
        show(summary, out)


def _tell_of_strangers(candidate: Candidate, trace: Trace) -> None:
    strangers = sorted(candidate.ids - trace.questions.keys())
    if strangers:
        told = f"{len(strangers)} decisions are for questions that the trace does not have, such as {strangers[0]!r}"
        print(told, file=sys.stderr)


def _threshold(given: float | None, *, is_used: bool) -> float:
    if given is None:
        return _THRESHOLD
    if not is_used:
        raise InvalidInput(
            "--threshold is for scores of another router (--policy FILE.csv, --command); Edgewise's own thresholds go "
            "into a --policy FILE.toml"
        )
    if math.isnan(given):
        raise InvalidInput("--threshold is no number; give one such as 0.5")
    return given


def _outside(command: str, questions: Sequence[Graded], threshold: float) -> list[Candidate]:
    from router.replay.policy import of_command

    return [of_command(command, questions, threshold)] if command else []
