"""The seam below the edge node: what runs a model. `llama.py` runs a real one, `replay.py` recorded answers."""

from __future__ import annotations

from typing import Literal, Protocol

from edgewise.errors import NotReady
from edgewise.ports import Generator, Scorer
from edgewise.types import Options, Prompt, Value

Capability = Literal["logprobs", "score", "tokenize", "grammar", "adapters", "surprisal"]


class EngineInfo(Value):
    """`label` says in words what answers; `model_hash` is the SHA-256 of the model's file."""

    model: str
    model_hash: str | None = None
    label: str = ""
    context_tokens: int | None = None
    parameters: float | None = None
    capabilities: tuple[Capability, ...] = ()


class Load(Value):
    """What an engine has to do now, and the adapters (LoRA) that it may use; `adapter` is the one in force."""

    running: int = 0
    queued: int = 0
    adapter: str = ""
    adapters: tuple[str, ...] = ()


class Engine(Generator[Prompt], Scorer, Protocol):
    async def tokenize(self, text: str) -> tuple[int, ...]:
        """The tokens of a plain text; what looks like a control token in it is text too."""
        ...

    async def load_adapter(self, name: str) -> str:
        """Make this adapter the one of all requests that name none, and return its hash; "" takes it out."""
        ...

    async def forget(self) -> None:
        """Drop what is kept in memory of prompts that were answered."""
        ...

    async def close(self) -> None:
        """Stop what runs, refuse what waits, and free the model."""
        ...

    @property
    def info(self) -> EngineInfo: ...

    @property
    def load(self) -> Load: ...


def check_capable(info: EngineInfo, options: Options) -> None:
    """NotReady if what is asked for is more than the engine can do."""
    wanted: dict[Capability, object] = {
        "grammar": options.grammar or options.response_schema,
        "adapters": options.adapter,
        "surprisal": options.surprisal,
    }
    for capability, asked in wanted.items():
        if asked and capability not in info.capabilities:
            raise lacks(info, capability)


def lacks(info: EngineInfo, capability: Capability) -> NotReady:
    return NotReady(f"{info.label or info.model} cannot do {capability}; ask without it, or of another engine")
