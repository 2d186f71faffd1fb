"""Comparisons of many questions with recorded answers on both sides: what Edgewise itself takes, without any model."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

MODES = ("edge_only", "cloud_only", "pre_arbitration")
_RIGHT = {"edge": 0.4, "cloud": 0.8}


def compared(directory: Path, count: int) -> tuple[float, float]:
    """Seconds of the whole command `compare` over so many synthetic questions, and of `replay` on what it left."""
    files = write(directory, count)
    settings = {
        "EDGEWISE_CONFIG": os.devnull,
        "EDGEWISE_EDGE__ENGINE": "replay",
        "EDGEWISE_EDGE__REPLAY_FILE": str(files["edge"]),
        "EDGEWISE_CLOUD__BACKEND": "replay",
        "EDGEWISE_CLOUD__REPLAY_FILE": str(files["cloud"]),
        "EDGEWISE_EDGE__LATENCY_SCALE": "0",
        "EDGEWISE_CLOUD__LATENCY_SCALE": "0",
    }
    out, modes = directory / "out", ",".join(MODES)
    asked = _seconds(("compare", "--questions", str(files["questions"]), "--modes", modes, "--out", str(out)), settings)
    return asked, _seconds(("replay", str(out), "--mode", modes), settings)


def write(directory: Path, count: int) -> dict[str, Path]:
    """Synthetic questions and recorded answers to them, some right and some wrong, by name."""
    chance = random.Random(1)
    lines: dict[str, list[str]] = {"questions": [], "edge": [], "cloud": []}
    for number in range(count):
        question = f"What is the number of the ship {number} in the harbour of Lindholm?"
        accepted = {"id": f"q{number}", "question": question, "answers": [str(7 * number)], "group": f"g{number % 4}"}
        lines["questions"].append(json.dumps(accepted))
        for side, share in _RIGHT.items():
            said = str(7 * number) if chance.random() < share else "unknown"
            answer = {
                "id": f"q{number}",
                "answer": f"It is {said}.",
                "prompt_tokens": 30,
                "completion_tokens": 8,
                "latency_s": 0.2,
                "cost_usd": 3e-4,
                "logprobs": [-1.0 if said == "unknown" else -0.1] * 8,
            }
            lines[side].append(json.dumps(answer))
    for name, written in lines.items():
        (directory / f"{name}.jsonl").write_text("\n".join(written) + "\n", encoding="utf-8")
    return {name: directory / f"{name}.jsonl" for name in lines}


def _seconds(arguments: tuple[str, ...], settings: dict[str, str]) -> float:
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "router", *arguments],
        env={**os.environ, **settings}, capture_output=True, text=True, timeout=1200, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"edgewise {arguments[0]} failed: {done.stderr[-2000:]}")
    return time.perf_counter() - started
