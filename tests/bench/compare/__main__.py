"""`python -m tests.bench.compare`: what comparing takes, and whether it is right about its own certainty.

replay_1000x3_s: `edgewise compare` over 1,000 synthetic questions in three modes, recorded answers on both sides at
latency_scale 0. analysis_100k_s and analysis_100k_rss_mb: `edgewise report` over 100,000 synthetic records.
page_interactive_ms and event_added_ms: the page in Chromium, and an event from the router to the page. coverage95: of
2,000 simulated comparisons each, the coverage of 95 % intervals that is farthest from .95. sequential_false_alarm: the
worst share of 2,000 simulated experiments without a difference in which looking after every grade ever finds one.

Writes build/bench/compare.json; takes some minutes. --quick does less of each, to see that it works.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.bench import results
from tests.bench.compare import analysis, coverage, page, recordings, sequential

_QUICK_SHAPES = ((500, 3),)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/bench/compare.json"))
    parser.add_argument("--quick", action="store_true")
    settings = parser.parse_args()
    rows: list[Mapping[str, object]] = []
    summary: dict[str, float | None] = {}
    with tempfile.TemporaryDirectory() as directory:
        count = 50 if settings.quick else 1000
        compared, replayed = recordings.compared(Path(directory), count)
        rows.append({"questions": count, "modes": 3, "compare_s": compared, "replay_s": replayed})
        summary["replay_1000x3_s"] = None if settings.quick else compared
    with tempfile.TemporaryDirectory() as directory:
        shapes = _QUICK_SHAPES if settings.quick else analysis.SHAPES
        analysed, figures = analysis.analysis(Path(directory), shapes)
        rows += analysed
        summary |= dict.fromkeys(figures) if settings.quick else figures
    summary |= page.measured()
    covered, farthest = analysis.covering(100 if settings.quick else coverage.RUNS)
    rows += covered
    summary |= farthest
    runs, grades = (20, 200) if settings.quick else (sequential.RUNS, sequential.GRADES)
    alarms, tried = sequential.measured(runs, grades)
    rows += tried
    summary |= alarms
    results.write(settings.out, "compare", rows, summary, settings)


if __name__ == "__main__":
    main()
