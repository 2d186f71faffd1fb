"""Grades as people write them."""

from __future__ import annotations

from edgewise.errors import InvalidInput
from edgewise.types import Record


def parse_grade(value: str) -> float:
    """`up`, `down`, or a number from 0 to 1."""
    words = {"up": 1.0, "right": 1.0, "down": 0.0, "wrong": 0.0}
    try:
        score = words[value] if value in words else float(value)
    except ValueError:
        score = -1.0
    if not 0 <= score <= 1:
        raise InvalidInput(f"`{value[:40]}` is not a grade; give `up`, `down`, or a number from 0 to 1")
    return score


def mean_grade(record: Record) -> float | None:
    """The mean over the graders of an answer; of each, the latest grade counts."""
    latest = {grade.grader: grade.score for grade in record.grades}
    return sum(latest.values()) / len(latest) if latest else None
