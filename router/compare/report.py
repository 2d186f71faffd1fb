"""`report.html`: one page that stands alone, to read, to print and to send. No script, no request to anybody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import groupby

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from router.compare import figures
from router.compare.chart import cost_accuracy
from router.compare.prediction import Prediction, in_order_of_the_note, prediction
from router.compare.questions import Graded
from router.compare.rows import Row
from router.compare.summary import Metric, ModeSummary, Summary
from router.compare.verdict import verdict

_METRICS: dict[Metric, str] = {
    "accuracy": "accuracy",
    "f1": "F1",
    "cost_usd": "cost of a question",
    "latency_s": "latency",
    "first_kept_s": "first kept token",
}


@dataclass(frozen=True, slots=True)
class _Column:
    mode: str
    note: Prediction | None
    found: ModeSummary
    basis: str


@dataclass(frozen=True, slots=True)
class _Asked:
    question: Graded
    rows: list[Row | None]  # in the order of the columns, None where the mode was not asked


def render(summary: Summary, questions: Sequence[Graded], rows: Sequence[Row]) -> str:
    """The page. Questions appear in the order of their file, under the heading of their group."""
    page = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    page.globals.update(figures=figures, difference=difference, spans=_spans)
    modes = in_order_of_the_note(list(summary.modes))
    columns = [
        _Column(mode, prediction(mode), summary.modes[mode], figures.basis(summary.environment, mode)) for mode in modes
    ]
    return page.from_string(_part("report.html.j2")).render(
        style=Markup(_part("report.css")),  # noqa: S704 - our own file
        summary=summary,
        environment=summary.environment,
        verdict=verdict(summary),
        caveats=figures.caveats(summary.environment),
        columns=columns,
        chart=cost_accuracy(summary),
        unpriced=[column.mode for column in columns if column.found.cost_usd.mean is None],
        metrics=[
            (name, [pair for pair in summary.pairs if pair.metric == metric]) for metric, name in _METRICS.items()
        ],
        groups=_groups(questions, modes, rows),
        degraded=sum(1 for row in rows if row.degraded),
    )


def difference(metric: Metric, value: float) -> str:
    """A difference between two modes, with its sign and in the unit of its metric."""
    if metric in {"accuracy", "f1"}:
        return f"{figures.points(value)} points"
    sign = "−" if value < 0 else "+"
    return sign + (figures.dollars(abs(value)) if metric == "cost_usd" else figures.seconds(abs(value)))


def _spans(columns: Sequence[_Column], field: str) -> list[tuple[str, int]]:
    """What the note says in one row, and over how many modes: neighbours of one column of the note share a cell."""
    nothing = "not in the note" if field == "column" else "–"

    def said(column: _Column) -> tuple[str, str]:
        return (column.note.column, str(getattr(column.note, field))) if column.note else ("", nothing)

    return [(text, len(list(found))) for (_, text), found in groupby(columns, key=said)]


def _groups(questions: Sequence[Graded], modes: list[str], rows: Sequence[Row]) -> list[tuple[str, list[_Asked]]]:
    found = {(row.id, row.mode): row for row in rows}
    groups: dict[str, list[_Asked]] = {}
    for question in questions:
        own = [found.get((question.id, mode)) for mode in modes]
        groups.setdefault(question.group, []).append(_Asked(question, own))
    return sorted(groups.items())


def _part(name: str) -> str:
    return files("router.compare").joinpath(name).read_text(encoding="utf-8")
