"""`python -m tests.bench.cli`: what somebody at a terminal waits for. Writes build/bench/cli.json.

help_ms is `edgewise --help`, demo_s all questions of `edgewise demo` with real models, second_setup_s `make setup` when
there is nothing left to do: medians over runs of whole processes, of one run for the demo.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench import results


def seconds(*command: str) -> float:
    """Of one run to its end, which must be a good one."""
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=1800)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/bench/cli.json"))
    parser.add_argument("--runs", type=int, default=11)
    settings = parser.parse_args()
    edgewise = str(Path(sys.executable).with_name("edgewise"))
    helps = [seconds(edgewise, "--help") for _ in range(settings.runs)]
    setups = [seconds("make", "setup") for _ in range(settings.runs)]
    with tempfile.TemporaryDirectory() as directory:
        demo = seconds(edgewise, "demo", "--out", f"{directory}/demo")
    rows = [
        {"command": name, "runs": len(taken), "min_s": min(taken), "median_s": statistics.median(taken),
         "max_s": max(taken)}
        for name, taken in (("edgewise --help", helps), ("make setup", setups), ("edgewise demo", [demo]))
    ]  # fmt: skip
    summary = {
        "help_ms": 1000 * statistics.median(helps), "demo_s": demo, "second_setup_s": statistics.median(setups),
    }  # fmt: skip
    results.write(settings.out, "cli", rows, summary, settings)


if __name__ == "__main__":
    main()
