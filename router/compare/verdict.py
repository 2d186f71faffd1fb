"""The result of a comparison in plain sentences that claim no more than the intervals allow."""

from __future__ import annotations

from collections.abc import Sequence

from router.compare import figures
from router.compare.front import pareto
from router.compare.statistics import ALPHA
from router.compare.summary import ModeSummary, PairSummary, Stratum, Summary, turned

MARGIN = 0.05  # as accurate as another: the whole 95 % interval of the difference lies within this
_BASELINE = "cloud_only"
_NAMED = 3


def verdict(summary: Summary) -> list[str]:
    """The best mode; one comparison that matters; who else is worth a look; and where the picture turns around."""
    if not summary.modes:
        return ["Nothing has been asked yet."]
    if all(found.errors == found.n for found in summary.modes.values()):
        return ["Every answer failed, so there is nothing to compare; records.jsonl has the reason of each."]
    graded = {mode: found for mode, found in summary.modes.items() if found.accuracy.mean is not None}
    if len(summary.modes) == 1 and graded:
        return [_alone(*next(iter(graded.items()))), *_failed(summary)]
    said = _of_accuracy(summary.model_copy(update={"modes": graded})) if graded else []
    ungraded = [mode for mode in summary.modes if mode not in graded]
    if ungraded:
        said.append(f"No answer of {_listed(ungraded)} is graded, so nothing is known of how right they are.")
    if len(summary.modes) > 1:
        said += _fastest(summary)
    return said + _failed(summary)


def _of_accuracy(summary: Summary) -> list[str]:
    ranked = _ranked(summary)
    if len(ranked) == 1:
        found = summary.modes[ranked[0]]
        return [f"Right in {ranked[0]}: {figures.percent_interval(found.accuracy)} of its {found.n:,} questions."]
    said = [_most_accurate(summary, ranked)]
    pair = _headline(summary, ranked)
    if pair and summary.modes[ranked[0]].accuracy.mean:
        said.append(_compared(summary, pair))
        said += _turning(summary, pair)
    return said + _cheapest(summary, ranked, pair) + _front(summary)


def headline(summary: Summary) -> PairSummary | None:
    """The pair that the verdict compares, None if there are not two modes."""
    ranked = _ranked(summary)
    return _headline(summary, ranked) if len(ranked) > 1 else None


def _ranked(summary: Summary) -> list[str]:
    return sorted(summary.modes, key=lambda mode: -(summary.modes[mode].accuracy.mean or 0.0))


def _alone(mode: str, found: ModeSummary) -> str:
    return (
        f"Only {mode} was asked: {figures.percent_interval(found.accuracy)} right on its {found.n:,} "
        f"question{'s' * (found.n != 1)}. Name a second mode to compare it with."
    )


def _most_accurate(summary: Summary, ranked: Sequence[str]) -> str:
    means = {mode: summary.modes[mode].accuracy.mean or 0.0 for mode in ranked}
    best = [mode for mode in ranked if means[mode] == means[ranked[0]]]
    if means[ranked[0]] == 0:
        return f"None of the {len(ranked)} modes got a single question right: these questions cannot tell them apart."
    if len(best) == len(ranked) and means[ranked[0]] == 1:
        every = "Both modes" if len(ranked) == 2 else f"All {len(ranked)} modes"
        return f"{every} got every question right: these questions are too easy to tell them apart."
    found = summary.modes[best[0]]
    if len(best) == 1:
        return (
            f"Most accurate on its {found.n:,} questions: {best[0]}, {figures.percent_interval(found.accuracy)} right."
        )
    return f"A tie for the most accurate: {_listed(best)}, {figures.percent_interval(found.accuracy)} right each."


def _headline(summary: Summary, ranked: Sequence[str]) -> PairSummary | None:
    """The cheapest mode that may be as accurate as the best, against the large model alone; or else the best.

    Where there is no `cloud_only`, it is held against the best of the others.
    """
    reference = _BASELINE if _BASELINE in ranked else ranked[0]
    chosen = _recommended(summary, ranked)
    subject = chosen if chosen and chosen != reference else next(mode for mode in ranked if mode != reference)
    return summary.pair(subject, reference, "accuracy")


