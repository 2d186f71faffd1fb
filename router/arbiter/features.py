"""What can be seen of a question without understanding it: its length, what it is made of, and what it asks for."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Mapping

from edgewise.scripts import share_outside_latin

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_CHOICE = re.compile(r"^\s*\(?[A-Ja-j][.):]\s+(.*)$", re.MULTILINE)
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_YEAR = re.compile(r"\b(?:1[5-9]|20)\d\d\b")
_CODE = re.compile(r"```|\bdef \w+\(|\b(?:class|import|return|function|SELECT|printf?)\b|[;{}]\s*$|=>|::", re.MULTILINE)
_FORMULA = re.compile(r"[=^∑∫√≤≥±×÷]|\\\w+|\b\d+\s*[-+*/]\s*\d+\b|\b[a-z]\([a-z]\)")
_ASKS = ("who", "what", "which", "when", "where", "why", "how")
_LONG = 9  # letters


def _has(pattern: str) -> Callable[[str], float]:
    found = re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE)
    return lambda text: float(bool(found.search(text)))


def _log_count(pattern: re.Pattern[str]) -> Callable[[str], float]:
    return lambda text: math.log1p(len(pattern.findall(text)))


_BY_PATTERN: Mapping[str, Callable[[str], float]] = {
    "numbers": _log_count(_NUMBER),
    "years": _log_count(_YEAR),
    "choices": _log_count(_CHOICE),
    "code": _log_count(_CODE),
    "formulas": _log_count(_FORMULA),
    "negation": _has(r"not|no|never|none|except|least|without|incorrect|false|cannot|[a-z]+n['’]t"),
    "how much": _has(r"how (?:many|much|long|far|old|often|tall|high)|calculate|compute|total|average|percent|cost"),
    "several parts": _has(r"and then|after that|both|each|respectively|if|unless|first|second|following"),
    "explain": _has(r"why|explain|compare|describe|discuss|derive|prove|design|analy[sz]e|evaluate|reason"),
    "superlative": _has(r"most|best|worst|least|primary|main|largest|smallest|likely|[a-z]{3,}est"),
    "true or false": _has(r"true|false|statement|correct|incorrect|valid"),
    "blank": lambda text: float("__" in text or "..." in text or "…" in text),
    **{f"asks {word}": _has(word) for word in _ASKS},
}

NAMES = (
    "characters",
    "words",
    "lines",
    "word length",
    "long words",
    "different words",
    "digits",
    "capitals",
    "signs",
    "outside latin",
    "longest choice",
    "choices differ",
    "ends as a question",
    *_BY_PATTERN,
)


def surface(question: str) -> tuple[float, ...]:
    """The numbers of `NAMES`: counts and lengths as logarithms, shares in [0, 1], what is there or not as 1 or 0."""
    words = _WORD.findall(question)
    letters = max(1, len(question))
    choices = [len(choice) for choice in _CHOICE.findall(question)]
    stem = question[: found.start()] if (found := _CHOICE.search(question)) else question
    return (
        math.log1p(len(question)),
        math.log1p(len(words)),
        math.log1p(question.count("\n")),
        sum(map(len, words)) / max(1, len(words)),
        sum(len(word) > _LONG for word in words) / max(1, len(words)),
        len({word.casefold() for word in words}) / max(1, len(words)),
        sum(map(str.isdigit, question)) / letters,
        sum(map(str.isupper, question)) / letters,
        sum(unicodedata.category(char)[0] in "PS" for char in question) / letters,
        share_outside_latin(question),
        math.log1p(max(choices, default=0)),
        math.log1p(max(choices, default=0)) - math.log1p(min(choices, default=0)),
        float(stem.rstrip().endswith(("?", "？"))),
        *(measure(question) for measure in _BY_PATTERN.values()),
    )
