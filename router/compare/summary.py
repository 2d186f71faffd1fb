"""From rows to numbers: what each mode scored, cost and took, and which differences between modes are real."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from edgewise.types import CostBasis, Value
from router.compare import statistics
from router.compare.columns import METRICS, Columns, Numbers, columns_of
from router.compare.columns import Metric as Metric
from router.compare.environment import Environment
from router.compare.rows import Row
from router.compare.statistics import Estimate, Tally

_SCORES: tuple[Metric, ...] = ("accuracy", "f1")
_AMOUNTS: tuple[Metric, ...] = ("cost_usd", "latency_s", "first_kept_s", "first_shown_s")
_RATIOS: tuple[Metric, ...] = ("cost_usd", "latency_s")
_FEWEST_RESAMPLES = 2_000  # enough for an interval
_DRAWS = 25_000_000  # resamples of this many questions in all, then fewer: bounds the time, and matters less for many

_Key = tuple[str, ...]


class Interval(Value):
    """A mean and its 95 % interval; None where it is unknown, or where one question says nothing about others."""

    mean: float | None = None
    lo: float | None = None
    hi: float | None = None


class Quantiles(Value):
    """Median, 95th percentile and mean, each with its 95 % interval; None where there are too few answers for one."""

    p50: float | None = None
    p95: float | None = None
    p50_lo: float | None = None
    p50_hi: float | None = None
    p95_lo: float | None = None
    p95_hi: float | None = None
    mean: float | None = None
    lo: float | None = None
    hi: float | None = None


class ModeSummary(Value):
    """One mode. Failed answers count in `n` and score 0; they do not count in the times, which they would flatter.

    Ungraded ones count in neither accuracy nor F1. The rates are shares of all `n` questions, `flops` a mean of them.
    """

    n: int
    errors: int
    ungraded: int
    accuracy: Interval
    f1: Interval
    cost_usd: Interval
    latency_s: Quantiles
    first_kept_s: Quantiles
    first_shown_s: Quantiles
    cloud_calls_per_question: float
    escalation_rate: float
    retraction_rate: float
    flops: float | None


class PairSummary(Value):
    """Mode `a` minus mode `b` on the `n` questions that both have; `p_holm` is adjusted over all pairs of a metric.

    `n_needed` is how many questions in all would show a difference of this size as one test at 5 %, with 80 % power;
    `n_more` how many are missing for this one among all its pairs: 0 where `p_holm` is below 0.05, None where no
    difference was seen. `effect` is Cohen's g of a McNemar test and d_z of a bootstrap. `ratio` is a's mean over b's.
    """

    a: str
    b: str
    metric: Metric
    n: int
    diff: float
    lo: float | None
    hi: float | None
    p: float
    p_holm: float
    n_needed: int | None
    n_more: int | None = None
    test: Literal["mcnemar", "bootstrap"]
    effect: float | None
    ratio: float | None = None
    ratio_lo: float | None = None
    ratio_hi: float | None = None


class Stratum(PairSummary):
    """A pair's accuracy within one group of questions; `p_holm` is adjusted over all pairs in all groups."""

    group: str


class Summary(Value):
    modes: dict[str, ModeSummary]
    pairs: tuple[PairSummary, ...]
    groups: dict[str, dict[str, ModeSummary]]
    strata: tuple[Stratum, ...]
    environment: Environment

    def pair(self, a: str, b: str, metric: Metric) -> PairSummary | None:
        """How `a` compares with `b`, whichever way round it was tested."""
        for found in self.pairs:
            if found.metric == metric and {found.a, found.b} == {a, b}:
                return found if found.a == a else turned(found)
        return None


def turned(pair: PairSummary) -> PairSummary:
    """The same pair seen from its other mode."""

    def minus(value: float | None) -> float | None:
        return None if value is None else -value

    return pair.model_copy(
        update={
            "a": pair.b,
            "b": pair.a,
            "diff": -pair.diff,
            "lo": minus(pair.hi),
            "hi": minus(pair.lo),
            "effect": minus(pair.effect),
            "ratio": _inverse(pair.ratio),
            "ratio_lo": _inverse(pair.ratio_hi),
            "ratio_hi": _inverse(pair.ratio_lo),
        }
    )


def _inverse(value: float | None) -> float | None:
    return 1 / value if value else None


