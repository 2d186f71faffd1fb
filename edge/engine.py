"""The seam below the edge node: what runs a model. `llama.py` runs a real one, `replay.py` recorded answers."""

from __future__ import annotations

from typing import Protocol

from edgewise.ports import Generator, Scorer
from edgewise.types import Prompt, Value


class EngineInfo(Value):
    """`label` says in words what answers; `model_hash` is the SHA-256 of the model's file."""

    model: str
    model_hash: str | None = None
    label: str = ""
    context_tokens: int | None = None
    parameters: float | None = None


class Engine(Generator[Prompt], Scorer, Protocol):
    async def tokenize(self, text: str) -> tuple[int, ...]:
        """The tokens of a plain text; what looks like a control token in it is text too."""
        ...

    async def close(self) -> None:
        """Stop what runs, refuse what waits, and free the model."""
        ...

    @property
    def info(self) -> EngineInfo: ...

    @property
    def queued(self) -> int:
        """How many requests wait for their turn; the running one does not count."""
        ...
