"""The soak for seconds instead of minutes: that it runs, counts and finds nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_a_short_soak_finds_nothing(tmp_path: Path) -> None:
    out = tmp_path / "engine.json"
    command = [sys.executable, "-m", "tests.soak.engine", "--minutes", "0.05", "--cancels", "100", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(out.read_text())
    assert (report["violated"], report["violations"], report["distinct_answers"]) == (0, [], 1)
    assert report["cancels"]["count"] == sum(report["cancels"]["moments"].values()) == 100
    assert sum(sum(ends.values()) for ends in report["ends"].values()) == report["requests"] > 100
