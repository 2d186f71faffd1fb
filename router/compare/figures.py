"""How numbers are written for people. None is written as unknown, never as 0."""

from __future__ import annotations

from router.compare.environment import Environment, Judging, Replaying
from router.compare.offpolicy import Estimate
from router.compare.summary import Interval, PairSummary, Quantiles

UNKNOWN = "unknown"


def percent(value: float | None) -> str:
    return UNKNOWN if value is None else f"{100 * value:.0f} %"


def percent_interval(interval: Interval) -> str:
    if interval.mean is None or interval.lo is None or interval.hi is None:
        return UNKNOWN
    return f"{100 * interval.mean:.0f} % ({100 * interval.lo:.0f}–{100 * interval.hi:.0f})"


def points(difference: float) -> str:
    """A difference of shares in percentage points, signed unless it is none."""
    rounded = round(100 * difference, 1)
    return f"{rounded:+.1f}" if rounded else "0.0"


def points_interval(pair: PairSummary) -> str:
    """Such a difference with its interval, as in '-1.0 points, 95 % -3.1 to +1.2'."""
    if pair.lo is None or pair.hi is None:
        return f"{points(pair.diff)} points, no interval from {pair.n} question{'s' * (pair.n != 1)}"
    return f"{points(pair.diff)} points, 95 % {points(pair.lo)} to {points(pair.hi)}"


def times(ratio: float, lo: float | None, hi: float | None) -> str:
    """A ratio as a share of something, from 1.5 on as a multiple, with its interval: '14 % (12 to 16 %) of'."""
    if ratio >= 1.5:
        return f"{ratio:.1f} times" if lo is None or hi is None else f"{ratio:.1f} times ({lo:.1f} to {hi:.1f})"
    digits = 1 if ratio < 0.095 else 0
    return (
        f"{_percentage(ratio, digits)} % of"
        if lo is None or hi is None
        else (f"{_percentage(ratio, digits)} % ({_percentage(lo, digits)} to {_percentage(hi, digits)} %) of")
    )


def _percentage(value: float, digits: int) -> str:
    return f"{100 * value:.{digits}f}"


def dollars(value: float | None) -> str:
    """An amount, with two significant digits where it is small: costs of single answers are tiny."""
    if value is None:
        return UNKNOWN
    if value == 0:
        return "$0"
    if abs(value) >= 0.1:
        return f"${value:,.2f}"
    digits = f"{value:.2g}"
    return f"${float(digits):.10f}".rstrip("0") if "e" in digits else f"${digits}"


def thousand_questions(interval: Interval) -> str:
    """The mean cost of 1,000 questions."""
    return dollars(None if interval.mean is None else 1000 * interval.mean)


def seconds(value: float | None) -> str:
    if value is None:
        return UNKNOWN
    if 0 < value < 0.1:
        return f"{1000 * value:.0f} ms"
    if value == 0:
        return "0 s"
    return f"{value:.2f} s" if value < 1 else f"{value:.1f} s"


def seconds_pair(quantiles: Quantiles) -> str:
    if quantiles.p50 is None:
        return UNKNOWN
    return f"{seconds(quantiles.p50)} / {seconds(quantiles.p95)}"


def seconds_range(lo: float, hi: float) -> str:
    """Two times with their unit once, where it is the same."""
    first, last = seconds(lo), seconds(hi)
    return f"{first.rpartition(' ')[0] if first.rpartition(' ')[2] == last.rpartition(' ')[2] else first}–{last}"


def operations(value: float | None) -> str:
    if value is None:
        return UNKNOWN
    if value < 1e10:
        return f"{value / 1e9:.2g} GFLOP"
    return f"{value / 1e9:,.0f} GFLOP" if value < 1e13 else f"{value / 1e12:,.0f} TFLOP"


def p_value(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.2g}"


def basis(environment: Environment, mode: str) -> str:
    """What a mode's costs stand on if that is not a provider's bill: '' or, say, 'notional'."""
    return ", ".join(found.value.lower() for found in environment.cost_basis.get(mode, ()) if found.value != "BILLED")


def caveats(environment: Environment) -> list[str]:
    """What a reader must know before trusting the numbers, one sentence each."""
    found: list[str] = []
    if environment.to_come:
        found.append(
            f"This comparison is not finished: {environment.to_come:,} answer{'s' * (environment.to_come != 1)} still "
            "to come; the command that began it goes on."
        )
    bases = {used.value for every in environment.cost_basis.values() for used in every}
    if environment.cloud is None:
        found.append("There was no cloud: every mode answered on the edge.")
    elif "stand-in" in environment.cloud.label.casefold():
        found.append(
            f"The cloud here is not a large model ({environment.cloud.label}): differences between edge and cloud "
            "show what information each had, not the size of its model."
        )
    if "NOTIONAL" in bases:
        found.append("Costs marked notional are at made-up prices; nobody was billed.")
    if "SIMULATED" in bases:
        found.append("Costs and times marked simulated come from recorded answers or were computed for them.")
    if environment.replaying is not None:
        found.append(_replayed(environment.replaying))
        found += [_estimated(mode, estimate) for mode, estimate in environment.replaying.off_policy.items()]
    if environment.concurrency > 1:
        found.append(f"{environment.concurrency} questions were in flight at once, which slows each of them.")
    if environment.judging is not None:
        found.append(_judged(environment.judging))
    if environment.skipped:
        lines = "1 line" if environment.skipped == 1 else f"{environment.skipped} lines"
        found.append(f"Left out of the file of questions: {lines} at fault.")
    if environment.left_out:
        found.append(
            "Questions that the sources do not answer were put only to modes that read sources "
            f"({environment.left_out} answer{'s' * (environment.left_out != 1)} fewer)."
        )
    return found


def _replayed(replaying: Replaying) -> str:
    """What a replay is, and how much of it is there."""
    said = "This is a replay of recorded calls: no model ran and nothing was paid"
    partly = [f"{mode} {percent(share)}" for mode, share in replaying.covered.items() if share < 1]
    if partly:
        why = [f"{replaying.missing:,} calls are missing"] if replaying.missing else []
        why += [f"{replaying.undecided:,} questions were not decided"] if replaying.undecided else []
        said += f"; {' and '.join(why)}, so some questions are left out (covered: {', '.join(partly)})"
    composed = [mode for mode, share in replaying.timed.items() if share < 1]
    if composed:
        said += f"; times of {', '.join(composed)} are put together from those of their calls"
    return f"{said}."


def _estimated(mode: str, estimate: Estimate) -> str:
    if estimate.mean is None:
        return f"None of the {estimate.n} graded answers by lot is one that {mode} would have given."
    ends = "" if estimate.lo is None or estimate.hi is None else f" ({estimate.lo:.2f} to {estimate.hi:.2f})"
    return (
        f"By lots and grades of experiments, {mode} scores {estimate.mean:.2f}{ends}, by {estimate.matched} "
        f"of {estimate.n} answers, which tell as much as {estimate.effective:.0f} equally probable ones."
    )


def _judged(judging: Judging) -> str:
    agreement = judging.agreement
    said = f"Some answers were judged by the {judging.side}"
    if agreement.agreed is None:
        return f"{said}; no answer was also scored without it, so how far to trust it is unknown."
    said += f", which agreed with scores of other kinds on {percent(agreement.agreed)} of {agreement.n}"
    if agreement.kappa is None:
        alike = "one of the two called all of them right or all wrong"
        return f"{said}; {alike}, so the judge is not shown to tell them apart."
    return f"{said}, Cohen's kappa {agreement.kappa:.2f}."
