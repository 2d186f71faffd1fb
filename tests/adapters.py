"""LoRA adapters for SmolLM2-135M that nobody trained: seeded random numbers, which change what it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from gguf import GGUFWriter

HIDDEN, KEYS, FEED_FORWARD, LAYERS = 576, 192, 1536, 30

# What a projection reads and writes.
ATTENTION = {"attn_q": (HIDDEN, HIDDEN), "attn_v": (HIDDEN, KEYS)}
ALL = {
    **ATTENTION,
    "attn_k": (HIDDEN, KEYS),
    "attn_output": (HIDDEN, HIDDEN),
    "ffn_gate": (HIDDEN, FEED_FORWARD),
    "ffn_up": (HIDDEN, FEED_FORWARD),
    "ffn_down": (FEED_FORWARD, HIDDEN),
}


def write_adapter(
    directory: Path,
    name: str,
    *,
    seed: int = 0,
    rank: int = 4,
    strength: float = 0.5,
    projections: dict[str, tuple[int, int]] = ATTENTION,
    architecture: str = "llama",
    alpha_is_int: bool = False,
) -> Path:
    """A GGUF adapter called `name`; an old one of that name is replaced whole, as a running engine may read it.

    llama.cpp ends its process over one whose alpha is an integer.
    """
    random = np.random.default_rng(seed)
    draft = directory / f".{name}"
    writer = GGUFWriter(draft, architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    if alpha_is_int:
        writer.add_uint32("adapter.lora.alpha", rank)
    else:
        writer.add_float32("adapter.lora.alpha", rank)
    for layer in range(LAYERS):
        for projection, (inputs, outputs) in projections.items():
            tensor = f"blk.{layer}.{projection}.weight"
            for part, shape, size in (("a", (rank, inputs), inputs**-0.5), ("b", (outputs, rank), strength)):
                numbers = random.standard_normal(shape) * size
                writer.add_tensor(f"{tensor}.lora_{part}", numbers.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return draft.rename(directory / f"{name}.gguf")
