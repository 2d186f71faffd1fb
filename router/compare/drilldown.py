"""Which questions the page shows one by one: all of a small comparison, a fair choice of a large one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from router.compare.questions import Graded
from router.compare.rows import Row

ANSWERS_SHOWN = 4_000  # a page of more answers than this is slow to open


@dataclass(frozen=True, slots=True)
class Asked:
    question: Graded
    rows: list[Row | None]  # in the order of the modes, None where the mode was not asked

    @property
    def disputed(self) -> bool:
        """Whether the modes differ in score."""
        return len({row.score for row in self.rows if row}) > 1


@dataclass(frozen=True, slots=True)
class Drilldown:
    """The questions to show under the heading of their group, and how many of how many they are."""

    groups: list[tuple[str, list[Asked]]]
    shown: int
    questions: int
    shown_disputed: int
    disputed: int


def drilldown(
    questions: Sequence[Graded], modes: Sequence[str], rows: Sequence[Row], answers: int = ANSWERS_SHOWN
) -> Drilldown:
    """All questions, in the order of their file, if their answers are at most so many.

    Otherwise first those on which the modes differ, then the others; of too many, evenly spaced ones.
    """
    found = {(row.id, row.mode): row for row in rows}
    asked = [Asked(question, [found.get((question.id, mode)) for mode in modes]) for question in questions]
    disputed = [at for at, each in enumerate(asked) if each.disputed]
    room = max(1, answers // max(1, len(modes)))
    chosen = list(range(len(asked)))
    if len(asked) > room:
        chosen = _evenly(disputed, room)
        agreed = sorted(set(range(len(asked))) - set(disputed))
        chosen = sorted(chosen + _evenly(agreed, room - len(chosen)))
    groups: dict[str, list[Asked]] = {}
    for at in chosen:
        groups.setdefault(asked[at].question.group, []).append(asked[at])
    return Drilldown(
        groups=sorted(groups.items()),
        shown=len(chosen),
        questions=len(asked),
        shown_disputed=len(set(chosen) & set(disputed)),
        disputed=len(disputed),
    )


def _evenly(places: Sequence[int], room: int) -> list[int]:
    if len(places) <= room:
        return list(places)
    return [places[at * len(places) // room] for at in range(room)]
