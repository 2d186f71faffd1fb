"""What this machine does beside the benchmark, and what a contender takes of it. Linux only; elsewhere None."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from edgewise.types import Value
from tests.bench.engine.plan import Memory

_MB = 1e6
_BLOCK = bytes(16 << 20)
NOISY_BUSY = 0.05
NOISY_SPIN = 1.25


class Quiet(Value):
    """`busy` is the share of all cores that is taken while the benchmark rests.

    `spin` is how much longer than its best a fixed piece of work takes, on all cores at once, at the worst of several.
    """

    load_average: float
    busy: float | None
    spin_s: float
    spin: float

    @property
    def noisy(self) -> bool:
        return (self.busy or 0.0) > NOISY_BUSY or self.spin > NOISY_SPIN


def name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(), re.MULTILINE) if cpuinfo.exists() else None
    processor = found.group(1) if found else platform.processor() or platform.machine()
    return f"{processor}, {os.cpu_count()} cores, {platform.system()} {platform.release()}"


def quiet(rest_s: float = 0.5) -> Quiet:
    times = sorted(_spin() for _ in range(9))
    return Quiet(
        load_average=os.getloadavg()[0],
        busy=busy(rest_s),
        spin_s=times[0],
        spin=times[-2] / times[0],  # one outlier is no noise
    )


def busy(seconds: float) -> float | None:
    """The share of all cores that somebody used while we slept."""
    before = _ticks()
    time.sleep(seconds)
    after = _ticks()
    if before is None or after is None or after[1] == before[1]:
        return None
    return 1.0 - (after[0] - before[0]) / (after[1] - before[1])


class Others:
    """The share of all cores that processes other than these and this one use from now on."""

    def __init__(self, pids: Iterable[int]) -> None:
        self._pids = {*pids, os.getpid()}
        self._before = self._used()

    def share(self) -> float | None:
        now = self._used()
        if self._before is None or now is None or now[1] == self._before[1]:
            return None
        return max(0.0, (now[0] - self._before[0]) / (now[1] - self._before[1]))

    def _used(self) -> tuple[int, int] | None:
        """Clock ticks that others have used, and all."""
        ticks = _ticks()
        try:
            ours = sum(_ticks_of(pid) for pid in self._pids)
        except OSError:
            return None
        return None if ticks is None else (ticks[1] - ticks[0] - ours, ticks[1])


def memory(pids: Iterable[int]) -> Memory | None:
    rss = pss = peak = 0.0
    for pid in pids:
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
            status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
        except OSError:
            return None
        rss += _kilobytes(rollup, "Rss")
        pss += _kilobytes(rollup, "Pss")
        peak += _kilobytes(status, "VmHWM")
    return Memory(rss_mb=rss, pss_mb=pss, peak_mb=peak)


def joules() -> float | None:
    """What the processor packages have used since some time ago, by RAPL; None where that cannot be read."""
    total = 0.0
    domains = sorted(Path("/sys/class/powercap").glob("intel-rapl:[0-9]"))
    for domain in domains:
        try:
            total += int((domain / "energy_uj").read_text(encoding="ascii")) / 1e6
        except OSError:
            return None
    return total if domains else None


def _spin() -> float:
    cores = os.cpu_count() or 1
    with ThreadPoolExecutor(cores) as pool:
        started = time.perf_counter()
        list(pool.map(lambda _: hashlib.sha256(_BLOCK).digest(), range(4 * cores)))
        return time.perf_counter() - started


def _ticks() -> tuple[int, int] | None:
    """Idle and all clock ticks since the machine started."""
    try:
        first = Path("/proc/stat").read_text(encoding="ascii").partition("\n")[0]
    except OSError:
        return None
    ticks = [int(word) for word in first.split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)


def _ticks_of(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _kilobytes(text: str, field: str) -> float:
    found = re.search(rf"^{field}:\s+(\d+) kB", text, re.MULTILINE)
    return int(found.group(1)) * 1024 / _MB if found else 0.0
