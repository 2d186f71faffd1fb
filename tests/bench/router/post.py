"""After an answer was written: who should be asked again, how sure one may be, and what both decisions save."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from router.arbiter.answers import seen
from router.arbiter.cascade import fit_both
from router.arbiter.ensemble import Ensemble
from router.arbiter.features import surface
from router.arbiter.labels import Labels
from router.arbiter.metrics import Curve, Floats, Interval, Ints, Outcomes, auroc, bootstrap, brier, ece
from router.arbiter.training import fit_gain, fit_trust
from tests.bench.router.baselines import BASELINES, Known, Router, folds
from tests.bench.router.tables import Row, row

_FOLDS = 5
_PRICES = 400


@dataclass(frozen=True, slots=True)
class Written:
    """Graded questions with the weak side's answers, and the sentence embeddings of both, [questions, dimension]."""

    labels: Labels
    of_questions: Floats
    of_answers: Floats

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Ints) -> Written:
        return Written(self.labels.take(rows), self.of_questions[rows], self.of_answers[rows])


def trusted(fitted: Ensemble, asked: Written) -> Floats:
    """The probability that each answer is right."""
    found = []
    for answer, vector in zip(asked.labels.answers, asked.of_answers, strict=True):
        values = seen(answer, fitted.about.groups)
        assert values is not None
        found.append(fitted.of(f"{answer.question} {answer.text}", np.array(values), vector).value)
    return np.array(found)


def doubts(learned: Written, scored: Written) -> Floats:
    """How probably each answer is wrong."""
    return -trusted(fit_trust(learned.labels, learned.of_answers, ""), scored)


def expected(fitted: Ensemble, asked: Written) -> Floats:
    """The gain of each question."""
    pairs = zip(asked.labels.prompts, asked.of_questions, strict=True)
    return np.array([fitted.of(prompt, np.array(surface(prompt)), vector).value for prompt, vector in pairs])


def format_only(_: Written, scored: Written) -> Floats:
    """Whether the answer comes to an end: it says what it is, and its last character ends a sentence or a number."""
    texts = [answer.text.rstrip() for answer in scored.labels.answers]
    ends = [text[-1:].isdigit() or text.endswith((".", "!", ")")) for text in texts]
    marked = ["####" in text or "\nA:" in text for text in texts]
    return -np.array([2.0 * one + other for one, other in zip(marked, ends, strict=True)])


def _of_questions(router: Router) -> Callable[[Written, Written], Floats]:
    return lambda learned, scored: router(
        Known(learned.labels, learned.of_questions), Known(scored.labels, scored.of_questions)
    )


JUDGES: Mapping[str, Callable[[Written, Written], Floats]] = {
    **{name: _of_questions(router) for name, router in BASELINES.items() if name != "prior"},
    "format": format_only,
    "ours": doubts,
}


def crossed(asked: Written, judge: Callable[[Written, Written], Floats], parts: Sequence[Ints]) -> Floats:
    scores = np.empty(len(asked))
    for held_out in parts:
        others = np.setdiff1d(np.arange(len(asked)), held_out)
        scores[held_out] = judge(asked.take(others), asked.take(held_out))
    return scores


# --- trust in the real edge model -------------------------------------------------------------------------------------


def calibration(record: Written, sets: Sequence[str], resamples: int) -> list[Row]:
    """Trust in answers to questions about articles that it never saw, beside the mean log-probability alone."""
    right = record.labels.outcomes.weak
    plain = replace(record, labels=replace(record.labels, answers=tuple(
        replace(answer, samples=()) for answer in record.labels.answers
    )))  # fmt: skip
    parts = by_group(record.labels.groups)
    trust = {
        "mean logprob": np.exp([float(np.mean(answer.logprobs)) for answer in record.labels.answers]),
        "ours": -crossed(plain, doubts, parts),
        "ours, two samples": -crossed(record, doubts, parts),
    }
    found = []
    for name, values in trust.items():
        for some in ("all", *dict.fromkeys(sets)):
            rows = np.array([some in {"all", one} for one in sets])
            found.append({"judge": name, "set": some} | _calibrated(values[rows], right[rows], resamples))
    return found


