"""The passages that an arm shows instead of retrieving, and passages that say something else than is true."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from edge.reader.question import read_question
from edgewise.types import Findings, Passage, Privacy, Text
from router.compare.scorers import Key, contains
from tests.bench.rag.sets import Asked, Given

_NOISE = 4


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A question whose passage was changed: `asked` accepts what the passage says now, `true` is what it said."""

    asked: Asked
    passage: Given
    true: tuple[str, ...]


def findings(arm: str, given: Sequence[Given], asked: Asked) -> Findings:
    """The gold passages: for `half` only the first, for `noisy` behind others, those of the same article first."""
    gold = [given[place] for place in asked.gold]
    if arm == "half":
        gold = gold[:1]
    noise: list[Given] = []
    if arm == "noisy":
        chance = random.Random(asked.text)
        others = [one for one in given if one not in gold]
        chance.shuffle(others)
        noise = sorted(others, key=lambda one: one.group != asked.group)[:_NOISE]
    return found((*noise, *gold))


def found(given: Sequence[Given]) -> Findings:
    return Findings(passages=tuple(_passage(one, place) for place, one in enumerate(given)), answerable=1.0)


def _passage(given: Given, place: int) -> Passage:
    text = Text(value=given.text, label=Privacy.PUBLIC, sources=(given.title,))
    return Passage(id=f"given:{place}", text=text, source=given.title, title=given.title, score=1.0)


def contradictions(given: Sequence[Given], asked: Sequence[Asked]) -> list[Contradiction]:
    """Questions whose passage gives the answer to another one, of the same shape, where it gave their own before."""
    shapes = [_shape(one) for one in asked]
    alike = {
        shape: [one for one, its in zip(asked, shapes, strict=True) if its == shape] for shape in dict.fromkeys(shapes)
    }
    changed = [_contradicted(one, given[one.gold[0]], alike[shape]) for one, shape in zip(asked, shapes, strict=True)]
    return [one for one in changed if one]


def _contradicted(one: Asked, passage: Given, others: Sequence[Asked]) -> Contradiction | None:
    """None where nothing else fits, or where the passage would still say what it said."""
    true = one.answers[0]
    answers = [other.answers[0] for other in others if other.group != one.group]
    alike = [answer for answer in answers if answer not in passage.text]
    if not alike:
        return None
    false = random.Random(one.text).choice(alike)
    text = re.sub(rf"(?<!\w){re.escape(true)}(?!\w)", lambda _: false, passage.text)
    if false not in text or contains(text, Key(one.answers)):
        return None
    return Contradiction(replace(one, answers=(false,), start=-1), replace(passage, text=text), one.answers)


def _shape(asked: Asked) -> tuple[int, bool, bool, int]:
    """What is asked for; of its answer: is there a digit, a first capital, and one word, two, three or more."""
    answer = asked.answers[0]
    return (
        read_question(asked.text).type,
        any(map(str.isdigit, answer)),
        answer[:1].isupper(),
        min(len(answer.split()), 4),
    )
