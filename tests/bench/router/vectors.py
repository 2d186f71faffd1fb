"""Sentence embeddings of prompts, kept for the next run."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edge.embedder import Embedder
from edge.retriever import embed_whole
from router.arbiter.metrics import Floats

_KEPT = Path("build/bench/vectors")


async def embedded(embedder: Embedder, prompts: Sequence[str]) -> Floats:
    """[prompts, dimension], each of length 1; a prompt that is too long is embedded in parts."""
    digest = hashlib.sha256("\0".join((embedder.model_hash, *prompts)).encode()).hexdigest()
    kept = _KEPT / f"prompts-{digest[:32]}.npy"
    if kept.exists():
        return np.asarray(np.load(kept))
    vectors = np.stack([await embed_whole(embedder, prompt) for prompt in prompts]).astype(np.float64)
    await asyncio.to_thread(_keep, kept, vectors)
    return vectors


def _keep(path: Path, vectors: Floats) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, vectors)
