"""The edge's settings: `[edge]` of `edgewise.toml`."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from edgewise.settings import Section

EngineName = Literal["llama", "replay"]

_MIB = 1024 * 1024


class EdgeSettings(Section):
    section: ClassVar[str] = "edge"

    address: str = Field(
        default="", description="HOST:PORT or unix:PATH of an edge node that runs already; empty: start one."
    )
    token_file: Path | None = Field(default=None, description="File with the token of the edge node at `address`.")
    engine: EngineName = Field(default="llama", description="What answers: llama.cpp, or recorded answers.")

    model: str = Field(
        default="smollm2-135m-instruct-q4_1",
        min_length=1,
        max_length=500,
        description="Name in the model catalogue, or path of a GGUF file.",
    )
    context_tokens: int = Field(
        default=4096, ge=512, le=131_072, description="Context window; at most what the model was trained on."
    )
    threads: int | None = Field(default=None, ge=1, le=256, description="CPU threads of the engine; else all cores.")
    max_queue: int = Field(default=32, ge=1, le=1024, description="Requests that may wait; one more is refused.")
    usd_per_hour: float | None = Field(
        default=None, ge=0, le=10_000, description="What an hour of this machine costs you; unknown if not given."
    )

    replay_file: Path | None = Field(default=None, description="JSONL of recorded answers for the `replay` engine.")
    latency_scale: float = Field(default=0, ge=0, le=1, description="Share of a recorded latency that is waited.")

    embedder: str = Field(
        default="all-minilm-l6-v2-int8",
        min_length=1,
        max_length=500,
        description="Name of the sentence embedder in the model catalogue; a data directory keeps to one.",
    )
    embedder_threads: int = Field(default=1, ge=1, le=64, description="CPU threads of the embedder.")
    max_document_bytes: int = Field(
        default=64 * _MIB, ge=1024, le=1024 * _MIB, description="Size of the largest file to ingest."
    )

    @model_validator(mode="after")
    def _a_replay_has_a_file(self) -> Self:
        if self.engine == "replay" and self.replay_file is None:
            raise ValueError("the `replay` engine needs replay_file")
        return self
