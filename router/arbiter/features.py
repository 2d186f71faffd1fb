"""What can be seen of a question without understanding it: its length, what it is made of, and what it asks for."""

from __future__ import annotations

import math
import re
import unicodedata
import zlib
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations, pairwise

from edgewise.scripts import share_outside_latin

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
_SYLLABLE = re.compile(r"[aeiouy]+")
_SENTENCE_END = re.compile(r"[.!?]\s|[。！？\n]")
_CHOICES = (
    re.compile(r"^[ \t]*\(?[A-Ja-j1-9][.):][ \t]+(.*)$", re.MULTILINE),
    re.compile(r"^[ \t]*Option \d:[ \t]*(.*)$", re.MULTILINE),
    re.compile(r"\([A-Ja-j1-9]\)\s*([^\n]*?)(?=,?\s*\([A-Ja-j1-9]\)|\n|$)"),
)
_CHOICE_BEGINS = re.compile(r"\(?[A-Ja-j1-9]?[.):]?\Z")
_MOSTLY_NUMBER = re.compile(r"[-$€£.,/%\s]*+\d[-$€£\d.,/%\s]*+[^\W\d]{0,6}")
LOOKED_AT = 20_000
"""Characters: what decides about a longer text stands at its beginning."""
_MANY = 200  # numbers that are looked at
_MOST_CHOICES = 26
_LONG = 9  # letters
_GREATEST = 1e15
# fmt: off
_COMMON = frozenset({
    "the", "a", "an", "of", "to", "in", "on", "at", "by", "for", "from", "with", "about", "into", "and", "or", "but",
    "so", "if", "then", "than", "as", "is", "are", "was", "were", "be", "been", "has", "have", "had", "do", "does",
    "did", "will", "would", "can", "could", "not", "no", "it", "its", "this", "that", "these", "those", "there",
    "here", "he", "she", "they", "you", "i", "we", "his", "her", "their", "our", "your", "my", "who", "what", "which",
    "when", "where", "how",
})
# fmt: on
_ASKS = ("who", "what", "which", "when", "where", "why", "how")


def _has(pattern: str, flags: int = re.IGNORECASE) -> Callable[[str], float]:
    found = re.compile(pattern, flags)
    return lambda text: float(bool(found.search(text)))


def _some(words: str) -> Callable[[str], float]:
    return _has(rf"\b(?:{words})\b")


def _log_count(pattern: str, flags: int = 0) -> Callable[[str], float]:
    found = re.compile(pattern, flags)
    return lambda text: math.log1p(len(found.findall(text)))


_BY_PATTERN: Mapping[str, Callable[[str], float]] = {
    "years": _log_count(r"\b(?:1[5-9]|20)\d\d\b"),
    "code": _log_count(
        r"```|\bdef \w+\(|\b(?:class|import|return|function|SELECT|printf?)\b|[;{}]\s*$|=>|::", re.MULTILINE
    ),
    "formulas": _log_count(r"[=^∑∫√≤≥±×÷]|\\\w+|\b\d+\s*[-+*/]\s*\d+\b|\b[a-z]\([a-z]\)"),
    "fractions": _log_count(r"\d/\d"),
    "units": _log_count(
        r"\b(?:km|kg|cm|mm|mol|miles?|hours?|minutes?|seconds?|days?|weeks?|months?|years?|feet|inches|pounds?|dollars?"
        r"|cents?|lit(?:er|re)s?|gallons?|degrees?|met(?:er|re)s?|grams?)\b",
        re.IGNORECASE,
    ),
    "quotes": _log_count(r"[\"“”‘’«»]"),
    "negation": _some(r"not|no|never|none|except|least|without|incorrect|false|cannot|[a-z]+n['’]t"),
    "how much": _some(r"how (?:many|much|long|far|old|often|tall|high)|calculate|compute|total|average|percent|cost"),
    "several parts": _some(r"and then|after that|both|each|respectively|if|unless|first|second|following"),
    "explain": _some(r"why|explain|compare|describe|discuss|derive|prove|design|analy[sz]e|evaluate|reason"),
    "superlative": _some(r"most|best|worst|least|primary|main|largest|smallest|likely|[a-z]{3,}est"),
    "true or false": _some(r"true|false|statements?|correct|incorrect|valid"),
    "all or none": _some(r"(?:none|all|both|neither) of (?:the|these)|neither|I+ and I+"),
    "a task": _has(
        r"^\s*(?:write|find|complete|sort|calculate|solve|explain|choose|read|identify|list|give|determine|evaluate)\b"
    ),
    "blank": lambda text: float("__" in text or "..." in text or "…" in text or " _ " in text),
    **{f"asks {word}": _some(word) for word in _ASKS},
}
_SIGNS = {"brackets": "(", "question marks": "?", "percents": "%", "money": "$", "colons": ":", "hyphens": "-"}
_CHOICE_NAMES = (
    "choices",
    "mean choice",
    "longest choice",
    "choices differ",
    "words of a choice",
    "choices of numbers",
    "choices with a capital",
    "choices alike",
    "choices in the question",
    "choices begin alike",
    "before the choices",
)

