"""Which llama.cpp this is and on which processor it runs: what was found out about one does not hold for another."""

from __future__ import annotations

import hashlib
import os
import platform
from contextlib import suppress
from importlib import metadata
from pathlib import Path


def key(*parts: str) -> str:
    """A hash of the parts, of llama.cpp's version and libraries, and of this processor and its cores."""
    package = metadata.distribution("llama-cpp-python")
    libraries = Path(str(package.locate_file("llama_cpp/lib")))
    known = [*parts, package.version, _processor(), str(cores())]
    known += [f"{file.name} {file.stat().st_mtime_ns}" for file in sorted(libraries.glob("*"))]
    return hashlib.sha256("\n".join(known).encode()).hexdigest()


def cores() -> int:
    """The cores that this process may run on, which can be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def settle() -> None:
    """What llama.cpp's libraries read from the environment; to be called before they are loaded.

    When it dies, it need not start a debugger first. OpenMP's threads wait for each other hundreds of times a token:
    with GNU's they spin this often and then sleep. Sleeping at once costs half of the speed, and spinning on and on
    makes answers many times as slow when another program wants a core.
    """
    os.environ.setdefault("GGML_NO_BACKTRACE", "1")
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "5000")


def be_expendable() -> None:
    """In a child: a file that eats the memory of the machine shall cost this process, before any other."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return f"{platform.machine()} {platform.processor()}"
    lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line for line in lines if line.lower().startswith(("flags", "features"))), platform.machine())
