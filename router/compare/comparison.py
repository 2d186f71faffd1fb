"""The one way to compare modes: run, summarise, and write the three files of a comparison."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from edgewise.errors import InvalidInput
from edgewise.types import SideStatus
from router.compare.environment import Environment, observe
from router.compare.questions import Graded, fingerprint
from router.compare.report import render
from router.compare.rows import Plan, Row, Run, open_journal, read_run, write_text
from router.compare.runner import Asker, OnProgress, pairs_of, run
from router.compare.summary import Summary, summarise
from router.modes import has_sources, parse

SUMMARY, REPORT = "summary.json", "report.html"

ALL_MODES = (
    "edge_only",
    "cloud_only",
    "pre_arbitration",
    "post_arbitration",
    "post_arbitration+cascade",
    "cloud_info_edge_rag",
    "agent",
    "auto",
)


async def run_compare(
    asker: Asker,
    questions: Sequence[Graded],
    modes: Sequence[str],
    out: Path,
    *,
    seed: int = 0,
    limit: int | None = None,
    on_progress: OnProgress | None = None,
    edge: SideStatus,
    cloud: SideStatus | None,
    sourced: Callable[[str], bool] = has_sources,
) -> Summary:
    """Asks the first `limit` questions in every mode; writes records.jsonl, summary.json and report.html into `out`.

    Cancelled or killed, the same call goes on where it stopped. Raises Conflict if `out` holds another run.
    """
    asked = tuple(questions[:limit])
    if not asked or not modes:
        raise InvalidInput("there is nothing to compare: give at least one question and one mode")
    for mode in modes:
        parse(mode)
    if len(set(modes)) < len(modes):
        raise InvalidInput("a mode is given twice; name each once")
    pairs = pairs_of(asked, modes, seed, sourced)
    if not pairs:
        raise InvalidInput("none of these modes reads sources, and no question can be answered without them")
    environment = observe(fingerprint(asked), len(asked), seed, edge, cloud)
    environment = environment.model_copy(update={"left_out": len(asked) * len(modes) - len(pairs)})
    planned = Run(plan=_plan(environment, modes), environment=environment)
    with open_journal(out, planned, asked) as journal:
        await run(asker, pairs, journal, on_progress)
        return await asyncio.to_thread(_publish, out, journal.run, asked, journal.rows)


def report_again(out: Path) -> Summary:
    """Makes the summary and the page again from the records of a run, finished or not."""
    return _publish(out, *read_run(out))


def _publish(out: Path, run: Run, questions: Sequence[Graded], rows: Sequence[Row]) -> Summary:
    summary = summarise(rows, run.plan.modes, run.environment)
    write_text(out / SUMMARY, summary.model_dump_json(indent=1) + "\n")
    write_text(out / REPORT, render(summary, questions, rows))
    return summary


def _plan(environment: Environment, modes: Sequence[str]) -> Plan:
    """What must be the same for a run to be resumed: questions, modes, order, and who answers."""
    models = [
        f"{model.name} {model.hash or ''} {model.label}" if model else ""
        for model in (environment.edge, environment.cloud)
    ]
    return Plan(
        question_set=environment.question_set,
        modes=tuple(modes),
        seed=environment.seed,
        edge=models[0],
        cloud=models[1],
    )
