"""What a benchmark leaves behind: its rows and its summary, with the commit and the machine that they are from."""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.bench.engine import machine


def write(
    out: Path,
    name: str,
    rows: Sequence[Mapping[str, object]],
    summary: Mapping[str, float | None],
    settings: argparse.Namespace,
) -> None:
    """Writes all as JSON, and prints the summary."""
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], check=False, capture_output=True, text=True)
    result = {
        "name": name,
        "commit": commit.stdout.strip(),
        "machine": machine.name(),
        "quiet": machine.quiet().model_dump(),
        "settings": {option: str(value) for option, value in vars(settings).items()},
        "rows": rows,
        "summary": summary,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(summary, indent=1))
