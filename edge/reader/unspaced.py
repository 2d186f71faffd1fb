"""Reading texts without spaces between words: no list of words, but sentences by the pairs of characters they share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edge.reader.sentences import sentences
from edge.terms import content, has_cjk, terms
from edgewise.types import Quote, Reading, Span


@dataclass(frozen=True, slots=True)
class _Sentence:
    passage: int
    span: Span
    text: str
    words: frozenset[str]


def read(question: str, passages: Sequence[str]) -> Reading:
    """The sentences that share most of the question's rare pairs of characters; the answer is the first one."""
    found = [
        _Sentence(number, span, text := passage[span.start : span.end], frozenset(terms(text)))
        for number, passage in enumerate(passages)
        for span in sentences(passage)
    ]
    asked = content(terms(question))
    if not found or not asked:
        return Reading()
    rarity = {word: math.log1p(len(found) / (1 + sum(word in one.words for one in found))) for word in asked}
    total = sum(rarity.values())

    def share(words: frozenset[str]) -> float:
        return sum(rarity[word] for word in asked if word in words) / total

    ordered = sorted(found, key=lambda one: share(one.words), reverse=True)
    quoted = tuple(Quote(passage=one.passage, span=one.span, probability=share(one.words)) for one in ordered)
    best = ordered[0]
    if not has_cjk(best.text) or not share(best.words):
        return Reading(sentences=quoted)
    return Reading(sentences=quoted, answers=quoted[:1])
