"""How numbers are written for people. None is written as unknown, never as 0."""

from __future__ import annotations

from router.compare.environment import Environment
from router.compare.summary import Interval, Quantiles

UNKNOWN = "unknown"


def percent(value: float | None) -> str:
    return UNKNOWN if value is None else f"{100 * value:.0f} %"


def percent_interval(interval: Interval) -> str:
    if interval.mean is None or interval.lo is None or interval.hi is None:
        return UNKNOWN
    return f"{100 * interval.mean:.0f} % ({100 * interval.lo:.0f}–{100 * interval.hi:.0f})"


def points(difference: float) -> str:
    """A difference of shares in whole percentage points, signed unless it is none."""
    rounded = round(100 * difference)
    return f"{rounded:+d}" if rounded else "0"


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
    if value < 0.1:
        return f"{1000 * value:.0f} ms"
    return f"{value:.2f} s" if value < 1 else f"{value:.1f} s"


def seconds_pair(quantiles: Quantiles) -> str:
    if quantiles.p50 is None:
        return UNKNOWN
    return f"{seconds(quantiles.p50)} / {seconds(quantiles.p95)}"


def operations(value: float | None) -> str:
    if value is None:
        return UNKNOWN
    return f"{value / 1e9:,.0f} GFLOP" if value < 1e13 else f"{value / 1e12:,.0f} TFLOP"


def p_value(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.2g}"


def basis(environment: Environment, mode: str) -> str:
    """What a mode's costs stand on if that is not a provider's bill: '' or, say, 'notional'."""
    return ", ".join(found.value.lower() for found in environment.cost_basis.get(mode, ()) if found.value != "BILLED")


def caveats(environment: Environment) -> list[str]:
    """What a reader must know before trusting the numbers, one sentence each."""
    found: list[str] = []
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
    if environment.left_out:
        found.append(
            "Questions that the sources do not answer were put only to modes that read sources "
            f"({environment.left_out} answers fewer)."
        )
    return found
