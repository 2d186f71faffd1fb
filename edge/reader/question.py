"""What a question asks for: its type, the noun after its question word, and the words that it is about."""

from __future__ import annotations

from dataclasses import dataclass

from edge.reader.words import (
    ADVERB,
    AUXILIARY,
    COMMA,
    COMMON,
    DETERMINER,
    MARK,
    NAME,
    NUMBER,
    PREPOSITION,
    VERB,
    YEAR,
    kind_of,
    stem,
    words,
)

WHO, WHEN, WHERE, COUNT, WHAT_X, WHAT, WHY_HOW, OTHER = range(8)
_EMPTY = frozenset(["name", "type", "kind", "many", "much", "long", "old", "often", "sort"])
_TIMES = frozenset((
    "year", "date", "month", "day", "century", "decade", "time", "period", "era", "season", "years",
))  # fmt: skip
_PLACES = frozenset((
    "city", "country", "state", "place", "location", "region", "area", "town", "county", "continent", "river",
    "island", "street", "part", "nation",
))  # fmt: skip
_PEOPLE = frozenset((
    "person", "man", "woman", "player", "author", "writer", "king", "president", "leader", "scientist", "actor",
    "actress", "director", "composer", "singer", "emperor", "queen", "name", "names", "people", "team",
    "company", "organization", "group",
))  # fmt: skip
_AMOUNTS = frozenset((
    "percentage", "percent", "number", "amount", "fraction", "proportion", "population", "temperature", "age",
    "rank",
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """What a question asks for: its type, the noun after its question word, and its content words by stem."""

    type: int
    focus: tuple[str, ...]
    stems: tuple[str, ...]
    """Of its content words, in order."""
    is_of_subject: bool
    """The question word is what the verb is said of: 'Who led ...?', not 'Whom did X lead?'."""
    verb: str = ""


def read_question(text: str) -> Asked:
    tokens = [text[a:b] for a, b in words(text)]
    low = [token.lower() for token in tokens]
    kinds = [kind_of(token, opens=place == 0) for place, token in enumerate(tokens)]
    at = next((n for n, word in enumerate(low) if word in QUESTION_WORDS), -1)
    word = low[at] if at >= 0 else ""
    following = at + 1
    focus: list[str] = []
    asked = OTHER
    if word in ("who", "whom", "whose"):
        asked = WHO
    elif word == "when":
        asked = WHEN
    elif word == "where":
        asked = WHERE
    elif word == "why":
        asked = WHY_HOW
    elif word == "how":
        nearby = low[following] if following < len(low) else ""
        asked = COUNT if nearby in _HOW else WHY_HOW
        if asked == COUNT:
            following += 1
    if word in ("what", "which", "whose") or asked == COUNT:
        while following < len(low) and kinds[following] not in (AUXILIARY, MARK, COMMA) and len(focus) < 4:
            if kinds[following] in (VERB, PREPOSITION) and focus:
                break
            if kinds[following] not in (DETERMINER, PREPOSITION):
                focus.append(low[following])
            following += 1
        if word in ("what", "which"):
            nouns = set(focus)
            asked = WHAT_X if focus else WHAT
            asked = WHEN if nouns & _TIMES else WHERE if nouns & _PLACES else asked
            asked = COUNT if nouns & _AMOUNTS else WHO if nouns & _PEOPLE and asked == WHAT_X else asked
    content = [n for n, kind in enumerate(kinds) if n != at and is_content(low[n], kind)]
    next_kind = kinds[following] if following < len(kinds) else MARK
    verb = next((low[n] for n in range(following, len(low)) if is_content(low[n], kinds[n])), "")
    return Asked(
        type=asked,
        focus=tuple(stem(noun) for noun in focus if noun not in _EMPTY),
        stems=tuple(stem(low[n]) for n in content),
        is_of_subject=at >= 0 and next_kind not in (AUXILIARY, MARK),
        verb=stem(verb),
    )


QUESTION_WORDS = frozenset(["who", "whom", "whose", "what", "which", "when", "where", "why", "how"])
_HOW = frozenset((
    "many", "much", "long", "old", "far", "large", "big", "tall", "high", "often", "deep", "fast", "wide",
    "few",
))  # fmt: skip
CONTENT = frozenset((COMMON, NAME, NUMBER, VERB, YEAR, ADVERB))


def is_content(low: str, kind: int) -> bool:
    return kind in CONTENT and low not in _EMPTY and low not in QUESTION_WORDS and low not in ("did", "used")