def _calibrated(trust: Floats, right: Floats, resamples: int) -> Row:
    return {
        "n": len(right),
        "right": float(right.mean()),
        "auroc": row(bootstrap(lambda at: auroc(trust[at], right[at]), len(right), resamples)),
        "ece": ece(trust, right),
        "brier": brier(trust, right),
    }


def by_group(groups: Sequence[str]) -> list[Ints]:
    """Folds in which a group is whole."""
    unique, inverse = np.unique(np.array(groups), return_inverse=True)
    return [np.flatnonzero(np.isin(inverse, part)) for part in folds(len(unique), _FOLDS, seed=2)]


# --- before, after, and both ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Foreseen:
    """Of each question: the gain expected before, after by trust alone, after by both, and what a draft may change.

    `usd_before` and `usd_after` are what the strong side is expected to cost, from the length of the question, and
    from that of the draft too.
    """

    before: Floats
    after: Floats
    both: Floats
    changes: Floats
    usd_before: Floats
    usd_after: Floats


@dataclass(frozen=True, slots=True)
class _Paid:
    """What each question was answered with at each price of money, [prices, questions]: its quality and its cost."""

    quality: Floats
    usd: Floats


def spending(asked: Written, ratios: Sequence[float], resamples: int) -> list[Row]:
    """Before, after and both, by the area under the recovered gap against what was spent, in USD.

    The money of every call counts: a draft that is thrown away was paid for. 0 is the weak side alone, 1 the strong
    side alone. `ratios` are what an answer of the weak side costs in those of the strong side; 0 is as it is.
    """
    foreseen = _foreseen(asked)
    found: list[Row] = []
    for ratio in ratios:
        outcomes = _priced(asked.labels.outcomes, ratio)
        ways = _ways(foreseen, outcomes)
        areas = {name: _area(paid, outcomes, np.arange(len(asked))) for name, paid in ways.items()}
        alone = max(("before", "after"), key=areas.__getitem__)
        found += [
            {
                "way": name,
                "n": len(asked),
                "weak_costs": _costs(outcomes),
                "area": row(_compared(paid, None, outcomes, resamples)),
                "against": alone,
                "difference": row(_compared(paid, ways[alone], outcomes, resamples)),
            }
            for name, paid in ways.items()
        ]
    return found


def _costs(outcomes: Outcomes) -> float:
    """Of an answer of the weak side, in those of the strong side."""
    assert outcomes.weak_usd is not None
    assert outcomes.strong_usd is not None
    return float(outcomes.weak_usd.mean() / outcomes.strong_usd.mean())


def _priced(outcomes: Outcomes, ratio: float) -> Outcomes:
    assert outcomes.weak_usd is not None
    factor = ratio / _costs(outcomes) if ratio else 1.0
    return replace(outcomes, weak_usd=outcomes.weak_usd * factor)


