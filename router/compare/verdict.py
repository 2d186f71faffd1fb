"""The result of a comparison in plain sentences that claim no more than the intervals allow."""

from __future__ import annotations

from router.compare import figures
from router.compare.figures import p_value, percent, percent_interval, seconds
from router.compare.summary import PairSummary, Summary

_BASELINE = "cloud_only"
_ALPHA = 0.05


def verdict(summary: Summary) -> list[str]:
    """The best mode; how the best of the others stands against `cloud_only`; who is fastest to keep an answer."""
    ranked = sorted(summary.modes, key=lambda mode: -(summary.modes[mode].accuracy.mean or 0.0))
    if not ranked:
        return ["Nothing has been asked yet."]
    best = summary.modes[ranked[0]]
    said = [f"Most accurate on its {best.n} questions: {ranked[0]}, {percent_interval(best.accuracy)} right."]
    others = [mode for mode in ranked if mode != _BASELINE]
    if _BASELINE in summary.modes and others:
        pair = summary.pair(others[0], _BASELINE, "accuracy")
        if pair:
            said.append(_against_baseline(summary, pair))
    fastest = _fastest(summary)
    if fastest:
        said.append(fastest)
    return said


def _against_baseline(summary: Summary, pair: PairSummary) -> str:
    points = (
        f"difference {figures.points(pair.diff)} points, 95 % {figures.points(pair.lo)} to {figures.points(pair.hi)}"
    )
    where = f"On the {pair.n} questions that both were asked, {pair.a}"
    money = _share_of_cost(summary, pair)
    if pair.p_holm < _ALPHA:
        direction = "more" if pair.diff > 0 else "less"
        return f"{where} is {direction} accurate than {pair.b} ({points}; {p_value(pair.p_holm)} after Holm){money}."
    if pair.lo > 0 or pair.hi < 0:
        direction = "more" if pair.diff > 0 else "less"
        return (
            f"{where} looks {direction} accurate than {pair.b} ({points}), but among so many pairs of modes that may "
            f"be chance ({p_value(pair.p_holm)} after Holm){money}."
        )
    enough = (
        f"; about {pair.n_needed} questions would show a difference of this size"
        if pair.n_needed and pair.n_needed > pair.n
        else ""
    )
    return (
        f"{where} and {pair.b} cannot be told apart in accuracy "
        f"({points}; {p_value(pair.p_holm)} after Holm){enough}{money}."
    )


def _share_of_cost(summary: Summary, pair: PairSummary) -> str:
    ours, theirs = summary.modes[pair.a].cost_usd.mean, summary.modes[pair.b].cost_usd.mean
    if ours is None or not theirs:
        return ""
    if ours == 0:
        return f"; {pair.a} costs nothing"
    times = ours / theirs
    amount = f"{percent(times)} of" if times < 2 else f"{times:.1f} times"
    return f"; {pair.a} costs {amount} what {pair.b} costs"


def _fastest(summary: Summary) -> str:
    timed = {mode: p50 for mode, found in summary.modes.items() if (p50 := found.latency_s.p50) is not None}
    if len(timed) < 2:
        return ""
    first, last = min(timed, key=timed.__getitem__), max(timed, key=timed.__getitem__)
    return (
        f"Half of the answers were complete after {seconds(timed[first])} in {first}, {seconds(timed[last])} in {last}."
    )