def summarise(rows: Sequence[Row], modes: Sequence[str], environment: Environment) -> Summary:
    """The summary of all rows, modes in the order given and groups in the order of their names.

    InvalidInput where a row is there twice or one of its numbers is none.
    """
    seed = environment.seed
    columns = columns_of(rows, modes)
    parts = {str(group): columns.part(str(group)) for group in np.unique(columns.groups) if group}
    whole = _measure(columns, tuple(METRICS), seed, _resamples(columns))
    inside = {name: _measure(part, ("accuracy",), seed, _FEWEST_RESAMPLES) for name, part in parts.items()}
    tested = [(group, each) for group, found in inside.items() for each in found.tested]
    strata = zip(tested, _adjusted([each for _, each in tested]), strict=True)
    bases: dict[str, set[CostBasis]] = {mode: set() for mode in modes}
    for row in rows:
        if row.cost_basis and row.mode in bases:
            bases[row.mode].add(row.cost_basis)
    return Summary(
        modes=whole.modes,
        pairs=tuple(
            pair
            for metric in METRICS
            for pair in _adjusted([each for each in whole.tested if each.pair.metric == metric])
        ),
        groups={name: found.modes for name, found in inside.items()},
        strata=tuple(Stratum(group=group, **dict(pair)) for (group, _), pair in strata),
        environment=environment.model_copy(
            update={"cost_basis": {mode: tuple(sorted(found)) for mode, found in bases.items()}}
        ),
    )


