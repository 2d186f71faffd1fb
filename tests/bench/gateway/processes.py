"""The processes that are measured: each one a command of its own, from its `ready` line until SIGTERM."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_MB = 1e6


@dataclass(frozen=True, slots=True)
class Running:
    """`address` is where it answers."""

    address: str
    pid: int

    @property
    def rss_mb(self) -> float:
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        found = re.search(r"^VmRSS:\s+(\d+)", status, re.MULTILINE)
        assert found is not None
        return int(found.group(1)) * 1024 / _MB


@contextmanager
def running(*arguments: str, settings: Mapping[str, str] | None = None) -> Iterator[Running]:
    """`python -m ARGUMENTS`, with these settings and no others."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EDGEWISE_")}
    with subprocess.Popen(
        [sys.executable, "-m", *arguments],
        env={**kept, "EDGEWISE_CONFIG": os.devnull, **(settings or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            ready = re.search(r"grpc=(\S+)", process.stdout.readline())
            if ready is None:
                raise SystemExit(f"`python -m {' '.join(arguments)}` does not start; run it by hand to see why")
            yield Running(ready.group(1), process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
