"""What a tool returns."""

from __future__ import annotations

from dataclasses import dataclass

from edgewise.types import Passage, Text


@dataclass(frozen=True, slots=True)
class Found:
    """`note` says in words what was found, for the model and for the reader of the steps."""

    note: Text
    passages: tuple[Passage, ...] = ()
    # A note that is itself a fact to answer from, such as the result of a calculation.
    fact: bool = False
    # Why the cloud could not be asked, where it was wanted.
    without: str = ""
