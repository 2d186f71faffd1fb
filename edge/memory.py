"""Is there room for a model? Asked before it is loaded, because the kernel's answer is to kill."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edge.llama.machine.calibration import Tuning
from edge.llama.machine.probe import Probe, probe
from edgewise.errors import NotReady

_PROC = Path("/proc")
_CGROUPS = Path("/sys/fs/cgroup")


def check(path: Path, context_tokens: int, sequences: int, tuning: Tuning) -> Probe:
    """NotReady, with the numbers, if the model with this many contexts takes more memory than there is.

    Also NotReady for a file that is no language model, as `probe` has it. Blocks for a second when it is asked the
    first time. What llama.cpp puts on a GPU is counted too: do not ask for such a model.
    """
    needed = probe(path, context_tokens, sequences, tuning)
    free = available()
    if free is not None and needed.bytes > free:
        raise NotReady(f"{in_words(needed, context_tokens, sequences)}, and {_mb(free)} are free: {ADVICE}")
    return needed


ADVICE = "lower edge.context_tokens or edge.parallel, choose a smaller model, or end other programs"


def in_words(needed: Probe, context_tokens: int, sequences: int) -> str:
    tokens = min(context_tokens, needed.context_tokens)
    return (
        f"the model takes {_mb(needed.bytes)} of memory (weights {_mb(needed.weights_bytes)}, {sequences} x {tokens} "
        f"tokens of context {_mb(needed.kv_bytes)}, buffers {_mb(needed.buffer_bytes)})"
    )


def available() -> int | None:
    """Bytes that a new process can have: of the machine, or of the tightest control group; None if nobody says."""
    return min((*_of_the_machine(), *_of_control_groups()), default=None)


def _of_the_machine() -> Iterator[int]:
    for line in _lines(_PROC / "meminfo"):
        if line.startswith("MemAvailable:"):
            yield int(line.split()[1]) * 1024


def _of_control_groups() -> Iterator[int]:
    """Version 2 only. File pages that nobody uses count as free, as they do in MemAvailable."""
    group = next((line[3:] for line in _lines(_PROC / "self" / "cgroup") if line.startswith("0::")), "")
    directory = _CGROUPS / group.lstrip("/")
    for place in (directory, *directory.parents):
        limit, used = _lines(place / "memory.max"), _lines(place / "memory.current")
        if limit and used and limit[0].isdecimal():
            counts = dict(line.split() for line in _lines(place / "memory.stat"))
            yield max(0, int(limit[0]) - int(used[0]) + int(counts.get("inactive_file", 0)))
        if place == _CGROUPS:
            return


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").splitlines()
    except OSError:
        return []


def _mb(count: int) -> str:
    return f"{count / 1e6:.0f} MB"