def _resamples(columns: Columns) -> int:
    """At least so many that the smallest p, times the number of pairs, is still below 0.05."""
    affordable = min(statistics.RESAMPLES, _DRAWS // max(1, len(columns.groups)))
    return max(_FEWEST_RESAMPLES, 40 * math.comb(len(columns.modes), 2), affordable)


@dataclass(frozen=True, slots=True)
class _Difference:
    """Two modes on the questions that both have: all numbers paired, NaN where one of them has none."""

    a: str
    b: str
    metric: Metric
    left: Numbers
    right: Numbers

    @property
    def values(self) -> Numbers:
        return self.left - self.right

    @property
    def known(self) -> Numbers:
        found = self.values
        return found[~np.isnan(found)]

    @property
    def tally(self) -> Tally | None:
        """Where both modes are right or wrong and nothing in between."""
        if self.metric not in _SCORES:
            return None
        shared = ~np.isnan(self.values)
        left, right = self.left[shared], self.right[shared]
        whole = bool(np.isin(left, (0.0, 1.0)).all() and np.isin(right, (0.0, 1.0)).all())
        return statistics.tally(left, right) if whole else None

    @property
    def means(self) -> tuple[float, float]:
        shared = ~np.isnan(self.values)
        return float(self.left[shared].mean()), float(self.right[shared].mean())

    @property
    def errors(self) -> Numbers | None:
        """Of the ratio of the smaller mean to the larger, so that it does not matter which mode is named first."""
        ours, theirs = self.means
        if self.metric not in _RATIOS or max(ours, theirs) <= 0:
            return None
        return statistics.ratio_errors(*((self.right, self.left) if ours > theirs else (self.left, self.right)))


@dataclass(frozen=True, slots=True)
class _Tested:
    pair: PairSummary
    needed: Callable[[float], int | None]  # questions in all, by the p-value to reach


@dataclass(frozen=True, slots=True)
class _Measured:
    modes: dict[str, ModeSummary]
    tested: list[_Tested]


def _measure(columns: Columns, metrics: Sequence[Metric], seed: int, resamples: int) -> _Measured:
    """Every mode, and every pair of modes in these metrics, with one pass of resamples for all of them."""
    modes = [mode for mode in columns.modes if columns.asked(mode)]
    differences = list(_differences(columns, modes, metrics))
    wanted: dict[_Key, Numbers] = {}
    for mode in modes:
        wanted.update({(metric, mode): found for metric in _AMOUNTS if _some(found := columns.of(metric, mode))})
    tallies: dict[_Key, Tally] = {}
    for each in differences:
        key = (each.metric, each.a, each.b)
        if tally := each.tally:
            tallies[key] = tally
        else:
            wanted[key] = each.values
        if (errors := each.errors) is not None:
            wanted["ratio", *key] = errors
    estimates = statistics.means(wanted, seed, resamples) | statistics.share_differences(tallies)
    return _Measured(
        modes={mode: _mode(columns, mode, estimates) for mode in modes},
        tested=[_tested(each, tallies.get((each.metric, each.a, each.b)), estimates) for each in differences],
    )


def _differences(columns: Columns, modes: Sequence[str], metrics: Sequence[Metric]) -> Iterator[_Difference]:
    for metric in metrics:
        of = {mode: columns.of(metric, mode) for mode in modes}
        for a, b in combinations(modes, 2):
            if _some(of[a] - of[b]):
                yield _Difference(a, b, metric, of[a], of[b])


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _some(column: Numbers) -> bool:
    return not bool(np.isnan(column).all())


def _mode(columns: Columns, mode: str, estimates: Mapping[_Key, Estimate]) -> ModeSummary:
    flops = columns.count("flops", mode)
    return ModeSummary(
        n=len(columns.count("failed", mode)),
        errors=int(columns.count("failed", mode).sum()),
        ungraded=int(columns.count("ungraded", mode).sum()),
        accuracy=_share(columns.of("accuracy", mode)),
        f1=_share(columns.of("f1", mode)),
        cost_usd=_amount(estimates.get(("cost_usd", mode))),
        latency_s=_times(columns.of("latency_s", mode), estimates.get(("latency_s", mode))),
        first_kept_s=_times(columns.of("first_kept_s", mode), estimates.get(("first_kept_s", mode))),
        first_shown_s=_times(columns.of("first_shown_s", mode), estimates.get(("first_shown_s", mode))),
        cloud_calls_per_question=float(columns.count("cloud_calls", mode).mean()),
        escalation_rate=float(columns.count("escalated", mode).mean()),
        retraction_rate=float(columns.count("retracted", mode).mean()),
        flops=float(flops.mean()) if len(flops) else None,
    )


def _share(scores: Numbers) -> Interval:
    known = scores[~np.isnan(scores)]
    if not len(known):
        return Interval()
    mean, lo, hi = statistics.share_interval(known)
    return Interval(mean=mean, lo=lo, hi=hi)


def _amount(found: Estimate | None) -> Interval:
    if found is None:
        return Interval()
    lo, hi = _ends(found, 0.0, math.inf)
    return Interval(mean=found.mean, lo=lo, hi=hi)


def _times(seconds: Numbers, found: Estimate | None) -> Quantiles:
    if found is None:
        return Quantiles()
    known = seconds[~np.isnan(seconds)]
    p50, p95 = statistics.quantile(known, 0.5), statistics.quantile(known, 0.95)
    mean = _amount(found)
    return Quantiles(
        p50=p50[0],
        p95=p95[0],
        p50_lo=_finite(p50[1]),
        p50_hi=_finite(p50[2]),
        p95_lo=_finite(p95[1]),
        p95_hi=_finite(p95[2]),
        mean=mean.mean,
        lo=mean.lo,
        hi=mean.hi,
    )


def _tested(each: _Difference, tally: Tally | None, estimates: Mapping[_Key, Estimate]) -> _Tested:
    found = estimates[each.metric, each.a, each.b]
    lo, hi = _ends(found, *((-1.0, 1.0) if each.metric in _SCORES else (-math.inf, math.inf)))
    known = each.known

    def needed(alpha: float) -> int | None:
        return statistics.n_needed_of_shares(tally, alpha) if tally else statistics.n_needed(known, alpha)

    ratio, ratio_lo, ratio_hi = _ratio(each, estimates)
    pair = PairSummary(
        a=each.a,
        b=each.b,
        metric=each.metric,
        n=found.n,
        diff=found.mean,
        lo=lo,
        hi=hi,
        p=found.p,
        p_holm=found.p,
        n_needed=needed(statistics.ALPHA),
        test="mcnemar" if tally else "bootstrap",
        effect=statistics.cohens_g(tally) if tally else statistics.cohens_d(known),
        ratio=ratio,
        ratio_lo=ratio_lo,
        ratio_hi=ratio_hi,
    )
    return _Tested(pair, needed)


def _ratio(each: _Difference, estimates: Mapping[_Key, Estimate]) -> tuple[float | None, float | None, float | None]:
    error = estimates.get(("ratio", each.metric, each.a, each.b))
    if error is None:
        return None, None, None
    ours, theirs = each.means
    ratio, half = min(ours, theirs) / max(ours, theirs), (error.hi - error.lo) / 2
    lo, hi = (max(0.0, ratio - half), ratio + half) if math.isfinite(half) else (None, None)
    return (_inverse(ratio), _inverse(hi), _inverse(lo)) if ours > theirs else (ratio, lo, hi)


def _adjusted(tested: Sequence[_Tested]) -> list[PairSummary]:
    """Pairs with p adjusted for the number of them, and how many questions each still needs among so many."""
    pairs: list[PairSummary] = []
    for each, p in zip(tested, statistics.holm([each.pair.p for each in tested]), strict=True):
        needed = each.needed(statistics.ALPHA / len(tested))
        missing = None if needed is None else max(1, needed - each.pair.n)
        decided = p < statistics.ALPHA
        pairs.append(each.pair.model_copy(update={"p_holm": p, "n_more": 0 if decided else missing}))
    return pairs


def _ends(found: Estimate, floor: float, ceiling: float) -> tuple[float | None, float | None]:
    if not math.isfinite(found.lo) or not math.isfinite(found.hi):
        return None, None
    return max(floor, found.lo), min(ceiling, found.hi)
