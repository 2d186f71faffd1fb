"""From what the settings ask for to a decision about one question: is the cloud worth asking?

`gain` is what the cloud is expected to be better by: of a question before anything is written, and of an answer the
probability that it is wrong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Protocol

from edgewise.errors import OverBudget
from router.arbiter.thresholds import Pacer, by_price

_BUDGET = "router.usd_per_question"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reserved_usd` must be settled once the question is answered; `because` says what else decided."""

    to_cloud: bool
    threshold: float
    reserved_usd: float = 0.0
    because: str = ""


class Rule(Protocol):
    """`priced` ones want to know the most that the cloud may cost; OverBudget where that is unknown."""

    @property
    def priced(self) -> bool: ...

    def decide(self, gain: float, most_usd: float | None = None, *, familiar: bool = True) -> Verdict: ...

    def foresee(self, gain: float, most_usd: float | None = None, *, familiar: bool = True) -> Verdict:
        """What would be decided, without counting the question."""
        ...

    def settle(self, verdict: Verdict, usd: float | None) -> None:
        """What the question cost in the end; None is unknown, and counts as the most that it may have cost."""
        ...


@dataclass(frozen=True, slots=True)
class AtLeast:
    """The cloud from a gain of `threshold` on; for an unfamiliar question, whose gain is a guess, from `unfamiliar`."""

    threshold: float
    unfamiliar: float
    priced: bool = False

    def decide(self, gain: float, most_usd: float | None = None, *, familiar: bool = True) -> Verdict:
        threshold = self.threshold if familiar else min(self.threshold, self.unfamiliar)
        return Verdict(gain >= threshold, threshold)

    foresee = decide

    def settle(self, verdict: Verdict, usd: float | None) -> None:
        """Nothing is counted."""


@dataclass(frozen=True, slots=True)
class WorthIt:
    """The cloud where the errors that it is expected to save are worth more than it costs."""

    usd_per_error: float
    priced: bool = True

    def decide(self, gain: float, most_usd: float | None = None, *, familiar: bool = True) -> Verdict:
        threshold = by_price(_known(most_usd, "router.usd_per_error"), self.usd_per_error)
        return Verdict(gain >= threshold, threshold)

    foresee = decide

    def settle(self, verdict: Verdict, usd: float | None) -> None:
        """Nothing is counted."""


class Paced:
    """The cloud where it gains most, while the mean cost of all questions stays below a ceiling."""

    priced = True

    def __init__(self, usd_per_question: float) -> None:
        self._pacer = Pacer(usd_per_question)

    def decide(self, gain: float, most_usd: float | None = None, *, familiar: bool = True) -> Verdict:
        foreseen = self.foresee(gain, most_usd)
        most = _known(most_usd, _BUDGET)
        self._pacer.allows(gain, most)
        return replace(foreseen, reserved_usd=most) if foreseen.to_cloud else foreseen

    def foresee(self, gain: float, most_usd: float | None = None, *, familiar: bool = True) -> Verdict:
        most = _known(most_usd, _BUDGET)
        threshold, to_cloud = self._pacer.asks(most), self._pacer.foresees(gain, most)
        waits = gain >= threshold and not to_cloud
        return Verdict(to_cloud, threshold, because=f"the mean cost would exceed {_BUDGET}" if waits else "")

    def settle(self, verdict: Verdict, usd: float | None) -> None:
        if verdict.to_cloud:
            self._pacer.spent(verdict.reserved_usd, verdict.reserved_usd if usd is None else usd)


def _known(most_usd: float | None, setting: str) -> float:
    if most_usd is None or math.isnan(most_usd):
        raise OverBudget(
            f"the price of the cloud is unknown, so {setting} cannot be kept; set cloud.usd_per_mtok_prompt and "
            "cloud.usd_per_mtok_completion"
        )
    return most_usd
