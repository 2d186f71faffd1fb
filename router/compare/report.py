"""`report.html`: one page that stands alone, to read, to print and to send. It makes no request to anybody.

Its one script only filters and arranges what is there already: without it, the page is complete.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import groupby

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from router.compare import figures
from router.compare.chart import cost_accuracy, latency_accuracy
from router.compare.columns import METRICS
from router.compare.drilldown import drilldown
from router.compare.prediction import Prediction, in_order_of_the_note, prediction
from router.compare.questions import Graded
from router.compare.rows import Row
from router.compare.summary import Metric, ModeSummary, PairSummary, Stratum, Summary
from router.compare.verdict import MARGIN, headline, verdict

_NAMES: dict[Metric, str] = {
    "accuracy": "accuracy",
    "f1": "F1",
    "cost_usd": "cost of a question",
    "latency_s": "latency",
    "first_kept_s": "first kept token",
    "first_shown_s": "first shown token",
}
_STRATA_SHOWN = 200


@dataclass(frozen=True, slots=True)
class _Column:
    mode: str
    note: Prediction | None
    found: ModeSummary
    basis: str


def render(summary: Summary, questions: Sequence[Graded], rows: Sequence[Row]) -> str:
    """The page. Questions appear in the order of their file, under the heading of their group."""
    page = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    page.globals.update(figures=figures, difference=difference, between=between, effect=effect, spans=_spans)
    modes = in_order_of_the_note(list(summary.modes))
    columns = [
        _Column(mode, prediction(mode), summary.modes[mode], figures.basis(summary.environment, mode)) for mode in modes
    ]
    script = _part("report.js")
    return page.from_string(
        _part("report.html.j2")
    ).render(
        style=Markup(_part("report.css")),  # noqa: S704 - our own file
        script=Markup(script),  # noqa: S704 - our own file
        script_hash=_hash(script),
        summary=summary,
        environment=summary.environment,
        verdict=verdict(summary),
        margin=100 * MARGIN,
        caveats=figures.caveats(summary.environment),
        columns=columns,
        charts=[
            (title, chart)
            for title, chart in (
                ("What accuracy costs", cost_accuracy(summary)),
                ("How long accuracy takes", latency_accuracy(summary)),
            )
            if chart
        ],
        unpriced=[column.mode for column in columns if column.found.cost_usd.mean is None],
        metrics=[(_NAMES[metric], [pair for pair in summary.pairs if pair.metric == metric]) for metric in METRICS],
        strata=sorted(summary.strata, key=_by_p)[:_STRATA_SHOWN] if len(summary.groups) > 1 else [],
        drilldown=drilldown(questions, modes, rows),
        beside=_beside(summary, modes),
        degraded=sum(1 for row in rows if row.degraded),
    )


def difference(metric: Metric, value: float) -> str:
    """A difference between two modes, with its sign and in the unit of its metric."""
    if metric in {"accuracy", "f1"}:
        return f"{figures.points(value)} points"
    sign = "−" if value < 0 else "+"
    return sign + (figures.dollars(abs(value)) if metric == "cost_usd" else figures.seconds(abs(value)))


def between(pair: PairSummary) -> str:
    """The interval of a difference, its unit written once where that is points."""
    if pair.lo is None or pair.hi is None:
        return figures.UNKNOWN
    if pair.metric in {"accuracy", "f1"}:
        return f"{figures.points(pair.lo)} to {figures.points(pair.hi)}"
    return f"{difference(pair.metric, pair.lo)} to {difference(pair.metric, pair.hi)}"


def effect(pair: PairSummary) -> str:
    """The effect size and its name: g says who wins where the two differ, d counts standard deviations."""
    if pair.effect is None:
        return "–"
    return f"{'g' if pair.test == 'mcnemar' else 'd'} = {pair.effect:+.2f}"


def _by_p(stratum: Stratum) -> tuple[float, float]:
    return stratum.p_holm, stratum.p


def _beside(summary: Summary, modes: Sequence[str]) -> tuple[str, str]:
    """The two modes whose answers are set side by side at first: those that the verdict compares."""
    pair = headline(summary)
    return (pair.a, pair.b) if pair else (modes[0], modes[-1]) if modes else ("", "")


def _hash(script: str) -> str:
    """What the page's policy allows to run (CSP level 2): this script, as it stands between its tags."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _spans(columns: Sequence[_Column], field: str) -> list[tuple[str, int]]:
    """What the note says in one row, and over how many modes: neighbours of one column of the note share a cell."""
    nothing = "not in the note" if field == "column" else "–"

    def said(column: _Column) -> tuple[str, str]:
        return (column.note.column, str(getattr(column.note, field))) if column.note else ("", nothing)

    return [(text, len(list(found))) for (_, text), found in groupby(columns, key=said)]


def _part(name: str) -> str:
    return files("router.compare").joinpath(name).read_text(encoding="utf-8")
