"""Which arm a question gets: the same one for all of its unit, on any machine and after any restart."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import accumulate

from edgewise.types import Arm, Experiment, Question, Record, Turn


@dataclass(frozen=True, slots=True)
class Seat:
    """The part that a question plays in an experiment; of none, that it is answered as it was asked.

    `mode` answers, if it is not empty. `propensity` is None where no lot was drawn. `history` are the turns before.
    """

    experiment: str = ""
    arm: str = ""
    propensity: float | None = 1.0
    mode: str = ""
    shadow_of: str = ""
    history: tuple[Turn, ...] = ()


NO_SEAT = Seat()


def unit_of(experiment: Experiment, asked: Question | Record, otherwise: str) -> str:
    """What counts once: the conversation or the user, where there is one; else the question by itself.

    A question without any id is a unit of its own, by the name `otherwise`.
    """
    wanted = {"conversation": asked.conversation_id, "user": asked.user_id, "question": ""}[experiment.unit]
    return f"{experiment.unit}\x1f{wanted}" if wanted else f"question\x1f{asked.request_id or otherwise}"


def drawn(experiment: Experiment, unit: str) -> Arm:
    """The arm of a unit, by lot."""
    lot = share(experiment.name, unit)
    ends = accumulate(arm.weight for arm in experiment.arms)
    return next((arm for arm, end in zip(experiment.arms, ends, strict=True) if lot < end), experiment.arms[-1])


def share(name: str, unit: str) -> float:
    """A number from 0 to below 1 that is spread evenly over units, and anew in every experiment."""
    digest = hashlib.sha256(f"{name}\x1f{unit}".encode("utf-8", "surrogatepass")).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53
