"""Graded questions to learn routing from: what the edge (weak) and the cloud (strong) made of each.

CSV with a header, or JSON lines, with the columns `prompt`, `weak` and `strong` (quality: 0 to 1, true or false), and
where known `weak_answer`, `cost_weak` and `cost_strong` (USD a request) and `group` (subject or source). JSON lines may
say more of the answer: `logprobs`, `entropies` and `margins` of its tokens, `facts` that it was to be written from,
`samples` drawn at random, and whether it is `finished`. Other columns are ignored. What is learned about the gain needs
no answers, what is learned about trust needs no `strong`.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from edgewise.errors import InvalidInput, NotFound
from router.arbiter.answers import Answer
from router.arbiter.metrics import Floats, Ints, Outcomes

FEWEST = 50
FOR_GAIN = ("prompt", "weak", "strong")
FOR_TRUST = ("prompt", "weak", "weak_answer")
_COSTS = ("cost_weak", "cost_strong")
_OF_TOKENS = ("logprobs", "entropies", "margins")
_TEXTS = ("facts", "samples")
_WORDS = {"true": 1.0, "false": 0.0}
_LONE = re.compile("[\ud800-\udfff]")
_SHOWN = 5

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Labels:
    """`answers` are the weak side's, `groups` subjects or sources; both empty where they are not given.

    The strong side's quality is NaN where it is not given.
    """

    prompts: tuple[str, ...]
    outcomes: Outcomes
    answers: tuple[Answer, ...] = ()
    groups: tuple[str, ...] = ()
    digest: str = ""

    def __len__(self) -> int:
        return len(self.prompts)

    def take(self, rows: Ints) -> Labels:
        def some(values: tuple[T, ...]) -> tuple[T, ...]:
            return tuple(values[row] for row in rows) if values else ()

        return Labels(some(self.prompts), self.outcomes.take(rows), some(self.answers), some(self.groups), self.digest)


def read_labels(paths: Sequence[Path], needed: Sequence[str] = FOR_GAIN) -> Labels:
    """All rows of some files. InvalidInput, with the lines at fault, where they are not what they should be."""
    rows: list[Mapping[str, object]] = []
    faults: list[str] = []
    contents = [_content(path) for path in paths]
    for path, content in zip(paths, contents, strict=True):
        for place, row in _rows(path, content, needed):
            fault = row if isinstance(row, str) else _fault(row, needed)
            if fault:
                faults.append(f"{path}:{place}: {fault}")
            elif not isinstance(row, str):
                rows.append(row)
    if faults:
        more = f"\n... and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise InvalidInput("these labels cannot be used:\n" + "\n".join(faults[:_SHOWN]) + more)
    return _labels(rows, hashlib.sha256(b"\0".join(contents)).hexdigest())


def learnable(labels: Labels) -> Labels:
    """The same labels, if something can be learned from them; InvalidInput says why not."""
    if len(labels) < FEWEST:
        raise InvalidInput(f"{len(labels)} graded questions are too few to learn from; grade at least {FEWEST}")
    gains = labels.outcomes.strong - labels.outcomes.weak
    if np.isnan(gains).any():
        raise InvalidInput("the expected gain is learned from questions of which `strong` is known, all of them")
    if np.all(gains == gains[0]):
        raise InvalidInput("both sides are equally right on every question: there is nothing to learn about routing")
    return labels


def learnable_answers(labels: Labels) -> None:
    """InvalidInput says why nothing can be learned from these graded answers."""
    right = labels.outcomes.weak
    if len(labels.answers) < len(right):
        raise InvalidInput("trust is learned from answers; give `weak_answer` in every row")
    if len(right) < FEWEST:
        raise InvalidInput(f"{len(right)} graded answers are too few to learn from; grade at least {FEWEST}")
    if not np.isin(right, (0.0, 1.0)).all():
        raise InvalidInput("trust is learned from answers that are right or wrong: grades of 0 or 1, nothing between")
    if np.all(right == right[0]):
        kind = "right" if right[0] else "wrong"
        raise InvalidInput(f"all {len(right)} answers are {kind}: trust needs right ones and wrong ones to learn from")


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise NotFound(f"there is no file of labels at {path}") from None
    except OSError as error:
        raise InvalidInput(f"cannot read the labels in {path}: {error.strerror}") from None


def _rows(path: Path, content: bytes, needed: Sequence[str]) -> Iterator[tuple[int, Mapping[str, object] | str]]:
    """Each row with its line, or what is wrong with the line."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        yield 1, "is not UTF-8 text; save it as UTF-8"
        return
    if path.suffix.lower() == ".csv":
        yield from _csv_rows(text, needed)
        return
    for place, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                row = None
            yield (
                place,
                row if isinstance(row, dict) else "is not a JSON object; files that are not .csv are JSON lines",
            )


