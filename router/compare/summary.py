"""From rows to numbers: what each mode scored, cost and took, and which differences between modes are real."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from statistics import fmean
from typing import Literal

from edgewise.types import Value
from router.compare import statistics
from router.compare.environment import Environment
from router.compare.rows import Row

Metric = Literal["accuracy", "f1", "cost_usd", "latency_s", "first_kept_s"]


class Interval(Value):
    """A mean and its 95 % bootstrap interval; None where it is unknown."""

    mean: float | None = None
    lo: float | None = None
    hi: float | None = None


class Quantiles(Value):
    p50: float | None = None
    p95: float | None = None


class ModeSummary(Value):
    """One mode. Failed answers count in `n` and score 0; they do not count in the times, which they would flatter.

    The rates are shares of all `n` questions; `flops` is a mean a question.
    """

    n: int
    errors: int
    accuracy: Interval
    f1: Interval
    cost_usd: Interval
    latency_s: Quantiles
    first_kept_s: Quantiles
    cloud_calls_per_question: float
    escalation_rate: float
    retraction_rate: float
    flops: float | None


class PairSummary(Value):
    """Mode `a` minus mode `b` on the `n` questions that both have; `p_holm` is adjusted over all pairs of a metric."""

    a: str
    b: str
    metric: Metric
    n: int
    diff: float
    lo: float
    hi: float
    p: float
    p_holm: float
    n_needed: int | None


class Summary(Value):
    modes: dict[str, ModeSummary]
    pairs: tuple[PairSummary, ...]
    groups: dict[str, dict[str, ModeSummary]]
    environment: Environment

    def pair(self, a: str, b: str, metric: Metric) -> PairSummary | None:
        """How `a` compares with `b`, whichever way round it was tested."""
        for found in self.pairs:
            if found.metric == metric and {found.a, found.b} == {a, b}:
                if found.a == a:
                    return found
                turned = {"a": a, "b": b, "diff": -found.diff, "lo": -found.hi, "hi": -found.lo}
                return found.model_copy(update=turned)
        return None


_VALUE: dict[Metric, Callable[[Row], float | None]] = {
    "accuracy": lambda row: row.score,
    "f1": lambda row: row.f1,
    "cost_usd": lambda row: row.cost_usd,
    "latency_s": lambda row: None if row.error else row.total_s,
    "first_kept_s": lambda row: None if row.error else row.first_kept_s,
}


def summarise(rows: Sequence[Row], modes: Sequence[str], environment: Environment) -> Summary:
    """The summary of all rows, modes in the order given and groups in the order of their names."""
    seed = environment.seed
    by_mode = {mode: [row for row in rows if row.mode == mode] for mode in modes}
    groups = sorted({row.group for row in rows if row.group})
    basis = {mode: tuple(sorted({row.cost_basis for row in own if row.cost_basis})) for mode, own in by_mode.items()}
    return Summary(
        modes={mode: _mode(own, seed) for mode, own in by_mode.items() if own},
        pairs=tuple(pair for metric in _VALUE for pair in _pairs(by_mode, metric, seed)),
        groups={
            group: {
                mode: _mode(own, seed)
                for mode, everything in by_mode.items()
                if (own := [row for row in everything if row.group == group])
            }
            for group in groups
        },
        environment=environment.model_copy(update={"cost_basis": basis}),
    )


def _mode(rows: Sequence[Row], seed: int) -> ModeSummary:
    n = len(rows)
    return ModeSummary(
        n=n,
        errors=sum(1 for row in rows if row.error),
        accuracy=_interval([row.score for row in rows if row.score is not None], seed),
        f1=_interval([row.f1 for row in rows if row.f1 is not None], seed),
        cost_usd=_interval(_known(rows, lambda row: row.cost_usd), seed),
        latency_s=_quantiles(rows, "latency_s"),
        first_kept_s=_quantiles(rows, "first_kept_s"),
        cloud_calls_per_question=sum(row.cloud_calls for row in rows) / n,
        escalation_rate=sum(1 for row in rows if row.cloud_generates) / n,
        retraction_rate=sum(1 for row in rows if row.retractions) / n,
        flops=fmean(flops) if (flops := _known(rows, lambda row: row.flops)) else None,
    )


def _known(rows: Sequence[Row], value: Callable[[Row], float | None]) -> list[float]:
    """The values if every answer has one, else none: a mean over the known ones alone would mislead."""
    if any(value(row) is None for row in rows if not row.error):
        return []
    return [known for row in rows if (known := value(row)) is not None]


def _interval(values: Sequence[float], seed: int) -> Interval:
    if not values:
        return Interval()
    mean, lo, hi = statistics.interval(values, seed)
    return Interval(mean=mean, lo=lo, hi=hi)


def _quantiles(rows: Sequence[Row], metric: Metric) -> Quantiles:
    values = [value for row in rows if (value := _VALUE[metric](row)) is not None]
    if not values:
        return Quantiles()
    p50, p95 = statistics.quantiles(values)
    return Quantiles(p50=p50, p95=p95)


def _pairs(by_mode: dict[str, list[Row]], metric: Metric, seed: int) -> list[PairSummary]:
    values = {mode: _by_question(rows, metric) for mode, rows in by_mode.items()}
    found = [pair for a, b in combinations(by_mode, 2) if (pair := _pair(a, b, metric, values, seed)) is not None]
    adjusted = statistics.holm([pair.p for pair in found])
    return [pair.model_copy(update={"p_holm": p}) for pair, p in zip(found, adjusted, strict=True)]


def _by_question(rows: Sequence[Row], metric: Metric) -> dict[str, float]:
    if metric == "cost_usd" and not _known(rows, _VALUE[metric]):
        return {}
    return {row.id: value for row in rows if (value := _VALUE[metric](row)) is not None}


def _pair(a: str, b: str, metric: Metric, values: dict[str, dict[str, float]], seed: int) -> PairSummary | None:
    of_a, of_b = values[a], values[b]
    shared = sorted(of_a.keys() & of_b.keys())
    if not shared:
        return None
    left, right = [of_a[key] for key in shared], [of_b[key] for key in shared]
    differences = [x - y for x, y in zip(left, right, strict=True)]
    diff, lo, hi = statistics.interval(differences, seed)
    right_or_wrong = metric == "accuracy" and {*left, *right} <= {0.0, 1.0}
    p = statistics.mcnemar(left, right) if right_or_wrong else statistics.bootstrap_p(differences, seed)
    return PairSummary(
        a=a,
        b=b,
        metric=metric,
        n=len(shared),
        diff=diff,
        lo=lo,
        hi=hi,
        p=p,
        p_holm=p,
        n_needed=statistics.n_needed(differences),
    )