NAMES = (
    "characters",
    "words",
    "lines",
    "sentences",
    "words a sentence",
    "word length",
    "longest word",
    "long words",
    "syllables a word",
    "different words",
    "common words",
    "names",
    "commas",
    "compressed",
    "digits",
    "capitals",
    "signs",
    "numbers",
    "greatest number",
    "outside latin",
    "ends as a question",
    *_SIGNS,
    *_CHOICE_NAMES,
    *_BY_PATTERN,
)


def surface(question: str) -> tuple[float, ...]:
    """The numbers of `NAMES`: counts and lengths as logarithms, shares in [0, 1], what is there or not as 1 or 0."""
    question = question[:LOOKED_AT]
    choices = max((found.findall(question)[:_MOST_CHOICES] for found in _CHOICES), key=len)
    start = question.find(choices[0]) if choices else -1
    stem = question[:start] if start > 0 else question
    words = [word.casefold() for word in _WORD.findall(question)]
    count, letters = max(1, len(words)), max(1, len(question))
    numbers = [number(found) for found in _NUMBER.findall(question)[:_MANY]]
    sentences = max(1, sum(bool(part.strip()) for part in _SENTENCE_END.split(stem)))
    encoded = question.encode("utf-8", "replace")
    return (
        math.log1p(len(question)),
        math.log1p(len(words)),
        math.log1p(question.count("\n")),
        math.log1p(sentences),
        math.log1p(len(words) / sentences),
        sum(map(len, words)) / count,
        math.log1p(max(map(len, words), default=0)),
        sum(len(word) > _LONG for word in words) / count,
        sum(len(_SYLLABLE.findall(word)) for word in words) / count,
        len(set(words)) / count,
        sum(word in _COMMON for word in words) / count,
        math.log1p(_names(question)),
        question.count(",") / count,
        len(zlib.compress(encoded)) / max(1, len(encoded)),
        sum(map(str.isdigit, question)) / letters,
        sum(map(str.isupper, question)) / letters,
        sum(unicodedata.category(char)[0] in "PS" for char in question) / letters,
        math.log1p(len(set(numbers))),
        math.log1p(max(numbers, default=0.0)),
        share_outside_latin(question),
        float(_CHOICE_BEGINS.sub("", stem.rstrip()).rstrip().endswith(("?", "？"))),
        *(math.log1p(question.count(sign)) for sign in _SIGNS.values()),
        *_of_choices(choices, stem, letters),
        *(measure(question) for measure in _BY_PATTERN.values()),
    )


def _of_choices(choices: Sequence[str], stem: str, letters: int) -> tuple[float, ...]:
    if not choices:
        return (0.0,) * (len(_CHOICE_NAMES) - 1) + (1.0,)
    lengths = [len(choice) for choice in choices]
    meant = [_meant(choice) for choice in choices]
    asked = _meant(stem)
    alike = [len(one & other) / max(1, len(one | other)) for one, other in combinations(meant, 2)]
    count = len(choices)
    return (
        math.log1p(count),
        math.log1p(sum(lengths) / count),
        math.log1p(max(lengths)),
        math.log1p(max(lengths)) - math.log1p(min(lengths)),
        math.log1p(sum(map(len, meant)) / count),
        sum(bool(_MOSTLY_NUMBER.fullmatch(choice)) for choice in choices) / count,
        sum(choice[:1].isupper() for choice in choices) / count,
        sum(alike) / max(1, len(alike)),
        sum(len(words & asked) / max(1, len(words)) for words in meant) / count,
        float(count > 1 and len({choice.split()[0] for choice in choices if choice.split()}) == 1),
        len(stem) / letters,
    )


def number(digits: str) -> float:
    """Of digits with or without commas between them; what is too great to matter is cut."""
    return max(-_GREATEST, min(_GREATEST, float(digits.replace(",", ""))))


def _meant(text: str) -> set[str]:
    return set(map(str.casefold, _WORD.findall(text))) - _COMMON


def _names(text: str) -> int:
    """Words with a capital where no sentence begins."""
    return sum(
        word[:1].isupper() and not before.endswith((".", "?", "!", ":", ")")) for before, word in pairwise(text.split())
    )
