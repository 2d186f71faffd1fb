"""Passages: a document cut into parts that fit the embedder, at the largest boundary that works."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from edge.ingest.loaders import Loaded

CountTokens = Callable[[str], int]

# Where a text may be cut, best first: paragraphs, sentences (Latin and CJK), lines, words. Each boundary belongs to
# the part before it, so that the parts put together are the text again.
_BOUNDARIES = (
    re.compile(r"(?<=\S)\n{2,}"),
    re.compile(r"(?<=[.!?…])\s+|(?<=[.!?…][\"'”’»)\]])\s+|(?<=[。！？｡])(?![」』”’）】])|(?<=[。！？｡][」』”’）】])"),
    re.compile(r"(?<=\S)\n"),
    re.compile(r"(?<=\S)\s+"),
)


@dataclass(frozen=True, slots=True)
class Piece:
    """A passage to be: `title` is the document's and the headings above it, `embedded` what its vector is made of."""

    title: str
    text: str
    embedded: str


def chunk(document: Loaded, count_tokens: CountTokens, limit: int) -> Iterator[Piece]:
    """The passages of a document, in order; what is embedded of each has at most `limit` tokens.

    A passage never crosses a heading. The headings are embedded with it, because the text below "Opening hours"
    rarely says that it is about opening hours.
    """
    for section in document.sections:
        headings = tuple(dict.fromkeys(filter(None, (document.title, *section.headings))))
        title = " > ".join(headings)
        heading = _heading(headings, count_tokens, limit // 3)
        room = limit - count_tokens(heading) if heading else limit
        for part in split("\n\n".join(section.paragraphs), count_tokens, room):
            yield Piece(title, part, f"{heading}\n{part}" if heading else part)


def split(text: str, count_tokens: CountTokens, limit: int) -> Iterator[str]:
    """Consecutive parts of a text of at most `limit` tokens, each as long as its boundaries allow."""
    special = count_tokens("")  # the tokens around every text, which joining two parts saves
    parts: list[str] = []
    room = limit - special
    for part, tokens in _units(text, lambda some: count_tokens(some) - special, limit - special, 0):
        if tokens > room:
            yield from _joined(parts)
            parts, room = [], limit - special
        parts.append(part)
        room -= tokens
    yield from _joined(parts)


def _joined(parts: list[str]) -> Iterator[str]:
    if whole := "".join(parts).strip():
        yield whole


def _units(text: str, count_tokens: CountTokens, limit: int, level: int) -> Iterator[tuple[str, int]]:
    """The largest parts that fit, and their tokens. What has no boundary left is halved until it fits."""
    for part in _cut(text, level):
        tokens = count_tokens(part)
        if tokens <= limit or len(part) == 1:
            yield part, tokens
        else:
            yield from _units(part, count_tokens, limit, level + 1)


def _cut(text: str, level: int) -> Iterator[str]:
    if level >= len(_BOUNDARIES):
        yield text[: len(text) // 2]
        yield text[len(text) // 2 :]
        return
    start = 0
    for boundary in _BOUNDARIES[level].finditer(text):
        yield text[start : boundary.end()]
        start = boundary.end()
    if start < len(text):
        yield text[start:]


def _heading(headings: tuple[str, ...], count_tokens: CountTokens, limit: int) -> str:
    """The headings to embed, innermost first to stay; none if even that one is too long (the title has them all)."""
    for start in range(len(headings)):
        heading = " > ".join(headings[start:])
        if count_tokens(heading) <= limit:
            return heading
    return ""
