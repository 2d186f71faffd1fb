"""The edge node under test: a child process, and what it takes of the machine. Linux only."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from edgewise.types import Value

SETTINGS = {
    "EDGEWISE_CONFIG": os.devnull,
    "EDGEWISE_EDGE__CONTEXT_TOKENS": "1024",
    "EDGEWISE_EDGE__PARALLEL": "4",
    "EDGEWISE_EDGE__MAX_QUEUE": "16",
    "EDGEWISE_EDGE__PREFIX_CACHE_MIB": "16",
}
CONTEXT_TOKENS, PARALLEL, PLACES = 1024, 4, 20
_MB = 1e6


class Sample(Value):
    """What the child has at a time, in seconds since it was ready. `files` are open descriptors."""

    at_s: float
    rss_mb: float
    threads: int
    files: int


@dataclass(frozen=True, slots=True)
class Node:
    """A running `edge serve`."""

    process: asyncio.subprocess.Process
    address: str
    log: Path
    ready: float

    def sample(self) -> Sample:
        place = Path(f"/proc/{self.process.pid}")
        status = dict(re.findall(r"^(\w+):\s+(\d+)", (place / "status").read_text(encoding="ascii"), re.MULTILINE))
        return Sample(
            at_s=time.monotonic() - self.ready,
            rss_mb=int(status["VmRSS"]) * 1024 / _MB,
            threads=int(status["Threads"]),
            files=len(list((place / "fd").iterdir())),
        )


@asynccontextmanager
async def serving(data_dir: Path) -> AsyncIterator[Node]:
    """A node from its `ready` line until its standard input ends; `data_dir` is there."""
    log = data_dir / "edge.log"
    given = {name: value for name, value in os.environ.items() if not name.startswith("EDGEWISE_")}
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "edge", "serve", "--until-stdin-closes"),
            *("--address", "127.0.0.1:0", "--data-dir", str(data_dir)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            env={**given, **SETTINGS},
        )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = (await process.stdout.readline()).decode()
        if not line.startswith("ready grpc="):
            raise SystemExit(f"the edge node does not start: {log.read_text()}")
        yield Node(process, line.removeprefix("ready grpc=").strip(), log, time.monotonic())
    finally:
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 30)
        except TimeoutError:
            process.kill()
            await process.wait()