def _foreseen(asked: Written) -> _Foreseen:
    """Every question by weights that did not see it."""
    count, outcomes = len(asked), asked.labels.outcomes
    before, after, both, usd_before, usd_after = (np.empty(count) for _ in range(5))
    changes: list[Floats] = [np.empty(0)] * count
    letters = np.log([len(prompt) for prompt in asked.labels.prompts])
    drafts = np.log([1 + len(answer.text) for answer in asked.labels.answers])
    for held_out in folds(count, _FOLDS):
        others = np.setdiff1d(np.arange(count), held_out)
        learned, scored = asked.take(others), asked.take(held_out)
        of_gain = fit_gain(learned.labels, learned.of_questions, "")
        of_trust = fit_trust(learned.labels, learned.of_answers, "")
        gains = outcomes.strong[others] - outcomes.weak[others]
        of_both = fit_both(of_gain.held_out[:, 0], of_trust.held_out[:, 0], gains)
        before[held_out], trust = expected(of_gain, scored), trusted(of_trust, scored)
        after[held_out] = outcomes.strong[others].mean() - trust
        both[held_out] = [of_both.after(gain, sure) for gain, sure in zip(before[held_out], trust, strict=True)]
        for place in held_out:
            changes[place] = np.array(of_both.changes)
        for usd, known in ((usd_before, (letters,)), (usd_after, (letters, drafts))):
            usd[held_out] = _expected_usd(np.column_stack([np.ones(count), *known]), outcomes, others, held_out)
    return _Foreseen(before, after, both, np.stack(changes), usd_before, usd_after)


def _expected_usd(known: Floats, outcomes: Outcomes, learned: Ints, asked: Ints) -> Floats:
    assert outcomes.strong_usd is not None
    weights = np.linalg.lstsq(known[learned], np.log(outcomes.strong_usd[learned]), rcond=None)[0]
    return np.exp(known[asked] @ weights)


def _ways(foreseen: _Foreseen, outcomes: Outcomes) -> dict[str, _Paid]:
    """At each price, which is the gain that a USD must bring."""
    assert outcomes.weak_usd is not None
    assert outcomes.strong_usd is not None
    weak, strong, never = outcomes.weak_usd, outcomes.strong_usd, np.zeros(len(outcomes), bool)
    worth = (
        foreseen.before / foreseen.usd_before, foreseen.after / foreseen.usd_after, foreseen.both / foreseen.usd_after
    )  # fmt: skip
    prices = np.quantile(np.concatenate(worth), np.linspace(0, 1, _PRICES))
    found: dict[str, list[tuple[Floats, Floats]]] = {"before": [], "after": [], "both": []}
    for price in (2 * prices[0] - 1.0, *prices, 2 * prices[-1] + 1.0):
        wanted = price * foreseen.usd_before
        saves = np.maximum(0.0, wanted[:, None] - foreseen.before[:, None] - foreseen.changes).mean(axis=1)
        hopeless = saves < max(0.0, price) * weak.mean() if price > 0 else ~never
        for way, at_once, again in (
            ("before", foreseen.before >= wanted, never),
            ("after", never, foreseen.after >= price * foreseen.usd_after),
            ("both", hopeless, ~hopeless & (foreseen.both >= price * foreseen.usd_after)),
        ):
            usd = np.where(at_once, strong, weak + np.where(again, strong, 0.0))
            found[way].append((np.where(at_once | again, outcomes.strong, outcomes.weak), usd))
    return {way: _Paid(*(np.stack(list(values)) for values in zip(*rows, strict=True))) for way, rows in found.items()}


def _compared(paid: _Paid, other: _Paid | None, outcomes: Outcomes, resamples: int) -> Interval:
    def of(at: Ints) -> float:
        return _area(paid, outcomes, at) - (0.0 if other is None else _area(other, outcomes, at))

    return bootstrap(of, len(outcomes), resamples)


def _area(paid: _Paid, outcomes: Outcomes, at: Ints) -> float:
    assert outcomes.weak_usd is not None
    assert outcomes.strong_usd is not None
    weak_usd, weak = outcomes.weak_usd[at].mean(), outcomes.weak[at].mean()
    gap = outcomes.strong[at].mean() - weak
    if gap <= 0:
        raise ValueError("there is no gap to recover")
    spent = (paid.usd[:, at].mean(axis=1) - weak_usd) / (outcomes.strong_usd[at].mean() - weak_usd)
    recovered = (paid.quality[:, at].mean(axis=1) - weak) / gap
    order = np.argsort(spent, kind="stable")
    return Curve(np.maximum(0.0, spent[order]), recovered[order]).area
