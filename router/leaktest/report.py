"""What came of a leak test: for people, and as JSON."""

from __future__ import annotations

from edgewise.types import Value


class Leak(Value):
    """A secret that got out: at which sink and in which form it was found, where it had been, and what happened."""

    at: str
    found: str
    secret: str
    mode: str
    fault: str


class Control(Value):
    """Questions that should have arrived, and how many did not; `which` has the first ones."""

    asked: int
    kept: int
    which: tuple[str, ...] = ()

    @property
    def share(self) -> float | None:
        return self.kept / self.asked if self.asked else None


class Report(Value):
    """`arrived` counts calls at each sink, `bytes` what came with them, `seen` the control questions that are there.

    `public` are questions labelled so in modes that ask the cloud; `harmless` ones have no label, and nothing that a
    detector should see.
    """

    seed: int
    questions: int
    ends: dict[str, int]
    secrets: int
    arrived: dict[str, int]
    bytes: dict[str, int]
    seen: dict[str, int]
    leaks: tuple[Leak, ...]
    public: Control
    harmless: Control

    @property
    def trouble(self) -> str:
        """Why the test says nothing; empty if it does."""
        if self.public.asked and self.public.kept == self.public.asked:
            return "not one public question arrived, so that secrets could not have arrived either"
        return ""

    @property
    def passed(self) -> bool:
        return not self.leaks and not self.trouble

    def text(self) -> str:
        ends = ", ".join(f"{count} {end}" for end, count in sorted(self.ends.items(), key=lambda one: -one[1]))
        lines = [
            f"{self.questions} questions with {self.secrets} secrets, seed {self.seed}",
            f"ended     {ends}",
            *(
                f"arrived   {at}: {calls:,} calls, {self.bytes[at]:,} bytes, {self.seen[at]:,} controls"
                for at, calls in self.arrived.items()
            ),
            f"leaks     {len(self.leaks)}",
        ]
        lines += [
            f"  LEAK    {one.secret} in {one.mode} ({one.fault}): {one.found} at the {one.at}" for one in self.leaks
        ]
        for name, what in (("labelled public", self.public), ("harmless, without a label", self.harmless)):
            if what.asked:
                lines.append(f"kept      {what.kept} of {what.asked} questions {name}, needlessly ({what.share:.1%})")
                lines += [f"  kept    {one}" for one in what.which]
        return "\n".join(lines + ([f"NO RESULT {self.trouble}"] if self.trouble else []))
