"""What a span looks like: where phrases start and end, and its shape for the type of question."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.reader.page import Floats, Ints, Page, bounds, length, sums
from edge.reader.question import COUNT, WHAT, WHEN, WHERE, WHO, WHY_HOW
from edge.reader.words import (
    AUXILIARY,
    COMMA,
    COMMON,
    CONJUNCTION,
    DETERMINER,
    MARK,
    MONTHS,
    NAME,
    NUMBER,
    PREPOSITION,
    PRONOUN,
    RELATIVE,
    VERB,
    YEAR,
)

_GROUPS = (
    "common", "name", "number", "determiner", "preposition", "conjunction", "auxiliary", "pronoun", "punctuation",
    "verb", "adverb", "edge",
)  # fmt: skip
_GROUP_OF = np.array([0, 1, 2, 3, 4, 5, 6, 7, 7, 8, 8, 9, 10, 2, 11])
"""By kind."""
_SHAPES = ("number", "date", "name", "with name", "one word", "words")
_ASKS = ("who", "when", "where", "count", "what x", "what", "why how", "other")
_TIME_PREPOSITIONS = frozenset((
    "in", "on", "since", "by", "until", "from", "during", "around", "between", "before", "after",
))  # fmt: skip
_PLACE_PREPOSITIONS = frozenset(["in", "at", "from", "to", "near", "on", "into", "through"])
_REASONS = frozenset(["to", "because", "for", "by", "due", "through"])


def form(page: Page, a: Ints, b: Ints) -> dict[str, Floats]:
    """What the span looks like, and whether it starts and ends where phrases do."""
    kinds, asked = page.kinds, page.asked.type
    first, end = bounds(page, a)
    before, after = np.maximum(a - 1, 0), np.minimum(b, len(kinds) - 1)
    inner_left, inner_right = a > first, b < end
    groups = _GROUP_OF[kinds]
    left, right = np.where(inner_left, groups[before], 11), np.where(inner_right, groups[after], 11)
    table: dict[str, Floats] = {}
    for number, name in enumerate(_GROUPS):
        table[f"before: {name}"] = 1.0 * (left == number)
        table[f"after: {name}"] = 1.0 * (right == number)
        if name != "edge":
            table[f"first: {name}"] = 1.0 * (groups[a] == number)
            table[f"last: {name}"] = 1.0 * (groups[b - 1] == number)
    name, common, number_ = kinds == NAME, kinds == COMMON, np.isin(kinds, (NUMBER, YEAR))
    table["cuts a name"] = 1.0 * (name[a] & inner_left & name[before]) + (name[b - 1] & inner_right & name[after])
    table["cuts common words"] = 1.0 * (common[b - 1] & inner_right & common[after])
    table["cuts a number"] = 1.0 * (number_[a] & inner_left & number_[before]) + (
        (kinds[b - 1] == NUMBER) & inner_right & (kinds[after] == NUMBER)
    )
    table["determiner left out"] = 1.0 * (inner_left & (kinds[before] == DETERMINER) & (kinds[a] != DETERMINER))
    quote = np.array([word in '"“”' for word in page.low], bool)
    table["quoted"] = 1.0 * (inner_left & inner_right & quote[before] & quote[after])
    for what, inside in (
        ("conjunctions", (CONJUNCTION,)),
        ("commas", (COMMA,)),
        ("prepositions", (PREPOSITION,)),
        ("verbs", (AUXILIARY, VERB)),
        ("pronouns", (RELATIVE, PRONOUN)),
        ("marks", (MARK,)),
    ):
        counted = sums(np.isin(kinds, inside))
        table[f"inside: {what}"] = np.minimum(counted[b] - counted[a], 2.0).astype(np.float64)
    size = length(page, a, b)
    logarithm: Floats = np.asarray(np.log(np.maximum(1.0, size)), np.float64)
    for words_ in (1, 2, 3, 4):
        table[f"length: {words_}"] = 1.0 * (size == words_)
    table["length: log"] = logarithm
    table["length: 7 or more"] = np.asarray(size >= 7, np.float64)
    nothing: Floats = np.zeros(len(a))
    table["length: log, why or how"] = logarithm if asked == WHY_HOW else nothing
    table["length: log, what"] = logarithm if asked == WHAT else nothing
    return table


def fit_of_type(page: Page, a: Ints, b: Ints) -> dict[str, Floats]:
    """The span's shape for this type of question."""
    kinds, low, asked = page.kinds, page.low, page.asked.type
    first, _ = bounds(page, a)
    inner = a > first
    date = sums((kinds == YEAR) | np.array([word in MONTHS for word in low], bool))
    number, name = sums(kinds == NUMBER), sums(kinds == NAME)
    is_name = (kinds[a] == NAME) & (kinds[b - 1] == NAME)
    shape = np.select(
        [date[b] > date[a], number[b] > number[a], is_name, name[b] > name[a], length(page, a, b) == 1],
        [1, 0, 2, 3, 4],
        5,
    )
    table = {
        f"type: {ask}, {outline}": 1.0 * ((shape == column) & (asked == row))
        for row, ask in enumerate(_ASKS)
        for column, outline in enumerate(_SHAPES)
    }

    def is_before(listed: frozenset[str]) -> NDArray[np.bool_]:
        return np.array([word in listed for word in low], bool)[np.maximum(a - 1, 0)] & inner

    table["in, on ... before a time"] = 1.0 * (is_before(_TIME_PREPOSITIONS) & (asked == WHEN))
    table["in, at ... before a place"] = 1.0 * (is_before(_PLACE_PREPOSITIONS) & (asked == WHERE))
    table["by before a doer"] = 1.0 * (is_before(frozenset(("by",))) & (asked == WHO))
    table["to, because ... first"] = 1.0 * (np.array([word in _REASONS for word in low], bool)[a] & (asked == WHY_HOW))
    table["number first"] = 1.0 * ((kinds[a] == NUMBER) & (asked == COUNT))
    table["nothing but a year"] = 1.0 * ((length(page, a, b) == 1) & (kinds[a] == YEAR) & (asked == WHEN))
    return table
