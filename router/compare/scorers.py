"""How right an answer is: a score in [0, 1] from an answer and the key it is held against.

Texts are compared as SQuAD does (Rajpurkar et al., 2016: case, punctuation and the articles do not count), with two
additions: CJK text is taken character by character, and the point or colon inside a number is part of the number.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

_ARTICLES = frozenset({"a", "an", "the"})
_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_CJK}]|[^\s{_CJK}]+")
_THOUSANDS = re.compile(r"(?<=\d)[,\u00a0\u202f](?=\d{3}(?!\d))")
_NUMBER = re.compile(r"(?:(?<![\w.)])[-+])?\d+(?:\.\d+)?(?:e[-+]?\d+)?", re.IGNORECASE)
_ANSWER_MARK = re.compile(r"####|\banswer(?:\s+is|\s*:)|=", re.IGNORECASE)
_LETTER_STATED = re.compile(r"\banswer(?:\s+is|\s*:)?\s*\(?([A-Z])\b(?!['\w])", re.IGNORECASE)
_LETTER_LEADING = re.compile(r"\s*\(?([A-Za-z])(?:[).:]|\s*$)")
_LETTER_MARKED = re.compile(r"(?<!\w)\(?([A-Z])[).](?!\w)")


@dataclass(frozen=True, slots=True)
class Key:
    """What is accepted. `tolerance` is relative to the accepted number; `choices` are in the order A, B, C."""

    answers: tuple[str, ...]
    choices: tuple[str, ...] = ()
    tolerance: float = 1e-6


def contains(answer: str, key: Key) -> float:
    """1 if an accepted string occurs in the answer as whole words (in CJK text: anywhere)."""
    said = _spaced(answer)
    return float(any(_spaced(accepted) in said for accepted in key.answers))


def exact(answer: str, key: Key) -> float:
    """1 if the answer is an accepted string and nothing else."""
    said = tokens(answer)
    return float(any(said == tokens(accepted) for accepted in key.answers))


def f1(answer: str, key: Key) -> float:
    """The overlap of tokens with the nearest accepted string, as the harmonic mean of precision and recall."""
    said = tokens(answer)
    return max((_overlap(said, tokens(accepted)) for accepted in key.answers), default=0.0)


def numeric(answer: str, key: Key) -> float:
    """1 if the number that the answer ends on is an accepted one.

    That is the first number after the last "answer is", "=" or "####", and without any of them the last number.
    """
    said = number_of(answer)
    if said is None:
        return 0.0
    accepted = (number_of(text) for text in key.answers)
    return float(any(want is not None and _near(said, want, key.tolerance) for want in accepted))


def choice(answer: str, key: Key) -> float:
    """1 if the answer picks an accepted choice, by its letter or by its words; picking several is picking none."""
    picked = _picked(answer, key.choices)
    return float(picked is not None and picked in {index_of(accepted, key.choices) for accepted in key.answers})


SCORERS: dict[str, Callable[[str, Key], float]] = {
    "contains": contains,
    "exact": exact,
    "f1": f1,
    "numeric": numeric,
    "choice": choice,
}


def tokens(text: str, gap: str = "") -> list[str]:
    """The words that count. Punctuation becomes `gap`: nothing, as SQuAD does, or a space to break words at it."""
    folded = _THOUSANDS.sub("", unicodedata.normalize("NFKC", text).casefold())
    inside = {mark.start() for mark in re.finditer(r"(?<=\d)[.:](?=\d)", folded)}
    kept = "".join(
        gap if unicodedata.category(char)[0] in "PS" and at not in inside else char for at, char in enumerate(folded)
    )
    words: list[str] = _WORD.findall(kept)
    return [word for word in words if word not in _ARTICLES] or words


def number_of(text: str) -> float | None:
    """The number that a text ends on, None if it has none."""
    plain = _THOUSANDS.sub("", unicodedata.normalize("NFKC", text).replace("\u2212", "-"))
    marks = list(_ANSWER_MARK.finditer(plain))
    stated = _NUMBER.search(plain, marks[-1].end()) if marks else None
    if stated:
        return float(stated.group())
    found = _NUMBER.findall(plain)
    return float(found[-1]) if found else None


def index_of(accepted: str, choices: tuple[str, ...]) -> int | None:
    """Which choice an accepted string means: it is the choice's text or its letter."""
    wanted = tokens(accepted)
    for index, text in enumerate(choices):
        if tokens(text) == wanted:
            return index
    return _letter(accepted.strip(), choices) if len(accepted.strip()) == 1 else None


def letters(choices: tuple[str, ...]) -> str:
    """The choices as lines that begin with their letter."""
    return "\n".join(f"{chr(ord('A') + index)}. {text}" for index, text in enumerate(choices))


def _picked(answer: str, choices: tuple[str, ...]) -> int | None:
    stated = _LETTER_STATED.findall(answer)
    leading = _LETTER_LEADING.match(answer)
    if stated and (index := _letter(stated[-1], choices)) is not None:
        return index
    if leading and (index := _letter(leading.group(1), choices)) is not None:
        return index
    said = _spaced(answer)
    named = [index for index, text in enumerate(choices) if _spaced(text) in said]
    named = [
        index
        for index in named
        if not any(other != index and _spaced(choices[index]) in _spaced(choices[other]) for other in named)
    ]
    if named:
        return named[0] if len(named) == 1 else None
    marked = {_letter(letter, choices) for letter in _LETTER_MARKED.findall(answer)} - {None}
    return marked.pop() if len(marked) == 1 else None


def _letter(letter: str, choices: tuple[str, ...]) -> int | None:
    index = ord(letter.upper()) - ord("A")
    return index if 0 <= index < len(choices) else None


def _spaced(text: str) -> str:
    return f" {' '.join(tokens(text, gap=' '))} "


def _overlap(said: list[str], accepted: list[str]) -> float:
    if not said or not accepted:
        return float(said == accepted)
    common = sum((Counter(said) & Counter(accepted)).values())
    return 2 * common / (len(said) + len(accepted))


def _near(said: float, want: float, tolerance: float) -> bool:
    return abs(said - want) <= max(tolerance * abs(want), 1e-9)
