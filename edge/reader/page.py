"""The passages as one row of words, and the spans of it that could be short answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge.reader.question import Asked, read_question
from edge.reader.sentences import sentences
from edge.reader.words import (
    AUXILIARY,
    COMMA,
    CONJUNCTION,
    DETERMINER,
    EDGE,
    MARK,
    PREPOSITION,
    RELATIVE,
    VERB,
    kind_of,
    stem,
    words,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Place:
    """A part of a passage, by its number and its offsets in characters."""

    passage: int
    start: int
    end: int


@dataclass(slots=True)
class Page:
    """All words of the passages in one row, with what the features need of each."""

    question: str
    asked: Asked
    passages: Sequence[str]
    spans: list[Place] = field(default_factory=list)
    low: list[str] = field(default_factory=list)
    stems: list[str] = field(default_factory=list)
    kinds: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    sentence: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    sentence_spans: list[Place] = field(default_factory=list)
    first: list[int] = field(default_factory=list)
    """Of each sentence, its first word; and one more, the end."""


def open_page(question: str, passages: Sequence[str]) -> Page:
    page = Page(question, read_question(question), passages)
    kinds: list[int] = []
    of: list[int] = []
    for number, passage in enumerate(passages):
        for start, end in ((span.start, span.end) for span in sentences(passage)):
            page.first.append(len(page.spans))
            page.sentence_spans.append(Place(number, start, end))
            for place, (a, b) in enumerate(words(passage[start:end])):
                word = passage[start + a : start + b]
                page.spans.append(Place(number, start + a, start + b))
                page.low.append(word.lower())
                page.stems.append(stem(word.lower()))
                kinds.append(kind_of(word, opens=place == 0))
                of.append(len(page.sentence_spans) - 1)
    page.first.append(len(page.spans))
    page.kinds, page.sentence = np.array(kinds, np.int64), np.array(of, np.int64)
    return page


def text_of(page: Page, start: int, end: int) -> str:
    """The words from `start` to before `end`, as they stand in their passage."""
    a, b = page.spans[start], page.spans[end - 1]
    return page.passages[a.passage][a.start : b.end]


_LONGEST, _LONGEST_BOUNDED = 8, 14
_LONGEST_SENTENCE = 250  # words; what goes on for longer is a list or a table, and its pairs of words take memory
_BAD_FIRST = frozenset((COMMA, MARK, CONJUNCTION))
_BAD_LAST = frozenset((COMMA, MARK, CONJUNCTION, DETERMINER, PREPOSITION, AUXILIARY, RELATIVE))
_BOUND_LEFT = frozenset((EDGE, COMMA, MARK, PREPOSITION, AUXILIARY, VERB, CONJUNCTION, RELATIVE))
_BOUND_RIGHT = frozenset((EDGE, COMMA, MARK))


def candidates(page: Page, chosen: Sequence[int]) -> tuple[Ints, Ints]:
    """Spans of the chosen sentences, as first words and ends: all that do not start or end in a word that no answer
    starts or ends with; longer ones only from a natural boundary to another."""
    starts: list[int] = []
    ends: list[int] = []
    kinds, low = page.kinds.tolist(), page.low
    for number in chosen:
        first, end = page.first[number], page.first[number + 1]
        if end - first > _LONGEST_SENTENCE:
            continue
        for a in range(first, end):
            if kinds[a] in _BAD_FIRST and low[a] not in ('"', "“"):
                continue
            left = kinds[a - 1] if a > first else EDGE
            longest = _LONGEST_BOUNDED if left in _BOUND_LEFT else _LONGEST
            count = depth = quotes = 0
            for b in range(a + 1, end + 1):
                word = low[b - 1]
                if word == "(":
                    depth += 1
                elif word == ")":
                    depth -= 1
                elif word in ('"', "“", "”"):
                    quotes += 1
                elif kinds[b - 1] not in (COMMA, MARK):
                    count += 1
                if depth < 0 or count > longest or word in ";；。":
                    break
                if depth or quotes % 2 or (kinds[b - 1] in _BAD_LAST and word not in ('"', "”", ")")):
                    continue
                right = kinds[b] if b < end else EDGE
                if count > _LONGEST and right not in _BOUND_RIGHT:
                    continue
                if count:
                    starts.append(a)
                    ends.append(b)
    return np.array(starts, np.int64), np.array(ends, np.int64)


def sums(values: NDArray[np.generic]) -> Floats:
    return np.concatenate(([0.0], np.cumsum(values, dtype=np.float64)))


def bounds(page: Page, a: Ints) -> tuple[Ints, Ints]:
    """First word and end of the sentences of these words."""
    first = np.array(page.first, np.int64)
    return first[page.sentence[a]], first[page.sentence[a] + 1]


def length(page: Page, a: Ints, b: Ints) -> Floats:
    """In words, without marks."""
    counted = sums(~np.isin(page.kinds, (COMMA, MARK)))
    return counted[b] - counted[a]


def unit(vectors: Floats) -> Floats:
    length: Floats = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / (length + 1e-9)
