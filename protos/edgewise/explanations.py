"""What would happen to a question, as it crosses a seam."""

from __future__ import annotations

from pydantic import Field

from edgewise.knowledge import Author, CostBasis
from edgewise.texts import Privacy, Value


class Outgoing(Value):
    """Something that a mode may send to the cloud, in words; `held_because` is why it may not leave, if it may not."""

    what: str
    label: Privacy = Privacy.UNKNOWN
    held_because: str = ""


class Explanation(Value):
    """What would happen to a question, and why; nothing was generated and nothing was sent to find out.

    `author` is who would write the answer; empty where that depends on the answer itself. `score` is held against
    `threshold` (the expected gain of the cloud, or how probably what was looked up answers); None where a mode has no
    such number. `contributions` are what each expert adds to the score, and the features that add most to those.
    `familiar` is false for a question unlike all that was learned from. `most_usd` is the most that the cloud's answer
    may cost; `expected_usd` and `expected_s` are the mean cost and the median time of the last `answers_before`
    answers of the same mode and author on this device. `leaves` says whether the question may be sent to the cloud,
    `leaves_reason` why not; `outgoing` are all the texts that the mode may send to `destination`.
    """

    mode: str
    author: Author | None = None
    decision: str
    score: float | None = None
    threshold: float | None = None
    familiar: bool = True
    contributions: dict[str, float] = Field(default_factory=dict)
    most_usd: float | None = None
    expected_usd: float | None = None
    expected_s: float | None = None
    answers_before: int = 0
    cost_basis: CostBasis | None = None
    leaves: bool = False
    leaves_reason: str = ""
    policy_version: str = ""
    destination: str = ""
    outgoing: tuple[Outgoing, ...] = ()
