"""The one way to compare modes: run, summarise, and write the three files of a comparison."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from edgewise.errors import InvalidInput
from edgewise.types import Author
from router import prompts
from router.compare.environment import Environment, Judging, observe
from router.compare.judge import agreement
from router.compare.questions import JUDGE, Graded, fingerprint
from router.compare.report import render
from router.compare.rows import Plan, Row, Run, open_journal, read_run, write_text
from router.compare.runner import Asker, Books, Manner, OnProgress, pairs_of, run
from router.compare.summary import Summary, summarise
from router.modes import has_sources, parse
from router.trace import TRACE, Head, open_trace

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
    head: Head,
    manner: Manner = Manner(),
    limit: int | None = None,
    skipped: int = 0,
    on_progress: OnProgress | None = None,
    sourced: Callable[[str], bool] = has_sources,
) -> Summary:
    """Asks the first `limit` questions in every mode; writes records, their trace, the summary and the report to `out`.

    `head` says who answers, and by which settings; `skipped` questions were left out before. Cancelled or killed, the
    same call goes on where it stopped. Raises Conflict if `out` holds another run.
    """
    asked = tuple(questions[:limit])
    check(asked, modes, manner.judge.author if manner.judge else None)
    pairs = pairs_of(asked, modes, manner, sourced)
    if not pairs:
        raise InvalidInput("none of these modes reads sources, and no question can be answered without them")
    environment = observe(fingerprint(asked), len(asked), manner.seed, head.edge, head.cloud)
    passes = 2 if manner.warm else 1
    environment = environment.model_copy(
        update={
            "left_out": passes * len(asked) * len(modes) - len(pairs),
            "concurrency": manner.concurrency,
            "warm": manner.warm,
            "skipped": skipped,
        }
    )
    planned = Run(plan=_plan(environment, modes, manner), environment=environment)
    own = {"seed": manner.seed, "modes": planned.plan.labels, "judge": planned.plan.judge, "skipped": skipped}
    head = head.model_copy(update=own)
    with open_journal(out, planned, asked) as journal, open_trace(out / TRACE, head, asked) as trace:
        await run(asker, pairs, Books(journal, trace), manner, on_progress)
        return await asyncio.to_thread(publish, out, journal.run, asked, journal.rows)


def check(questions: Sequence[Graded], modes: Sequence[str], judge: Author | None) -> None:
    """InvalidInput for what cannot be compared; said before models are loaded for nothing."""
    if not questions or not modes:
        raise InvalidInput("there is nothing to compare: give at least one question and one mode")
    for mode in modes:
        parse(mode)
    if len(set(modes)) < len(modes):
        raise InvalidInput("a mode is given twice; name each once")
    judged = [question for question in questions if question.is_judged]
    private = [question for question in judged if question.private]
    if judged and judge is None:
        raise InvalidInput(f"question {judged[0].id} has the scorer `judge`; say who judges: --judge edge or cloud")
    if private and judge == "cloud":
        raise InvalidInput(
            f"question {private[0].id} is private, so the cloud may not judge its answers; use --judge edge, or "
            "another scorer"
        )


def report_again(out: Path) -> Summary:
    """Makes the summary and the page again from the records of a run, finished or not."""
    return publish(out, *read_run(out))


def publish(out: Path, run: Run, questions: Sequence[Graded], rows: Sequence[Row]) -> Summary:
    """Writes the summary and the page."""
    started = run.environment
    to_come = started.questions * len(run.plan.labels) - started.left_out - len(rows)
    environment = started.model_copy(update={"judging": judging_of(run.plan.judge, rows), "to_come": max(to_come, 0)})
    summary = summarise(rows, run.plan.labels, environment)
    write_text(out / SUMMARY, summary.model_dump_json(indent=1) + "\n")
    write_text(out / REPORT, render(summary, questions, rows))
    return summary


def judging_of(side: Author | None, rows: Sequence[Row]) -> Judging | None:
    """How the judge did on these rows."""
    if side is None:
        return None
    costs = [row.judge_usd for row in rows]
    return Judging(
        side=side,
        prompt_version=prompts.VERSION,
        agreement=agreement(
            (row.judged, row.score)
            for row in rows
            if row.scorer != JUDGE and row.judged is not None and row.score is not None
        ),
        unjudged=sum(row.score is None and not row.error for row in rows),
        cost_usd=None if any(cost is None for cost in costs) else sum(cost or 0.0 for cost in costs),
    )


def _plan(environment: Environment, modes: Sequence[str], manner: Manner) -> Plan:
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
        concurrency=manner.concurrency,
        warm=manner.warm,
        judge=manner.judge.author if manner.judge else None,
    )
