"""How llama.cpp is set up for one model on this machine: a default, or what a measurement found to be faster."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from edge.llama import build
from edgewise import place


@dataclass(frozen=True, slots=True)
class Tuning:
    """`threads` generate, `prompt_threads` evaluate prompts, at most `chunk_tokens` tokens in one decode."""

    threads: int
    prompt_threads: int
    chunk_tokens: int
    flash_attention: bool

    @classmethod
    def default(cls, cores: int) -> Self:
        """All cores; flash attention off, because where it costs it halves the speed of generation."""
        return cls(threads=cores, prompt_threads=cores, chunk_tokens=128, flash_attention=False)


def stored(digest: str) -> Tuning | None:
    """What was measured for the model with this SHA-256, this build and this processor; None if nothing was."""
    try:
        found = json.loads(_file(digest).read_text(encoding="utf-8"))
        return Tuning(**found["tuning"])
    except (OSError, ValueError, TypeError, KeyError):
        return None


def store(digest: str, tuning: Tuning) -> None:
    file = _file(digest)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"tuning": asdict(tuning)}, indent=1), encoding="utf-8")


def _file(digest: str) -> Path:
    return place.cache_dir() / "calibration" / f"{build.key(digest)}.json"
