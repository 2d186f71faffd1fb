"""Graded questions: what a comparison asks, and what it holds the answers against.

The file has one JSON object a line: `id`, `question` (or `turns`), `answers`, and where wanted `scorer`, `choices`,
`tolerance`, `group`, `private`. Keys that we do not know are ignored, so that a data set may carry its own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator

from edgewise.errors import InvalidInput, NotFound
from edgewise.types import Grounding, Privacy, Question, Text, Turn, Value
from edgewise.wire import invalid
from router.compare import scorers

JUDGE = "judge"
"""The scorer that is a model: it says whether an answer says the same as an accepted one (judge.py)."""
_SHOWN_FAULTS = 5
_MEND = "\nmend them; `edgewise compare --skip-bad` leaves such lines out"


class Said(Value):
    role: Literal["user", "assistant"] = "user"
    text: str = Field(min_length=1)


class Graded(Value):
    """One question and its key. No `answers` means that nothing in the sources answers it; None, that there is no key.

    `private` None leaves the label to the router's detectors; True and False state it.
    """

    model_config = ConfigDict(extra="ignore")

    id: str = Field(min_length=1, max_length=200)
    turns: tuple[Said, ...] = Field(min_length=1)
    answers: tuple[str, ...] | None
    scorer: str = "contains"
    choices: tuple[str, ...] = Field(default=(), max_length=26)
    tolerance: float = Field(default=1e-6, ge=0.0, le=1.0)
    group: str = Field(default="", max_length=100)
    private: bool | None = None

    @field_validator("scorer")
    @classmethod
    def _known(cls, name: str) -> str:
        known = (*scorers.SCORERS, JUDGE)
        if name not in known:
            raise ValueError(f"there is no such scorer; use one of {', '.join(known)}")
        return name

    @model_validator(mode="after")
    def _gradable(self) -> Self:
        if self.turns[-1].role != "user" or not self.turns[-1].text.strip():
            raise ValueError("the last turn must be a question of the user")
        answers = self.answers or ()
        if any(not scorers.tokens(answer) for answer in answers):
            raise ValueError("an accepted answer has no word in it")
        if self.scorer == "numeric" and any(scorers.number_of(answer) is None for answer in answers):
            raise ValueError("an accepted answer of the numeric scorer has no number in it")
        if self.scorer == "choice":
            if len(self.choices) < 2:
                raise ValueError("the choice scorer needs at least two `choices`")
            if any(scorers.index_of(answer, self.choices) is None for answer in answers):
                raise ValueError("an accepted answer is none of the `choices`, neither their text nor their letter")
        return self

    @property
    def text(self) -> str:
        """The question itself, with its choices as lettered lines unless it names them all already."""
        asked = self.turns[-1].text
        if self.choices and not all(choice in asked for choice in self.choices):
            return f"{asked}\n{scorers.letters(self.choices)}"
        return asked

    @property
    def answerable(self) -> bool:
        return self.answers is None or bool(self.answers)

    @property
    def is_judged(self) -> bool:
        """Whether it takes a model to say how right an answer is."""
        return self.scorer == JUDGE and bool(self.answers)

    def asked(self, mode: str, request_id: str) -> Question:
        label = {None: Privacy.UNKNOWN, True: Privacy.PRIVATE, False: Privacy.PUBLIC}[self.private]
        history = tuple(Turn(role=turn.role, text=Text(value=turn.text, label=label)) for turn in self.turns[:-1])
        return Question(text=self.text, history=history, mode=mode, request_id=request_id, privacy=label)

    def score(self, answer: str, grounding: Grounding | None) -> float | None:
        """None where only a judge, or nobody, can say."""
        if not self.answerable:
            return float(grounding is Grounding.ABSTAINED)
        return scorers.SCORERS[self.scorer](answer, self._key) if self.answers and not self.is_judged else None

    def f1(self, answer: str, grounding: Grounding | None) -> float | None:
        return scorers.f1(answer, self._key) if self.answers else self.score(answer, grounding)

    @property
    def _key(self) -> scorers.Key:
        return scorers.Key(answers=self.answers or (), choices=self.choices, tolerance=self.tolerance)


def read_questions(path: Path, on_fault: Callable[[str], None] | None = None) -> tuple[Graded, ...]:
    """The questions of a file; InvalidInput with line numbers and reasons if any line is at fault.

    Where the caller wants to hear of faults, lines at fault are left out instead.
    """
    found: dict[str, Graded] = {}
    faults: list[str] = []
    lines_of: dict[str, int] = {}
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        try:
            graded = _parse(line, number)
            if graded.id in found:
                raise InvalidInput(f"the id {graded.id!r} is taken by line {lines_of[graded.id]}")
        except InvalidInput as error:
            faults.append(f"line {number}: {error.message}")
            continue
        lines_of[graded.id] = number
        found[graded.id] = graded
    if faults and on_fault is None:
        more = f"\n(and {len(faults) - _SHOWN_FAULTS} more)" if len(faults) > _SHOWN_FAULTS else ""
        raise InvalidInput(f"{path.name} has faults:\n" + "\n".join(faults[:_SHOWN_FAULTS]) + more + _MEND)
    if on_fault is not None:
        for fault in faults:
            on_fault(fault)
    if not found:
        raise InvalidInput(f"{path.name} has no question; write one JSON object a line")
    return tuple(found.values())


def _lines(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    except FileNotFoundError:
        raise NotFound(f"there is no file of questions at {path}") from None
    except OSError as error:
        raise InvalidInput(f"cannot read the questions in {path}: {error.strerror}") from None


def question_lines(questions: Sequence[Graded]) -> Iterator[str]:
    """The questions as canonical lines, which `read_questions` reads again."""
    for question in questions:
        yield json.dumps(question.model_dump(mode="json", exclude_none=True), ensure_ascii=False, sort_keys=True)


def fingerprint(questions: Sequence[Graded]) -> str:
    """The SHA-256 of a question set: of what is asked and accepted, not of how the file was laid out."""
    return hashlib.sha256("\n".join(question_lines(questions)).encode()).hexdigest()


def _parse(line: bytes, number: int) -> Graded:
    try:
        fields: Any = json.loads(line.decode())
        line.decode().encode()
    except UnicodeDecodeError:
        raise InvalidInput("this is not UTF-8") from None
    except (json.JSONDecodeError, RecursionError):
        raise InvalidInput("this is not a JSON object") from None
    if not isinstance(fields, dict):
        raise InvalidInput("this is not a JSON object")
    if ("question" in fields) == ("turns" in fields):
        raise InvalidInput("give either `question` or `turns`")
    if "question" in fields:
        fields["turns"] = [fields["question"]]
    if isinstance(fields["turns"], list):
        fields["turns"] = [{"text": turn} if isinstance(turn, str) else turn for turn in fields["turns"]]
    if fields.get("answers", ...) is None:
        raise InvalidInput("answers: give a list of accepted strings; `[]` says that nothing in the sources answers it")
    if "answers" not in fields:
        raise InvalidInput("answers: missing; give a list of accepted strings, or `[]` if nothing answers it")
    if fields.get("question") == "":
        raise InvalidInput("question: it is empty; ask something")
    given = fields.get("id", number)
    fields["id"] = str(given) if isinstance(given, int) else given
    try:
        graded = Graded.model_validate(fields)
        graded.model_dump_json()
    except ValidationError as error:
        raise invalid(error) from None
    except ValueError:  # pydantic's serializer refuses lone surrogates, which JSON can write as \ud800
        raise InvalidInput("this has half a surrogate pair, which is not text") from None
    return graded
