"""The sentences of a text, by their characters."""

from __future__ import annotations

import re

from edgewise.types import Span

_END = re.compile(r"(?<![.!?…])[.!?…]++[\"'”’)\]]*+(?=\s)|[。！？｡]+[”’」』）]*|\n+")
# A full stop after one of these, or after a single letter, ends a word and no sentence.
_ABBREVIATIONS = frozenset((
    "approx", "apr", "aug", "b.c", "c", "ca", "capt", "co", "col", "corp", "dec", "dr", "e.g", "etc", "feb", "fig",
    "gen", "gov", "hon", "i.e", "inc", "jan", "jr", "jul", "jun", "lt", "ltd", "mar", "mr", "mrs", "ms", "mt", "no",
    "nov", "oct", "p", "pp", "prof", "rev", "sen", "sep", "sept", "sgt", "sr", "st", "u.k", "u.s", "vol", "vs",
))  # fmt: skip
_LONGEST = 40
"""Characters that are looked back at: enough for any abbreviation and what stands around it."""
_NEXT = re.compile(r"\s*(\S)")


def sentences(text: str) -> list[Span]:
    """In order, without the white space around them."""
    spans: list[Span] = []
    start = 0
    for end in _END.finditer(text):
        if not _is_abbreviation(text, start, end):
            spans.append(_trimmed(text, start, end.end()))
            start = end.end()
    spans.append(_trimmed(text, start, len(text)))
    return [span for span in spans if span.start < span.end]


def _is_abbreviation(text: str, start: int, end: re.Match[str]) -> bool:
    if not end[0].startswith("."):
        return False
    *_, last = text[max(start, end.start() - _LONGEST) : end.start()].split() or [""]
    last = last.lower().lstrip("(\"'“")
    following = _NEXT.match(text, end.end())
    return last in _ABBREVIATIONS or (len(last) == 1 and last.isalpha()) or bool(following and following[1].islower())


def _trimmed(text: str, start: int, end: int) -> Span:
    inside = text[start:end]
    return Span(start=start + len(inside) - len(inside.lstrip()), end=start + len(inside.rstrip()))
