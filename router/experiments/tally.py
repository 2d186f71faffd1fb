"""What is known of an experiment, kept up with every answer and every grade."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from edgewise.types import ArmDifference, ArmFigures, CostBasis, Experiment, Grade, Record
from router.experiments.assignment import unit_of
from router.experiments.sequential import CONFIDENCE, Contest
from router.log import Log

_PAGE = 200
_FAR = 10_000_000  # units: a guess beyond is no news


@dataclass(slots=True)
class _Sums:
    answers: int = 0
    errors: int = 0
    graded: int = 0
    grades: float = 0.0
    priced: int = 0
    usd: float = 0.0
    seconds: float = 0.0
    basis: CostBasis | None = None

    def answered(self, record: Record) -> None:
        if record.error:
            self.errors += 1
            return
        self.answers += 1
        self.seconds += record.total_s
        if record.cost_usd is not None:
            self.priced += 1
            self.usd += record.cost_usd
            self.basis = CostBasis.weakest((self.basis, record.cost_basis))

    def figures(self, mode: str) -> ArmFigures:
        return ArmFigures(
            mode=mode,
            answers=self.answers,
            errors=self.errors,
            graded=self.graded,
            grade=self.grades / self.graded if self.graded else None,
            priced=self.priced,
            cost_usd=self.usd / self.priced if self.priced else None,
            total_s=self.seconds / self.answers if self.answers else None,
            cost_basis=self.basis,
        )


class Tally:
    """A unit counts once, by its first grade, and for good: what was looked at cannot be taken back (README.md).

    Whoever tells of a record or a grade sees to it that it is one of the experiment.
    """

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment
        self._control, *others = experiment.arms
        self._arms = {arm.mode: _Sums() for arm in experiment.arms}
        self._shadow = _Sums()
        alpha = (1 - CONFIDENCE) / max(len(others), 1)
        self._contests = {arm.mode: Contest(arm.weight / (self._control.weight + arm.weight), alpha) for arm in others}
        self._counted: set[str] = set()

    @staticmethod
    async def of(experiment: Experiment, log: Log) -> Tally:
        """From the records and grades of the log."""
        tally = Tally(experiment)
        records = await _records_of(experiment, log)
        for record in records:
            tally.answered(record)
        given = [(record, grade) for record in records for grade in record.grades]
        tally.graded(sorted(given, key=lambda one: one[1].created_at))
        return tally

    def answered(self, record: Record) -> None:
        self._sums_of(record).answered(record)

    def graded(self, given: Iterable[tuple[Record, Grade]]) -> None:
        """Grades in the order in which they came; those count that are the first of their unit."""
        first = [(record, grade.score) for record, grade in given if self._is_first(record, grade)]
        for record, score in first:
            sums = self._sums_of(record)
            sums.graded += 1
            sums.grades += score
        for mode, contest in self._contests.items():
            both = {mode, self._control.mode}
            lots = [
                (record.arm == mode, score) for record, score in first if not record.shadow_of and record.arm in both
            ]
            contest.add([is_arm for is_arm, _ in lots], [score for _, score in lots])

    @property
    def arms(self) -> tuple[ArmFigures, ...]:
        return tuple(sums.figures(mode) for mode, sums in self._arms.items())

    @property
    def shadow(self) -> ArmFigures | None:
        return self._shadow.figures(self._experiment.shadow) if self._experiment.shadow else None

    @property
    def differences(self) -> tuple[ArmDifference, ...]:
        return tuple(map(self._difference, self._contests))

    @property
    def harmed(self) -> ArmDifference | None:
        """An arm that is shown to be worse than the control by more than the experiment allows."""
        harm = self._experiment.harm
        return next((self._difference(mode) for mode, some in self._contests.items() if some.is_below(-harm)), None)

    def _sums_of(self, record: Record) -> _Sums:
        return self._shadow if record.shadow_of else self._arms[record.arm]

    def _is_first(self, record: Record, grade: Grade) -> bool:
        """Shadow answers were not drawn by lot: each is a unit by itself, and in no contest."""
        if self._experiment.grader not in {"", grade.grader}:
            return False
        unit = (
            f"shadow\x1f{record.record_id}" if record.shadow_of else unit_of(self._experiment, record, record.record_id)
        )
        is_first = unit not in self._counted
        self._counted.add(unit)
        return is_first

    def _difference(self, mode: str) -> ArmDifference:
        contest = self._contests[mode]
        lo, hi = contest.interval()
        needed = contest.units_needed if lo <= 0 <= hi else math.inf
        return ArmDifference(
            arm=mode,
            units=contest.units,
            difference=contest.difference,
            lo=lo,
            hi=hi,
            p_value=min(1.0, contest.p_value * len(self._contests)),
            units_needed=max(contest.units + 1, math.ceil(needed)) if needed < _FAR else None,
            remark=self._doubt(mode) if contest.is_unbalanced else "",
        )

    def _doubt(self, mode: str) -> str:
        graded, of_control = self._arms[mode].graded, self._arms[self._control.mode].graded
        return (
            f"{graded} graded of {mode} and {of_control} of {self._control.mode} are not what their weights explain: "
            "who grades may depend on the arm, and the difference on that"
        )


def is_of(experiment: Experiment, record: Record) -> bool:
    """Whether a record is of this experiment, and not of one whose file was deleted and whose name was used again."""
    is_known = bool(record.shadow_of) or record.arm in {arm.mode for arm in experiment.arms}
    return record.experiment == experiment.name and record.created_at >= experiment.started_at and is_known


async def _records_of(experiment: Experiment, log: Log) -> list[Record]:
    """All records of an experiment with their grades, oldest first."""
    found: list[Record] = []
    before = ""
    while page := await log.newest(limit=_PAGE, before_record_id=before, experiment=experiment.name):
        found += [record for record in page if is_of(experiment, record)]
        before = page[-1].record_id
    return found[::-1]
