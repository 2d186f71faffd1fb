"""Is the right passage among the first ones? And does the gate know when there is none?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from edge.context import distinct
from edge.ranking.models import Models, models
from edge.retriever import weighed
from tests.bench.rag.evidence import Case
from tests.bench.rag.fit import fit
from tests.bench.rag.sets import folds

_FOLDS = 6
_K = 10


@dataclass(frozen=True, slots=True)
class Judged:
    """A case, which of its first passages are gold, and how answerable the gate thinks it."""

    case: Case
    gold: tuple[bool, ...]
    answerable: float


def judged(cases: Sequence[Case], crossed: Mapping[str, Models] | None) -> list[Judged]:
    """With the weights that are shipped, or with those that never saw the article of a question."""
    return [_judge(one, crossed[one.asked.group] if crossed else models(one.search.kind)) for one in cases]


def cross_fitted(cases: Sequence[Case], other_sets: Sequence[Case]) -> dict[str, Models]:
    """For each article models that never saw its questions; they did see those of other sets, as the shipped ones."""
    also = [case for case in other_sets if case.search.kind == cases[0].search.kind]
    fitted: dict[str, Models] = {}
    for held_out in folds([case.asked.group for case in cases], _FOLDS):
        fitted |= dict.fromkeys(held_out, fit([one for one in (*cases, *also) if one.asked.group not in held_out]))
    return fitted


def _judge(case: Case, kind: Models) -> Judged:
    passages, answerable = weighed(case.search, kind)
    gold = {found.passage.id for found, is_gold in zip(case.search.found, case.gold, strict=True) if is_gold}
    return Judged(case, tuple(passage.id in gold for passage in distinct(passages, _K)), answerable)


def ranks(done: Sequence[Judged]) -> list[dict[str, object]]:
    """A row for what is given, and for what each search and their plain fusion would give."""
    there = [one for one in done if one.case.condition == "there"]
    orders: Mapping[str, Callable[[Judged], Sequence[bool]]] = {
        "edgewise": lambda one: one.gold,
        "fusion without weighing": lambda one: one.case.gold,
        "words": lambda one: one.case.lexical_gold,
        "vectors": lambda one: one.case.dense_gold,
    }
    return [
        {"order": order, "n": len(there)} | dict(_metrics([(gold(one), len(one.case.asked.gold)) for one in there]))
        for order, gold in orders.items()
    ]


def _metrics(orders: Sequence[tuple[Sequence[bool], int]]) -> Iterator[tuple[str, float]]:
    for k in (5, 10):
        yield f"recall{k}", _mean([sum(gold[:k]) / there for gold, there in orders])
    yield "allgold5", _mean([float(sum(gold[:5]) == there) for gold, there in orders])
    yield "ndcg10", _mean([_gain(gold[:_K]) / _gain([True] * min(there, _K)) for gold, there in orders])
    yield "mrr10", _mean([next((1 / rank for rank, one in enumerate(gold[:_K], 1) if one), 0.0) for gold, _ in orders])


def gate(done: Sequence[Judged], threshold: float) -> list[dict[str, object]]:
    """How well questions whose answer is there are told from others, and what is refused at a threshold."""
    there = [one.answerable for one in done if one.case.condition == "there"]
    rows: list[dict[str, object]] = []
    for condition in ("article_gone", "passage_gone"):
        gone = [one.answerable for one in done if one.case.condition == condition]
        rows.append(
            {
                "without": condition,
                "n": len(gone),
                "auc": _auc(there, gone),
                "threshold": threshold,
                "refused": _mean([float(value < threshold) for value in gone]),
                "answerable_refused": _mean([float(value < threshold) for value in there]),
            }
        )
    return rows


def _gain(gold: Sequence[bool]) -> float:
    return sum(1 / math.log2(rank + 1) for rank, one in enumerate(gold, 1) if one)


def _auc(positive: Sequence[float], negative: Sequence[float]) -> float:
    """The probability that one of the first is above one of the second; ties count half."""
    from scipy.stats import mannwhitneyu

    return float(mannwhitneyu(positive, negative).statistic) / (len(positive) * len(negative))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
