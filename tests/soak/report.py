"""What came of a soak: for people, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgewise.types import Value
from tests.soak.child import SETTINGS, Sample
from tests.soak.tally import Memory, Tally

_MORE_FILES = 4
"""Descriptors that may be open more after the soak than before: pools that are made lazily."""


class Cancels(Value):
    """The quick cancels: how many, in how long, and how many at which moment."""

    count: int
    seconds: float
    moments: dict[str, int]


class Report(Value):
    """`ends` counts how the requests of each kind ended. `violated` counts all violations, `violations` has the first
    ones in words."""

    name: str = "engine"
    minutes: float
    seed: int
    settings: dict[str, str] = SETTINGS
    requests: int
    ends: dict[str, dict[str, int]]
    violated: int
    violations: tuple[str, ...]
    memory: Memory
    cancels: Cancels
    probes: int
    distinct_answers: int
    before_cancels: Sample
    after_cancels: Sample
    samples: tuple[Sample, ...]

    @classmethod
    def of(
        cls,
        *,
        minutes: float,
        seed: int,
        tally: Tally,
        memory: Memory,
        cancels: Cancels,
        answers: Sequence[str],
        before: Sample,
        after: Sample,
        samples: Sequence[Sample],
    ) -> Report:
        if memory.is_judged and not memory.is_flat:
            tally.violation(f"the node grew: {_sizes(memory)}")
        if after.files > before.files + _MORE_FILES:
            tally.violation(f"{before.files} files were open before the cancels, {after.files} afterwards")
        return cls(
            minutes=minutes,
            seed=seed,
            requests=tally.requests,
            ends={kind: dict(ends.most_common()) for kind, ends in sorted(tally.ends.items())},
            violated=tally.violated,
            violations=tuple(tally.violations),
            memory=memory,
            cancels=cancels,
            probes=len(answers),
            distinct_answers=len(set(answers)),
            before_cancels=before,
            after_cancels=after,
            samples=tuple(samples),
        )

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")

    def text(self) -> str:
        before, after, cancels = self.before_cancels, self.after_cancels, self.cancels
        lines = [f"{self.requests} requests in {self.minutes:g} minutes and {cancels.seconds:.0f} s, seed {self.seed}"]
        for kind, ends in self.ends.items():
            lines.append(f"  {kind:13} " + ", ".join(f"{count} {end}" for end, count in ends.items()))
        moments = ", ".join(f"{count} {moment}" for moment, count in sorted(cancels.moments.items()))
        lines += [
            f"{cancels.count} quick cancels in {cancels.seconds:.0f} s: {moments}",
            f"memory  {_sizes(self.memory)}" + ("" if self.memory.is_judged else " (too short to judge)"),
            f"        {before.rss_mb:.0f} MB before the cancels, {after.rss_mb:.0f} MB after them",
            f"files   {before.files} before the cancels, {after.files} after them",
            f"answers {self.distinct_answers} to one question, asked {self.probes} times",
        ]
        lines += [f"VIOLATION {violation}" for violation in self.violations]
        if self.violated > len(self.violations):
            lines.append(f"... and {self.violated - len(self.violations)} more")
        return "\n".join(lines if self.violated else [*lines, "no violation"])


def _sizes(memory: Memory) -> str:
    return (
        f"{memory.first_mb:.0f} MB in the first third, {memory.last_mb:.0f} MB in the last, peak {memory.peak_mb:.0f} "
        f"MB, {memory.slope_mb:+.2f} MB a minute; {memory.threads_first} and {memory.threads_last} threads"
    )
