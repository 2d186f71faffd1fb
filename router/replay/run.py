"""Questions of a trace answered again by the router itself, between two sides that only repeat what they once said."""

from __future__ import annotations

import asyncio
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from edgewise.types import SideStatus
from router.arbiter.arbiter import Arbiter
from router.compare.questions import Graded
from router.compare.rows import Row
from router.compare.runner import OnProgress, Pair, Progress, ask, row_of
from router.config import RouterSettings
from router.egress import Boundary, Policy
from router.log import Log
from router.modes import has_sources
from router.replay.policy import Candidate
from router.replay.sides import Missing, RecordedCloud, RecordedEdge, Stage
from router.replay.virtual import VirtualLoop
from router.service import Router, local_time
from router.trace import Trace

_NO_CLOUD = SideStatus(ready=False, reason="there was no cloud when the trace was recorded")
# What must be the same for a replayed answer to be the recorded one, and its times the measured ones.
_THE_ANSWER = ("author", "answer", "retractions", "cloud_calls", "error")
_NOT_REPLAYED = ("first_shown_s", "first_kept_s", "total_s", "reason", "record_id", "judged", "judge_usd")


@dataclass
class Replayed:
    """Rows of what could be answered; of the rest, the calls that are missing.

    `asked` and `timed` count by candidate: what was to be answered, and rows whose times are those of the very answer
    that was recorded. All other times are put together from those of the calls.
    """

    rows: list[Row] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    timed: Counter[str] = field(default_factory=Counter)
    undecided: Counter[str] = field(default_factory=Counter)

    def covered(self, name: str) -> float:
        """The share of a candidate's questions that could be answered."""
        return sum(row.mode == name for row in self.rows) / self.asked[name] if self.asked[name] else 0.0


def replay(
    trace: Trace,
    candidates: Sequence[Candidate],
    settings: RouterSettings,
    make_arbiter: Callable[[RouterSettings], Arbiter],
    on_progress: OnProgress | None = None,
) -> Replayed:
    """Every question of the trace for every candidate, in the order in which they were recorded, as far as they were.

    It runs on a loop of its own, whose time passes at once.
    """
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(_replay(trace, candidates, settings, make_arbiter(settings), on_progress or (lambda _: None)))


async def _replay(
    trace: Trace, candidates: Sequence[Candidate], settings: RouterSettings, arbiter: Arbiter, report: OnProgress
) -> Replayed:
    stage, found, past = Stage(trace), Replayed(), _Past(trace)
    records = await Log.open("sqlite://")
    router = Router(
        RecordedEdge(stage, trace.head.edge),
        RecordedCloud(stage, trace.head.cloud or _NO_CLOUD),
        records,
        Boundary.of_recordings(Policy(trace.head.unknown)),
        settings,
        arbiter=arbiter,
        clock=asyncio.get_running_loop().time,
        wall=lambda: past.asked_at(stage.question, stage.mode),
    )
    try:
        todo = list(_in_order(trace, candidates))
        for done, (question, candidate, mode) in enumerate(todo, start=1):
            found.asked[candidate.name] += 1
            if mode is None:
                found.undecided[candidate.name] += 1
                continue
            stage.question, stage.mode = question.id, candidate.name
            known = len(stage.missing)
            record = await ask(router, Pair(question, mode))
            if len(stage.missing) == known:
                row, is_timed = past.completed(row_of(Pair(question, mode), record), record.calls, candidate.name)
                found.rows.append(row)
                found.timed[candidate.name] += is_timed
            report(Progress(done, len(todo), found.rows[-1] if found.rows else None))
    finally:
        await router.close()
        await records.close()
    found.missing = list({(one.mode, one.question, one.key): one for one in stage.missing}.values())
    return found


def _in_order(trace: Trace, candidates: Sequence[Candidate]) -> Iterable[tuple[Graded, Candidate, str | None]]:
    """Unanswerable questions are for modes with sources only, as in a comparison."""
    place = {key: number for number, key in enumerate(trace.answers)}
    todo = [
        (question, candidate, mode)
        for question in trace.questions.values()
        for candidate in candidates
        if (mode := candidate.mode_of(question)) is None or question.answerable or has_sources(mode)
    ]
    return sorted(todo, key=lambda one: place.get((one[0].id, one[1].name), len(place)))


class _Past:
    """What the trace knows of answers as a whole: when they were asked for, how long they took, what they scored."""

    def __init__(self, trace: Trace) -> None:
        self._answers = trace.answers
        self._asked = {question: one.asked_at for (question, _), one in trace.answers.items() if one.asked_at}
        self._scored = {
            (one.row.id, one.row.answer): one.row.score
            for one in trace.answers.values()
            if one.row.score is not None and not one.row.error
        }
        self._own_s = _own_seconds(trace)

    def asked_at(self, question: str, mode: str) -> datetime:
        answered = self._answers.get((question, mode))
        known = (answered.asked_at if answered else "") or self._asked.get(question, "")
        return datetime.fromisoformat(known) if known else local_time()

    def completed(self, row: Row, calls: Sequence[str], name: str) -> tuple[Row, bool]:
        """The row under its candidate's name, with a score that only a judge or a user can give, and with its times.

        An answer that came of the calls of a recorded one took what that took; whether it did.
        """
        score = self._scored.get((row.id, row.answer)) if row.score is None else row.score
        row = row.model_copy(update={"mode": name, "score": score})
        before = self._answers.get((row.id, name))
        if before is None or sorted(before.calls) != sorted(calls) or _differ(before.row, row):
            return row.model_copy(update={"total_s": row.total_s + self._own_s}), False
        return row.model_copy(update={name: getattr(before.row, name) for name in _NOT_REPLAYED}), True


def _differ(one: Row, other: Row) -> bool:
    return any(getattr(one, name) != getattr(other, name) for name in _THE_ANSWER)


def _own_seconds(trace: Trace) -> float:
    """The router's own share of an answer: the median of what was nobody's call; 0 if nothing is known."""
    calls: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for several in trace.calls.values():
        for one in several:
            calls.setdefault((one.question, one.mode), []).append((one.call.started_s, one.call.ended_s))
    own = [
        max(answered.row.total_s - _covered(calls.get(key, [])), 0.0)
        for key, answered in trace.answers.items()
        if not answered.row.error
    ]
    return statistics.median(own) if own else 0.0


def _covered(spans: Iterable[tuple[float, float]]) -> float:
    """The length of the union of spans of time."""
    total, end = 0.0, 0.0
    for start, stop in sorted(spans):
        total += max(stop - max(start, end), 0.0)
        end = max(end, stop)
    return total
