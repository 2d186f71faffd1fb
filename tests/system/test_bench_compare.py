"""The benchmark of comparing, whole but small: every figure that was promised is there."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.bench.compare import __main__ as bench

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


def test_every_figure_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "compare.json"
    monkeypatch.setattr(sys, "argv", ["compare", "--quick", "--out", str(out)])
    bench.main()
    written = json.loads(out.read_text())
    summary = written["summary"]
    assert set(summary) == {
        "replay_1000x3_s", "analysis_100k_s", "analysis_100k_rss_mb", "page_interactive_ms", "event_added_ms",
        "coverage95", "sequential_false_alarm",
    }  # fmt: skip
    # A quick run does less than those names say.
    assert [name for name, value in summary.items() if value is None] == [
        "replay_1000x3_s", "analysis_100k_s", "analysis_100k_rss_mb",
    ]  # fmt: skip
    assert 0.5 < summary["coverage95"] <= 1
    assert 0 <= summary["sequential_false_alarm"] < 0.5
    assert all(row["synthetic"] for row in written["rows"] if "records" in row)
