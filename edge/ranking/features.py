"""What speaks for a passage: numbers that a linear model weighs, the same for every language and size of library.

They come from three sources: the two searches that found the passage, the words that it shares with the query (each
counted by its rarity, the inverse document frequency of Robertson and Spaerck Jones), and the passages found beside it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from edge.terms import content, fold, terms
from edgewise.types import Passage

NAMES = (
    "cosine",
    "lexical_rank",
    "dense_rank",
    "coverage",
    "sentence_coverage",
    "window_coverage",
    "pairs",
    "kind",
    "linked",
    "named",
    "length",
)
_WINDOW = 25  # words within which those of the query should stand
_RANK_OFFSET = 10
_NO_RANK = 200
_LINKING = 3  # passages whose mention of another one's title counts

SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n+")
_NUMBER = re.compile(
    r"\d|[一二三四五六七八九十百千万两]|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|dozen|hundred|"
    r"thousand|million|billion|half|twice|once)\b",
    re.IGNORECASE,
)
_DATE = re.compile(
    r"\b1\d{3}|\b20\d\d|\d\s*年|世纪|\b(?:January|February|March|April|May|June|July|August|September|October|November|"
    r"December|century|Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)\b"
)
_NAME = re.compile(r"(?<=\w )[A-Z][^\W\d_]+|[\u3400-\u9fff]")
_KINDS = (
    (
        re.compile(
            r"\bhow (?:many|much|long|far|old|tall|large|high|big|often)\b|\bpercent|"
            r"\bwhat (?:number|amount|age|population)\b|多少|几",
            re.IGNORECASE,
        ),
        _NUMBER,
    ),
    (
        re.compile(
            r"\bwhen\b|\b(?:what|which) (?:year|date|day|month|century|decade)\b|何时|哪年|哪一年|什么时候",
            re.IGNORECASE,
        ),
        _DATE,
    ),
    (re.compile(r"\bwho(?:se|m)?\b|\bwhere\b|\bwhat (?:city|country|place|state)\b|谁|哪里", re.IGNORECASE), _NAME),
)


@dataclass(frozen=True, slots=True)
class Found:
    """A passage, and how the two searches found it; None where one did not."""

    passage: Passage
    cosine: float | None
    lexical_rank: int | None
    dense_rank: int | None


class Asked:
    """A query, taken apart once for all its passages.

    `frequencies` says in how many of `passages` passages each word is.
    """

    def __init__(self, text: str, words: Sequence[str], frequencies: Mapping[str, int], passages: int) -> None:
        self.folded = f" {fold(text)} "
        self._text = text
        self._words = content(list(words))
        self._rarity = {word: _rarity(frequencies.get(word, 0), passages) for word in self._words}
        self._total = sum(self._rarity.values()) or 1.0
        self._pairs = tuple(pairwise(self._words))
        self._kind = next((sign for asks, sign in _KINDS if asks.search(text)), None)

    def coverage(self, words: Iterable[str]) -> float:
        """The share of the query, by rarity, that some words have."""
        return sum(self._rarity.get(word, 0.0) for word in dict.fromkeys(words)) / self._total

    def closest(self, words: Sequence[str]) -> float:
        """The largest coverage of any few words in a row."""
        hits = [(place, word) for place, word in enumerate(words) if word in self._rarity]
        windows = (
            [word for other, word in hits[first : first + _WINDOW] if other < place + _WINDOW]
            for first, (place, _) in enumerate(hits)
        )
        return max(map(self.coverage, windows), default=0.0)

    def pairs(self, words: Sequence[str]) -> float:
        """The share of the query's neighbouring words that are neighbours here."""
        if not self._pairs:
            return 0.0
        neighbours = set(pairwise(words))
        return sum(pair in neighbours for pair in self._pairs) / len(self._pairs)

    def has_kind(self, text: str) -> bool:
        """Whether a text holds the kind of thing that is asked for: a number, a date, a name; true if none is."""
        return self._kind is None or self._kind.search(text) is not None


def features(asked: Asked, found: Sequence[Found]) -> list[tuple[float, ...]]:
    """For each passage the numbers of `NAMES`; `found` is in the order of the searches, best first."""
    linking = " ".join(fold(one.passage.text.value) for one in found[:_LINKING])
    return [_features(asked, one, linking if place >= _LINKING else "") for place, one in enumerate(found)]


def _features(asked: Asked, found: Found, linking: str) -> tuple[float, ...]:
    text, title = found.passage.text.value, found.passage.title
    document, *headings = title.split(" > ")
    # No word crosses the end of a sentence, so those of the sentences are those of the text.
    sentences = [(terms(part), part) for part in SENTENCE_END.split(text) if part.strip()]
    words = [word for one, _ in sentences for word in one]
    covered = [(asked.coverage(one), part) for one, part in sentences]
    best, sentence = max(covered, key=lambda one: one[0], default=(0.0, ""))
    name = _name(document)
    return (
        found.cosine or 0.0,
        _reciprocal(found.lexical_rank),
        _reciprocal(found.dense_rank),
        asked.coverage((*words, *terms(" ".join(headings)))),
        best,
        asked.closest(words),
        asked.pairs(words),
        float(asked.has_kind(sentence)),
        float(bool(name) and name in linking),
        float(bool(name) and name in asked.folded),
        math.log(len(words) + 1),
    )


def _name(title: str) -> str:
    """What a document is called in other texts: its title without the headings and without what is in brackets."""
    name = re.sub(r"\s*\([^)]*\)", "", fold(title.split(" > ", maxsplit=1)[0])).strip()
    return name if len(name) > 3 else ""


def _rarity(frequency: int, passages: int) -> float:
    return math.log1p((max(passages - frequency, 0) + 0.5) / (frequency + 0.5))


def _reciprocal(rank: int | None) -> float:
    return 1 / (_RANK_OFFSET + (_NO_RANK if rank is None else rank))
