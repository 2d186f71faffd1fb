"""The takeaway table in a terminal: for each mode what the note predicts, and under it what was measured."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

from router.compare import figures
from router.compare.prediction import in_order_of_the_note, prediction
from router.compare.rows import WARM
from router.compare.summary import ModeSummary, Summary
from router.compare.verdict import verdict

_BRIEFLY = {
    "edge_only": "own knowledge only",
    "cloud_only": "own knowledge only",
    "post_arbitration": "same two weaknesses",
    "pre_arbitration": "worst: both errors",
}


def print_table(console: Console, summary: Summary) -> None:
    """Prints the table, the verdict and what to keep in mind. Readable from 80 columns on."""
    table = Table(
        box=box.SIMPLE_HEAD,
        title=f"What the note predicts, and what {summary.environment.questions} questions measured",
        title_justify="left",
        title_style="bold",
        pad_edge=False,
    )
    table.add_column("mode", no_wrap=True)
    table.add_column("accuracy (95 %), n")
    table.add_column("cost of 1,000", no_wrap=True)
    table.add_column("latency p50/p95", no_wrap=True)
    for mode in in_order_of_the_note(list(summary.modes)):
        _add(table, mode, summary)
    console.print(table)
    for sentence in verdict(summary):
        console.print(sentence, markup=False, highlight=False)
    for sentence in figures.caveats(summary.environment):
        console.print(sentence, style="yellow", markup=False, highlight=False)


def _add(table: Table, mode: str, summary: Summary) -> None:
    found, note = summary.modes[mode], prediction(mode)
    table.add_row(f"[bold]{mode}[/bold]")
    if note:
        accuracy = _BRIEFLY.get(_name(mode), note.accuracy)
        table.add_row("  predicted", accuracy, note.cost, note.latency, style="dim")
    latency = figures.seconds_pair(found.latency_s)
    table.add_row("  measured", _accuracy(found), _cost(mode, summary), latency, end_section=True)


def _name(mode: str) -> str:
    """Of a mode without its options and its pass."""
    return mode.removesuffix(WARM).partition("+")[0]


def _cost(mode: str, summary: Summary) -> str:
    cost = figures.thousand_questions(summary.modes[mode].cost_usd)
    basis = figures.basis(summary.environment, mode)
    return f"{cost} {basis}" if basis else cost


def _accuracy(found: ModeSummary) -> str:
    failed = f", {found.errors} failed" if found.errors else ""
    ungraded = f", {found.ungraded} ungraded" if found.ungraded else ""
    return f"{figures.percent_interval(found.accuracy)}, {found.n}{failed}{ungraded}"


def markdown(summary: Summary) -> str:
    """The same table in Markdown, with where it was measured under it."""
    lines = [
        "| mode | predicted: accuracy, cost, latency | accuracy (95 %), n | cost of 1,000 | latency p50 / p95 |",
        "|---|---|---|---|---|",
    ]
    for mode in in_order_of_the_note(list(summary.modes)):
        found, note = summary.modes[mode], prediction(mode)
        predicted = f"{_BRIEFLY.get(_name(mode), note.accuracy)}; {note.cost}; {note.latency}" if note else "-"
        cells = (f"`{mode}`", predicted, _accuracy(found), _cost(mode, summary), figures.seconds_pair(found.latency_s))
        lines.append(f"| {' | '.join(cells)} |")
    seen = summary.environment
    machine = f"{seen.machine.processor}, {seen.machine.cores} cores"
    where = f"{seen.questions} questions; {machine}; {seen.started_at[:10]}; commit {(seen.commit or 'unknown')[:9]}."
    return "\n".join([*lines, "", where, *figures.caveats(seen)])
