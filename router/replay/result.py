"""What a replay comes to: the summary of a comparison, how much of it was covered, and its files where wanted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgewise.errors import Conflict, NotFound, NotReady
from router.compare.comparison import REPORT, SUMMARY, judging_of
from router.compare.environment import Environment, Replaying, observe
from router.compare.offpolicy import Estimate, Logged, estimate
from router.compare.questions import fingerprint
from router.compare.report import render
from router.compare.rows import RECORDS, RUN, write_text
from router.compare.summary import Summary, summarise
from router.replay.policy import Candidate
from router.replay.run import Replayed
from router.trace import Trace

MISSING = "missing.jsonl"


def result(trace: Trace, candidates: Sequence[Candidate], replayed: Replayed, policy: str) -> Summary:
    """NotFound where the trace covers no question of any candidate."""
    names = [candidate.name for candidate in candidates]
    if not replayed.rows:
        without = f"{len(replayed.missing)} calls are missing, {sum(replayed.undecided.values())} questions undecided"
        raise NotFound(
            f"nothing could be replayed in {', '.join(names)}: {without}; the trace has answers in "
            f"{', '.join(trace.modes) or 'no mode'}"
        )
    return summarise(replayed.rows, names, _environment(trace, candidates, replayed, policy))


def write(out: Path, trace: Trace, replayed: Replayed, summary: Summary) -> None:
    """missing.jsonl, records.jsonl, summary.json and report.html into a directory, each whole or not at all."""
    write_missing(out, replayed)
    write_text(out / RECORDS, "".join(row.model_dump_json() + "\n" for row in replayed.rows))
    write_text(out / SUMMARY, summary.model_dump_json(indent=1) + "\n")
    write_text(out / REPORT, render(summary, tuple(trace.questions.values()), replayed.rows))


def write_missing(out: Path, replayed: Replayed) -> None:
    """missing.jsonl into a directory, which is made; most useful where nothing else came of a replay."""
    check_out(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NotReady(f"cannot write {out}: {error.strerror}; choose another --out") from None
    write_text(out / MISSING, "".join(one.model_dump_json() + "\n" for one in replayed.missing))


def check_out(out: Path) -> None:
    """Conflict where a comparison has its files: those were paid for, and a replay has files of the same names."""
    if (out / RUN).exists():
        raise Conflict(
            f"{out} holds a comparison, whose records a replay would take the place of; choose another --out"
        )


def _environment(trace: Trace, candidates: Sequence[Candidate], replayed: Replayed, policy: str) -> Environment:
    questions, head = tuple(trace.questions.values()), trace.head
    names = [candidate.name for candidate in candidates]
    seen = observe(fingerprint(questions), len(questions), head.seed, head.edge, head.cloud)
    counts = {name: max(sum(row.mode == name for row in replayed.rows), 1) for name in names}
    replaying = Replaying(
        trace=trace.digest,
        policy=policy,
        covered={name: replayed.covered(name) for name in names},
        timed={name: replayed.timed[name] / counts[name] for name in names},
        missing=len(replayed.missing),
        undecided=sum(replayed.undecided.values()),
        of_other_models=trace.of_other_models,
        off_policy={one.name: found for one in candidates if (found := _off_policy(trace, one)) is not None},
    )
    left_out = len(questions) * len(names) - sum(replayed.asked.values())
    judging = judging_of(head.judge, replayed.rows)
    own = {"replaying": replaying, "left_out": left_out, "judging": judging, "skipped": head.skipped}
    return seen.model_copy(update=own)


def _off_policy(trace: Trace, candidate: Candidate) -> Estimate | None:
    """From the answers whose mode was drawn by lot; None where there are none: then nothing has to be estimated."""
    logged = [
        Logged(one.row.score, one.propensity, candidate.mode_of(trace.questions[one.row.id]) == one.row.mode)
        for one in trace.by_lot
        if one.propensity is not None and one.row.score is not None and one.row.id in trace.questions
    ]
    return estimate(logged, trace.head.seed) if logged else None