def _csv_rows(text: str, needed: Sequence[str]) -> Iterator[tuple[int, Mapping[str, object] | str]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        missing = [name for name in needed if name not in (reader.fieldnames or ())]
        if missing:
            yield (
                1,
                f"has no column {', '.join(missing)}; its header says {', '.join(reader.fieldnames or ['nothing'])}",
            )
            return
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        yield reader.line_num, f"is not CSV ({error})"


def _fault(row: Mapping[str, object], needed: Sequence[str]) -> str:
    prompt = row.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        return "has no prompt"
    if _LONE.search(prompt):
        return "has a prompt with half of a character (a lone surrogate)"
    for name in ("weak", "strong"):
        value = _number(row.get(name))
        missing = row.get(name) in (None, "")
        if missing and name in needed:
            return f"has no {name}"
        if not missing and (value is None or not 0 <= value <= 1):
            return f"{name} is {row.get(name)!r}, and must be from 0 to 1, true or false"
    if "weak_answer" in needed and not isinstance(row.get("weak_answer"), str):
        return "has no weak_answer"
    for name in _COSTS:
        value = _number(row.get(name))
        if row.get(name) not in (None, "") and (value is None or value < 0):
            return f"{name} is {row.get(name)!r}, and must be a number of USD, or empty"
    return _fault_of_answer(row)


def _fault_of_answer(row: Mapping[str, object]) -> str:
    for name in _OF_TOKENS:
        values = row.get(name) or []
        numbers = [None if isinstance(one, str) else _number(one) for one in values] if isinstance(values, list) else []
        if not isinstance(values, list) or None in numbers:
            return f"{name} must be a list of numbers, one a token"
        if any(one is not None and (one > 0 if name == "logprobs" else one < 0) for one in numbers):
            return f"{name} must not be {'above' if name == 'logprobs' else 'below'} 0"
    for name in _TEXTS:
        texts = row.get(name) or []
        if not isinstance(texts, list) or not all(isinstance(one, str) and not _LONE.search(one) for one in texts):
            return f"{name} must be a list of texts of whole characters"
    if _LONE.search(str(row.get("weak_answer", ""))):
        return "has a weak_answer with half of a character (a lone surrogate)"
    return ""


def _labels(rows: Sequence[Mapping[str, object]], digest: str) -> Labels:
    weak, strong = (
        np.array([math.nan if (value := _number(row.get(name))) is None else value for row in rows], np.float64)
        for name in ("weak", "strong")
    )
    prompts = tuple(str(row["prompt"]) for row in rows)
    groups = tuple(str(row["group"]) for row in rows if row.get("group") is not None)
    answers = tuple(_answer(row) for row in rows if row.get("weak_answer") is not None)
    return Labels(
        prompts,
        Outcomes(weak, strong, *(_costs(rows, name) for name in _COSTS)),
        answers if len(answers) == len(rows) else (),
        groups if len(groups) == len(rows) else (),
        digest,
    )


def _answer(row: Mapping[str, object]) -> Answer:
    lists = {name: tuple(found) for name in (*_OF_TOKENS, *_TEXTS) if isinstance(found := row.get(name), list)}
    finished = row.get("finished") is not False
    return Answer(str(row["prompt"]), str(row["weak_answer"]), finished=finished, **lists)


def _costs(rows: Sequence[Mapping[str, object]], name: str) -> Floats | None:
    """None unless every row has it: a sum of some costs is no cost."""
    values = [_number(row.get(name)) for row in rows]
    return None if None in values else np.array(values, np.float64)


def _number(value: object) -> float | None:
    """Of a number or its text, true and false included; None for anything else, NaN too."""
    if isinstance(value, str):
        value = _WORDS.get(value.strip().lower(), value)
    if not isinstance(value, (str, int, float)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
