"""What other weight types, and our kernels, gain and cost here: `python -m tests.bench.weights`.

Each type is made of the model anew and measured in a process of its own with one thread. Speeds are tokens per second
of processor time, which other programs disturb less than the clock's. Perplexity is of the demo's documents, or of a
text that is given, in windows of 512 tokens; answers are greedy, to questions of `facts.jsonl`. Writes
build/bench/weights.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edge import models
from edge.llama.engine import LlamaEngine
from edge.llama.machine.calibration import Tuning
from edge.llama.native import Flag, Native, Work
from edge.llama.sampling import Gauge
from tests.bench.engine.ours import ask, greedy
from tests.bench.engine.plan import Asked

_HERE = Path(__file__).parent
_TYPES = ("q8_0", "q4_0")
_ONE_THREAD = Tuning(1, 1, 128, flash_attention=False)
_PROMPT_TOKENS = 512
_STEPS = 64
_QUESTIONS = 20
_WINDOW_TOKENS, _READ_TOKENS = 512, 8192
_DOCUMENTS = sorted((_HERE.parents[1] / "router" / "demo" / "device").glob("*.md"))


def measure(model: Path, texts: list[Path], *, repack: bool) -> dict[str, Any]:
    """Of one file."""
    native = Native(model, 1024, 4, replace(_ONE_THREAD, repack=repack))
    try:
        found = {"mb": round(model.stat().st_size / 1e6), **_speeds(native), **_perplexity(native, texts)}
    finally:
        native.close()
    return {**found, "answers": asyncio.run(_answers(model, repack))}


def _speeds(native: Native) -> dict[str, float]:
    found = {}
    tokens = np.arange(1000, 1000 + _PROMPT_TOKENS, dtype=np.int32)
    _append(native, 4, tokens[:128], 0)  # warms up, and leaves a beginning for all four
    began = time.process_time()
    _append(native, 1, tokens, 128)
    found["prompt"] = _PROMPT_TOKENS / (time.process_time() - began)
    native.cut(0, 128)
    for name, sequences in (("one", 1), ("four", 4)):
        began = time.process_time()
        for step in range(_STEPS):
            _append(native, sequences, tokens[:1], 128 + step)
        found[name] = sequences * _STEPS / (time.process_time() - began)
        native.cut(0, 128)
    return found


def _append(native: Native, sequences: int, tokens: Any, position: int) -> None:
    for start in range(0, len(tokens), 128 // sequences):
        piece = tokens[start : start + 128 // sequences]
        native.evaluate([Work(number, position + start, piece, "last") for number in range(sequences)], Flag())


def _perplexity(native: Native, texts: list[Path]) -> dict[str, float]:
    gauge, logprobs = Gauge(native.vocabulary.size), []
    for text in texts:
        whole = np.array(native.vocabulary.tokenize(text.read_text(encoding="utf-8"))[:_READ_TOKENS], np.int32)
        for tokens in (whole[at : at + _WINDOW_TOKENS] for at in range(0, len(whole), _WINDOW_TOKENS)):
            native.cut(0, 0)
            for start in range(0, len(tokens) - 1, 32):
                piece = tokens[start : min(start + 32, len(tokens) - 1)]
                rows = native.evaluate([Work(0, start, piece, "every")], Flag())
                logprobs += gauge.logprobs(rows, tokens[start + 1 : start + 1 + len(piece)])
    return {"perplexity": float(np.exp(-np.mean(logprobs))), "read_tokens": len(logprobs)}


async def _answers(model: Path, repack: bool) -> list[str]:
    engine = await LlamaEngine.open(model, context_tokens=1024, parallel=1, repack=repack)
    lines = (_HERE / "facts.jsonl").read_text(encoding="utf-8").splitlines()[:_QUESTIONS]
    asked = [Asked(system="Answer in one sentence.", user=json.loads(line)["question"], tokens=0) for line in lines]
    answers = [(await ask(engine, one, greedy(32))).text for one in asked]
    await engine.close()
    return answers


def _both(name: str, model: Path, texts: list[Path]) -> dict[str, dict[str, Any]]:
    return {name: _of(model, texts, repack=True), f"{name}, not repacked": _of(model, texts, repack=False)}


def _of(model: Path, texts: list[Path], *, repack: bool) -> dict[str, Any]:
    """In a process of its own, because OpenMP keeps its threads."""
    child = [sys.executable, "-m", "tests.bench.weights", "--child", str(model), *map(str, texts)]
    child += [] if repack else ["--no-repack"]
    return dict(json.loads(subprocess.run(child, check=True, stdout=subprocess.PIPE, text=True).stdout))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=models.SMOLLM2.name, help="of the catalogue, or a .gguf file")
    parser.add_argument("texts", type=Path, nargs="*", default=_DOCUMENTS, help="whose perplexity; the demo's")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--no-repack", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    texts: list[Path] = arguments.texts
    if arguments.child:
        print(json.dumps(measure(arguments.child, texts, repack=not arguments.no_repack)))
        return
    model = models.locate(arguments.model)
    rows = _both("as it comes", model, texts)
    with tempfile.TemporaryDirectory(prefix="edgewise-bench-") as directory:
        for to in _TYPES:
            made = Path(directory) / f"{to}.gguf"
            command = [sys.executable, "-m", "edge.llama.requantise", str(model), str(made), to]
            subprocess.run(command, check=True, stderr=subprocess.DEVNULL)  # llama.cpp names every tensor
            rows |= _both(to, made, texts)
    before = rows["as it comes"]["answers"]
    print("| | prompt | one answer | four | perplexity | same greedy answers | MB |\n|---|---|---|---|---|---|---|")
    for name, row in rows.items():
        row["same_answers"] = sum(one == other for one, other in zip(before, row["answers"], strict=True))
        speeds = " | ".join(f"{row[speed]:.0f}" for speed in ("prompt", "one", "four"))
        print(f"| {name} | {speeds} | {row['perplexity']:.2f} | {row['same_answers']} of {len(before)} | {row['mb']} |")
    out = Path("build/bench/weights.json")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"name": "weights", "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
