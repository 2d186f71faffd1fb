"""How llama.cpp is set up for one model on this machine: a default, or what a measurement found to be faster.

`python -m edge.llama.machine.calibration MODEL` measures, in a process of its own, because OpenMP keeps the threads
that it has once made. Speeds are compared within one round only, in which all settings take turns, so that a
disturbance hits all; a setting has to be better than the default in each.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from statistics import median
from typing import Self

from edge import models
from edge.llama.machine import build
from edge.models.digests import write_atomically
from edgewise import place
from edgewise.errors import NotReady

_CHUNKS = (64, 128, 256)
_LEAST_GAIN = 0.03
_NOISY = 0.15
_ASKED_TOKENS, _ANSWER_TOKENS = 512, 64


@dataclass(frozen=True, slots=True)
class Tuning:
    """`threads` generate, `prompt_threads` evaluate prompts, at most `chunk_tokens` tokens in one decode.

    With `repack`, weights lie in memory in the order in which special kernels want them: AMX's, llama.cpp's, or ours.
    """

    threads: int
    prompt_threads: int
    chunk_tokens: int
    flash_attention: bool
    repack: bool = True

    @classmethod
    def default(cls, cores: int, *, repack: bool = True) -> Self:
        """All cores; flash attention off, because where it costs it halves the speed of generation."""
        return cls(threads=cores, prompt_threads=cores, chunk_tokens=128, flash_attention=False, repack=repack)


@dataclass(frozen=True, slots=True)
class Speeds:
    """Tokens a second: of a prompt, of one answer, of several answers together."""

    prompt: float
    single: float
    several: float

    @property
    def generation(self) -> float:
        return math.sqrt(self.single * self.several)

    @property
    def whole(self) -> float:
        """Requests a second, one after the other, of a question with passages and a short answer."""
        return 1 / (_ASKED_TOKENS / self.prompt + _ANSWER_TOKENS / self.generation)


Aspect = Callable[[Speeds], float]
_PROMPT, _SINGLE, _SEVERAL, _GENERATION, _WHOLE = map(
    attrgetter, ("prompt", "single", "several", "generation", "whole")
)


@dataclass(frozen=True, slots=True)
class Measured:
    tuning: Tuning
    rounds: tuple[Speeds, ...]

    @property
    def speeds(self) -> Speeds:
        """Medians."""
        return Speeds(*(self.speed(aspect) for aspect in (_PROMPT, _SINGLE, _SEVERAL)))

    def speed(self, aspect: Aspect) -> float:
        return median(map(aspect, self.rounds))

    def spread(self, aspect: Aspect) -> float | None:
        """How far the rounds are apart, as a share of their median; None with a single round."""
        values = [aspect(one) for one in self.rounds]
        return (max(values) - min(values)) / median(values) if len(values) > 1 else None


@dataclass(frozen=True, slots=True)
class Calibration:
    """`measured` begins with the default, and ends with what was measured last."""

    tuning: Tuning
    measured: tuple[Measured, ...]
    measured_at: str

    @property
    def default(self) -> Measured:
        return self.measured[0]

    @property
    def chosen(self) -> Measured:
        """The last time that the chosen settings were measured."""
        return next(one for one in reversed(self.measured) if one.tuning == self.tuning)

    @property
    def noisy(self) -> bool:
        """The machine was busy, or there was one round only: a better setting may have been missed."""
        spreads = [one.spread(aspect) for one in self.measured for aspect in (_PROMPT, _GENERATION)]
        return any(spread is None or spread > _NOISY for spread in spreads)


Rounds = Callable[[tuple[Tuning, ...]], tuple[Measured, ...]]
"""Measures settings against each other, in interleaved rounds."""


def tuning(digest: str, threads: int | None, flash_attention: bool | None, *, repack: bool = True) -> Tuning:
    """What was measured for a model, or the default; where the settings say something, that.

    Without `repack` other kernels are at work than those that were measured.
    """
    found = (stored(digest) if repack else None) or Tuning.default(build.cores(), repack=repack)
    if threads is not None:
        found = replace(found, threads=threads, prompt_threads=threads)
    return found if flash_attention is None else replace(found, flash_attention=flash_attention)


def stored(digest: str) -> Tuning | None:
    """What was measured for the model with this SHA-256, this build and this processor; None if nothing was."""
    found = known(digest)
    return found.tuning if found else None


def known(digest: str) -> Calibration | None:
    """The same with the figures."""
    try:
        return _from_json(_file(digest).read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def measure(path: Path, progress: Callable[[int], None] = lambda _rounds: None) -> Calibration:
    """Measure and keep; `progress` hears how many rounds are done. NotReady if llama.cpp cannot run the model."""
    digest = models.digest(path)
    with subprocess.Popen(
        [sys.executable, "-m", "edge.llama.machine.calibration", str(path)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as child:  # fmt: skip
        assert child.stdout is not None
        last = ""
        try:
            for last in child.stdout:
                if last.strip().isdecimal():
                    progress(int(last))
        finally:
            child.kill()
    if child.returncode != 0:
        raise NotReady(f"the calibration of {path} failed; `edgewise doctor` says whether llama.cpp can run it at all")
    found = _from_json(last)
    keep(digest, found)
    return found


def keep(digest: str, found: Calibration) -> None:
    write_atomically(_file(digest), json.dumps(asdict(found), indent=1))


def choose(cores: int, rounds: Rounds) -> Calibration:
    """First the number of threads, then the size of a chunk, then flash attention; each against the best so far."""
    best = Tuning.default(cores)
    counts = [cores, *(2**power for power in range(cores.bit_length()) if 2**power < cores)]
    by_threads = rounds(tuple(replace(best, threads=count, prompt_threads=count) for count in counts))
    best = replace(
        best,
        threads=_best(by_threads, _GENERATION).tuning.threads,
        prompt_threads=_best(by_threads, _PROMPT).tuning.prompt_threads,
    )
    sizes = [best.chunk_tokens, *(size for size in _CHUNKS if size != best.chunk_tokens)]
    by_chunk = rounds(tuple(replace(best, chunk_tokens=size) for size in sizes))
    best = _best(by_chunk, _PROMPT).tuning
    by_attention = rounds((best, replace(best, flash_attention=True)))
    best = _best(by_attention, _WHOLE).tuning  # it can speed up the one and slow down the other
    return Calibration(best, (*by_threads, *by_chunk, *by_attention), datetime.now(UTC).isoformat(timespec="seconds"))


def _best(measured: Sequence[Measured], aspect: Aspect) -> Measured:
    """The first, unless others are better."""
    first, *others = measured
    return max((first, *(one for one in others if _is_better(first, one, aspect))), key=lambda one: one.speed(aspect))


def _is_better(one: Measured, other: Measured, aspect: Aspect) -> bool:
    """In every round, and by more than a little: a disturbance hits both. A single round says nothing."""
    gains = [aspect(fast) / aspect(slow) - 1 for slow, fast in zip(one.rounds, other.rounds, strict=True)]
    return len(gains) > 1 and min(gains) > 0 and median(gains) > _LEAST_GAIN


def _from_json(text: str) -> Calibration:
    found = json.loads(text)
    measured = tuple(
        Measured(Tuning(**one["tuning"]), tuple(Speeds(**speeds) for speeds in one["rounds"]))
        for one in found["measured"]
    )
    return Calibration(Tuning(**found["tuning"]), measured, found["measured_at"])


def _file(digest: str) -> Path:
    return place.cache_dir() / "calibration" / f"{build.key(digest)}.json"


def _main(path: Path) -> None:
    """In the child: a number a round, and then the calibration."""
    from edge.llama.machine.stopwatch import Stopwatch

    cores = build.cores()
    with Stopwatch(path, lambda done: print(json.dumps(done), flush=True)) as stopwatch:  # noqa: T201 - to the parent
        found = choose(cores, stopwatch.rounds)
    print(json.dumps(asdict(found)))  # noqa: T201 - to the parent


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