def _recommended(summary: Summary, ranked: Sequence[str]) -> str | None:
    """None if no cost is known."""
    costs = {
        mode: cost
        for mode in ranked
        if _not_worse(summary, mode, ranked[0]) and (cost := summary.modes[mode].cost_usd.mean) is not None
    }
    return min(costs, key=costs.__getitem__) if costs else None


def _not_worse(summary: Summary, mode: str, best: str) -> bool:
    """Whether the interval allows it: unadjusted for the number of pairs, which would let worse modes pass."""
    pair = summary.pair(mode, best, "accuracy")
    return mode == best or (pair is not None and (pair.hi is None or pair.hi >= 0))


def _compared(summary: Summary, pair: PairSummary) -> str:
    asked = "these" if pair.n == summary.environment.questions else "the"
    both = "" if pair.n == summary.environment.questions else " that both were asked"
    where = f"On {asked} {pair.n:,} question{'s' * (pair.n != 1)}{both}, {pair.a}"
    by = f"(difference {figures.points_interval(pair)}; {figures.p_value(pair.p_holm)}{_after_holm(pair)})"
    cost = _cost(summary, pair)
    direction = "more" if pair.diff > 0 else "less"
    within = pair.lo is not None and pair.hi is not None and max(-pair.lo, pair.hi) <= MARGIN
    if pair.p_holm < ALPHA:
        little = f", but by less than {100 * MARGIN:.0f} points" if within else ""
        return f"{where} is {direction} accurate than {pair.b}{little} {by}{cost}."
    if within:
        return f"{where} is as accurate as {pair.b}, within {100 * MARGIN:.0f} points {by}{cost}."
    if pair.lo is not None and pair.hi is not None and (pair.lo > 0 or pair.hi < 0):
        why = "the exact test does not confirm it" if pair.p >= ALPHA else "among so many pairs that may be chance"
        return f"{where} looks {direction} accurate than {pair.b}, but {why} {by}{cost}{_more(pair)}."
    return f"{where} and {pair.b} cannot be told apart in accuracy {by}{cost}{_more(pair)}."


def _after_holm(pair: PairSummary) -> str:
    return " after Holm" if pair.p_holm > pair.p else ""


def _more(pair: PairSummary) -> str:
    if not pair.n_more:
        return ""
    return f"; about {pair.n_more:,} more questions would settle a difference of this size"


def _cost(summary: Summary, pair: PairSummary) -> str:
    """What `a` costs by what `b` costs, with the interval of that ratio where there is one."""
    ours, theirs = summary.modes[pair.a].cost_usd.mean, summary.modes[pair.b].cost_usd.mean
    if ours is None or theirs is None:
        unknown = [mode for mode, cost in ((pair.a, ours), (pair.b, theirs)) if cost is None]
        return f"; what {_listed(unknown)} {'costs' if len(unknown) == 1 else 'cost'} is unknown"
    if ours == 0:
        return "; neither costs anything" if theirs == 0 else f"; {pair.a} costs nothing"
    paid = summary.pair(pair.a, pair.b, "cost_usd")
    if paid is None or paid.ratio is None:
        return f"; {pair.a} costs {figures.dollars(1000 * ours)} for 1,000 questions, {pair.b} nothing"
    if ours == theirs:
        return ", at the same cost"
    return f", at {figures.times(paid.ratio, paid.ratio_lo, paid.ratio_hi)} the cost"


