"""How long and in how much memory `edgewise report` analyses 100,000 records, and whether its intervals cover."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.bench.compare import coverage
from tests.bench.compare.synthetic import write_records

Row = dict[str, object]
SHAPES = ((33_334, 3), (12_500, 8))  # questions, modes: 100,000 records each


def analysis(directory: Path, shapes: tuple[tuple[int, int], ...] = SHAPES) -> tuple[list[Row], dict[str, float]]:
    """A row a shape, and `analysis_100k_s` and `analysis_100k_rss_mb` of the slowest and the largest of them.

    Wall time and peak resident memory of `edgewise report DIR` in a process of its own, from its start to its end,
    on made-up records that `directory` is filled with.
    """
    rows = [_report(directory / f"{questions}x{modes}", questions, modes) for questions, modes in shapes]
    return rows, {
        "analysis_100k_s": max(float(str(row["seconds"])) for row in rows),
        "analysis_100k_rss_mb": max(float(str(row["rss_mb"])) for row in rows),
    }


def covering(runs: int = coverage.RUNS) -> tuple[list[Row], dict[str, float]]:
    """A row a simulated case and size, and `coverage95`: the coverage that is farthest from 0.95."""
    rows = coverage.coverage(runs)
    return rows, {"coverage95": coverage.farthest(rows)}


def _report(directory: Path, questions: int, modes: int) -> Row:
    write_records(directory, questions, modes)
    started = time.monotonic()
    child = subprocess.Popen(
        [sys.executable, "-m", "router", "report", str(directory)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    _, status, used = os.wait4(child.pid, 0)
    seconds = time.monotonic() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    with child:
        if child.returncode != 0 and child.stderr is not None:
            raise SystemExit(f"`edgewise report {directory}` failed: {child.stderr.read().decode()}")
    kilobytes = used.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    return {
        "questions": questions,
        "modes": modes,
        "records": questions * modes,
        "synthetic": True,
        "seconds": round(seconds, 2),
        "processor_s": round(used.ru_utime + used.ru_stime, 2),
        "rss_mb": round(kilobytes / 1024, 1),
        "report_mb": round((directory / "report.html").stat().st_size / 1e6, 2),
    }
