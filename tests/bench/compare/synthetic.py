"""A comparison that nobody ran: any number of made-up records to analyse, whose environment calls them synthetic."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgewise.types import CostBasis, Grounding
from router.compare.environment import Environment, Machine, Model
from router.compare.questions import Graded, fingerprint, question_lines
from router.compare.rows import QUESTIONS, RECORDS, RUN, Plan, Row, Run

# name, how often right, how often the cloud writes, seconds
_MODES = (
    ("edge_only", 0.45, 0.0, 0.8),
    ("cloud_only", 0.74, 1.0, 2.4),
    ("post_arbitration+cascade", 0.72, 0.3, 1.4),
    ("pre_arbitration", 0.60, 0.5, 1.5),
    ("post_arbitration", 0.73, 1.0, 1.1),
    ("cloud_info_edge_rag", 0.66, 0.0, 2.0),
    ("agent", 0.63, 0.2, 3.8),
    ("auto", 0.71, 0.4, 1.6),
)
MODES = tuple(name for name, *_ in _MODES)
_GROUPS = ("arithmetic", "device", "general", "manuals", "planning")
_LABEL = "synthetic: made-up answers, times and prices"


def write_records(directory: Path, questions: int, modes: int, seed: int = 0) -> None:
    """Writes a finished run of `questions` in the first `modes` of MODES: run.json, questions.jsonl, records.jsonl."""
    directory.mkdir(parents=True, exist_ok=True)
    graded = [_question(number) for number in range(questions)]
    (directory / QUESTIONS).write_text("\n".join(question_lines(graded)) + "\n", encoding="utf-8")
    run = Run(
        plan=Plan(question_set=fingerprint(graded), modes=MODES[:modes], seed=seed, edge=_LABEL, cloud=_LABEL),
        environment=Environment(
            question_set=fingerprint(graded),
            questions=questions,
            seed=seed,
            started_at="2026-11-25T12:00:00+00:00",
            machine=Machine(system="none", processor="synthetic", cores=None, python="none"),
            versions={},
            commit=None,
            edge=Model(name="none", label=_LABEL),
            cloud=Model(name="none", label=_LABEL),
        ),
    )
    (directory / RUN).write_text(run.model_dump_json(), encoding="utf-8")
    with (directory / RECORDS).open("w", encoding="utf-8") as file:
        for row in _rows(questions, modes, seed):
            file.write(row.model_dump_json() + "\n")


def _question(number: int) -> Graded:
    group = _GROUPS[number % len(_GROUPS)]
    text = f"Made-up question {number} about {group}: what stands on page {number % 311} of the manual?"
    return Graded.model_validate(
        {"id": f"q{number:06}", "turns": ({"text": text},), "answers": (f"made-up answer {number}",), "group": group}
    )


def _rows(questions: int, modes: int, seed: int) -> Iterator[Row]:
    """Every mode on every question: hard questions are hard for all, and one answer in 500 fails."""
    rng = np.random.default_rng(seed)
    hardness = rng.normal(size=questions)
    for mode, share, escalated, seconds in _MODES[:modes]:
        right = rng.random(questions) < np.clip(share - 0.2 * hardness, 0, 1)
        exact = rng.random(questions) < 0.7
        f1 = np.where(right, np.where(exact, 1.0, rng.beta(5, 2, questions)), rng.beta(1, 6, questions))
        cloud = rng.random(questions) < escalated
        cost = np.where(cloud, 0.002 * rng.lognormal(0, 0.5, questions), 0.0)
        total = seconds * rng.lognormal(0, 0.4, questions) * np.where(cloud & (escalated < 1), 1.6, 1.0)
        failed = rng.random(questions) < 0.002
        for number in range(questions):
            if failed[number]:
                yield _failure(number, mode, float(total[number]))
            else:
                drawn = _Drawn(bool(right[number]), float(f1[number]), float(cost[number]), float(total[number]))
                yield _answer(number, mode, drawn, cloud=bool(cloud[number]))


@dataclass(frozen=True, slots=True)
class _Drawn:
    right: bool
    f1: float
    cost_usd: float
    total_s: float


def _answer(number: int, mode: str, drawn: _Drawn, *, cloud: bool) -> Row:
    answer = f"made-up answer {number}" if drawn.right else f"made-up answer {number + 1}, which is wrong"
    return Row(
        id=f"q{number:06}",
        mode=mode,
        answer=f"As far as the manual says, it is {answer}, on page {number % 311}.",
        author="cloud" if cloud else "edge",
        score=float(drawn.right),
        cost_usd=drawn.cost_usd,
        edge_tokens=120,
        cloud_tokens=140 * cloud,
        flops=3e10,
        first_shown_s=drawn.total_s / 4,
        first_kept_s=drawn.total_s / 3,
        total_s=drawn.total_s,
        cloud_calls=int(cloud),
        retractions=int(cloud and mode.startswith("post")),
        confidence=0.5,
        grounding=Grounding.OWN_KNOWLEDGE,
        cost_basis=CostBasis.SIMULATED,
        f1=drawn.f1,
        group=_GROUPS[number % len(_GROUPS)],
        private=False,
        degraded=False,
        error="",
        cloud_generates=int(cloud),
        reason="",
        record_id=f"{number:032x}",
    )


def _failure(number: int, mode: str, total_s: float) -> Row:
    sound = _answer(number, mode, _Drawn(right=False, f1=0.0, cost_usd=0.0, total_s=total_s), cloud=False)
    nothing = dict.fromkeys(("author", "cost_usd", "first_shown_s", "first_kept_s", "grounding", "cost_basis"))
    return sound.model_copy(update={**nothing, "answer": "", "error": "UNAVAILABLE", "reason": "made up"})