def _turning(summary: Summary, main: PairSummary) -> list[str]:
    """Where a difference turns around within a group: of the pair in the headline, and of pairs that are decided."""
    overall = {(pair.a, pair.b): pair for pair in summary.pairs if pair.metric == "accuracy"}
    found: list[Stratum] = []
    for stratum in summary.strata:
        pair = overall[stratum.a, stratum.b]
        of_interest = {pair.a, pair.b} == {main.a, main.b} or pair.p_holm < ALPHA
        if of_interest and pair.diff * stratum.diff < 0 and stratum.p < ALPHA:
            found.append(stratum)
    found.sort(key=lambda stratum: stratum.p_holm)
    said = [_turned_around(stratum) for stratum in found[:_NAMED]]
    rest = len(found) - len(said)
    return [*said, f"So do {rest} more; the table of groups has them."] if rest else said


def _turned_around(stratum: Stratum) -> str:
    ahead = stratum if stratum.diff > 0 else turned(stratum)
    care = "" if stratum.p_holm < ALPHA else ", which among so many groups may be chance"
    return (
        f"In the group {stratum.group} it is the other way round: {ahead.a} is ahead of {ahead.b} "
        f"({figures.points_interval(ahead)}){care}; there it had only {stratum.n:,} questions."
    )


def _cheapest(summary: Summary, ranked: Sequence[str], main: PairSummary | None) -> list[str]:
    """Names the mode to take, and how it stands against the best if the headline has not said so."""
    chosen, best = _recommended(summary, ranked), ranked[0]
    if chosen is None or len(ranked) == 2 or not summary.modes[best].accuracy.mean:
        return []
    candidates = [mode for mode in ranked if _not_worse(summary, mode, best)]
    if len(candidates) == 1:
        return [f"The intervals put every other mode below {chosen}."]
    allowed = f"the {len(candidates)} modes that may be as accurate as the best, by their intervals"
    cost = summary.modes[chosen].cost_usd.mean
    as_cheap = sum(summary.modes[mode].cost_usd.mean == cost for mode in candidates)
    cheapest = f"{chosen} is the cheapest" if as_cheap == 1 else f"none is cheaper than {chosen}"
    if chosen == best:
        return [f"Of {allowed}, {cheapest}."]
    pair = summary.pair(chosen, best, "accuracy")
    known = main is not None and {chosen, best} == {main.a, main.b}
    against = "" if known or pair is None else f"; against {best} {figures.points_interval(pair)}"
    return [f"Of {allowed}, {cheapest}{against}."]


def _front(summary: Summary) -> list[str]:
    priced = {
        mode: (cost, found.accuracy.mean or 0.0)
        for mode, found in summary.modes.items()
        if (cost := found.cost_usd.mean) is not None
    }
    unknown = [mode for mode in summary.modes if mode not in priced]
    said: list[str] = []
    if len(priced) > 2:
        front = sorted(pareto(priced), key=lambda mode: priced[mode])
        if len({priced[mode] for mode in front}) == 1:
            said.append(f"In what was measured, no mode is cheaper or more accurate than {_listed(front)}.")
        else:
            said.append(
                f"In what was measured, the front of cost and accuracy is, from cheap to dear: {_listed(front)}."
            )
    if unknown and priced:
        said.append(f"What {_listed(unknown)} {'costs' if len(unknown) == 1 else 'cost'} is unknown: left out of that.")
    return said


def _fastest(summary: Summary) -> list[str]:
    timed = {mode: p50 for mode, found in summary.modes.items() if (p50 := found.latency_s.p50) is not None}
    if len(timed) < 2:
        return []
    first, last = min(timed, key=timed.__getitem__), max(timed, key=timed.__getitem__)
    quick, slow = figures.seconds(timed[first]), figures.seconds(timed[last])
    return [f"Half of the answers were complete after {quick} in {first}, {slow} in {last}."]


def _failed(summary: Summary) -> list[str]:
    failed = [f"{found.errors} of {found.n:,} in {mode}" for mode, found in summary.modes.items() if found.errors]
    if len(failed) > _NAMED:
        errors, answers = (sum(getattr(found, name) for found in summary.modes.values()) for name in ("errors", "n"))
        return [f"Failed, and counted as wrong: {errors:,} of {answers:,} answers, in {len(failed)} modes."]
    return [f"Failed, and counted as wrong: {_listed(failed)}."] if failed else []


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)
