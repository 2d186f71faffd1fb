"""What threads are worth beside other programs, and what changing the adapter costs: `python -m tests.bench.threads`.

One answer is generated for a while with one thread, with one on each core, and with as many as the engine chooses, on
the machine as it is and beside a busy program for each core. Writes build/bench/threads.json.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from edge import models
from edge.llama.machine import build
from edge.llama.machine.calibration import Tuning
from edge.llama.machine.pace import Pace
from edge.llama.native import Flag, Native, Work
from tests.adapters import write_adapter

_SECONDS = 8.0
_CONTEXT_TOKENS = 2048
_CHANGES = 100


def under_load(native: Native) -> dict[str, dict[str, float]]:
    """Tokens a second of the clock."""
    cores = build.cores()
    found = {}
    for programs in (0, cores):
        busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(programs)]
        try:
            pace = Pace(cores)
            choices: dict[str, Callable[[], int]] = {"one": lambda: 1, "all": lambda: cores}
            speeds = {name: _generate(native, choose) for name, choose in choices.items()}
            speeds["chosen"] = _generate(native, lambda pace=pace: pace.threads(1), pace)  # type: ignore[misc]
        finally:
            for program in busy:
                program.kill()
                program.wait()
        found[f"beside {programs} busy programs"] = speeds
    return found


def _generate(native: Native, choose: Callable[[], int], pace: Pace | None = None) -> float:
    native.cut(0, 0)
    began, tokens = time.monotonic(), 0
    while time.monotonic() - began < _SECONDS and tokens < _CONTEXT_TOKENS:
        threads = choose()
        native.use_threads(threads)
        started, processor = time.monotonic(), time.process_time()
        native.evaluate([Work(0, tokens, np.array([1000], np.int32), "last")], Flag())
        if pace:
            pace.took(threads, 1, time.monotonic() - started, time.process_time() - processor)
        tokens += 1
    return tokens / (time.monotonic() - began)


def adapter_change(native: Native) -> dict[str, float]:
    """Milliseconds of a step with the same adapter as the last, and with another."""
    native.use_threads(build.cores())
    with tempfile.TemporaryDirectory(prefix="edgewise-bench-") as directory:
        paths = [write_adapter(Path(directory), name, seed=seed) for seed, name in enumerate("ab")]
        names = [models.digest(path) for path in paths]
        for path, name in zip(paths, names, strict=True):
            native.load_adapter(path, name)
        steps: dict[str, list[float]] = {"same": [], "changed": []}
        native.cut(0, 0)
        for number in range(2 * _CHANGES):
            started = time.perf_counter()
            # a a b b a a ...: every second step has the adapter of the one before it
            native.evaluate([Work(0, number, np.array([1000], np.int32), "last")], Flag(), names[number // 2 % 2])
            steps["same" if number % 2 else "changed"].append(1000 * (time.perf_counter() - started))
        native.keep_adapters(set())
    return {name: median(taken) for name, taken in steps.items()}


def main() -> None:
    native = Native(models.SMOLLM2.path, _CONTEXT_TOKENS, 1, Tuning.default(build.cores()))
    found = {"tokens_per_s": under_load(native), "step_ms_by_adapter": adapter_change(native)}
    native.close()
    out = Path("build/bench/threads.json")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"name": "threads", **found}, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
