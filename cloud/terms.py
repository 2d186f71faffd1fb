"""What a call comes with besides its words: who makes it, with which models, and as which try of theirs."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol, Self

from edgewise.ports import Cloud
from edgewise.types import Chunk, Completion, Options, Prompt, SideStatus


@dataclass(frozen=True, slots=True)
class Terms:
    """Under which a call is made: by whom, with which models (None: all), and as which try of theirs.

    The owner has no name. What has a name or a key of its own is never mixed with another's: not in what is cached, nor
    in what is remembered of a key.
    """

    caller: str = ""
    models: frozenset[str] | None = None
    idempotency_key: str = ""


OWNER = Terms()


class Gate(Cloud, Protocol):
    """A Cloud that tells its callers apart; itself it is the owner's."""

    def under(self, terms: Terms) -> Self:
        """The same cloud as one caller sees it, for one call.

        An answer whose `Completion.via` is `repeated` was charged when it was given first: it has that cost, and is not
        to be charged again. One of the `cache` costs 0.
        """
        ...

    @property
    def most_bills(self) -> int:
        """How many upstreams may bill one call: each that is asked, if those before it only seemed to fail."""
        ...

    async def forget_answers(self) -> int:
        """Drops what is cached or remembered of this caller's answers, of everybody's for the owner; how many."""
        ...


class Answers(Protocol):
    """What the gate is made of: each wrapper takes the terms along to the one inside it."""

    def generate(self, prompt: Prompt, options: Options, terms: Terms) -> AsyncGenerator[Chunk | Completion]: ...

    async def status(self, terms: Terms) -> SideStatus: ...
