"""Words of English text, and what kind of word each is: closed lists and the form, no dictionary.

It is for short answers: a span that starts with a preposition or cuts a name in two is none.
"""

from __future__ import annotations

import re
from functools import lru_cache

_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_WORD = re.compile(
    rf"[{_CJK}]"
    r"|[$£€¥]?\d+(?:[.,]\d+)*(?:st|nd|rd|th|s)?(?:[-–][^\W\d_]+)?[%½]?"
    rf"|(?:[^\W\d_{_CJK}]\.){{2,}}"
    rf"|[^\W_{_CJK}]+(?:['’\-–&/][^\W_{_CJK}]+)*"
    r"|\S"
)


def words(text: str) -> list[tuple[int, int]]:
    """Offsets of words, numbers and single punctuation marks."""
    return [match.span() for match in _WORD.finditer(text)]


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """A crude stem, of a word in lower case."""
    word = re.sub(r"['’]s?$", "", word)
    for ending, instead in (("ies", "y"), ("ied", "y"), ("sses", "ss"), ("ing", ""), ("edly", ""), ("ed", ""),
                            ("es", ""), ("s", ""), ("ly", ""), ("e", "")):  # fmt: skip
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            word = word[: len(word) - len(ending)] + instead
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "ls":
        word = word[:-1]
    return word[:-1] + "i" if word.endswith("y") and len(word) > 3 else word


def same_word(a: str, b: str) -> bool:
    """Stems that are equal, or share most of a long beginning."""
    if a == b:
        return True
    if len(a) < 5 or len(b) < 5 or a[:4] != b[:4]:
        return False
    common = 4
    while common < min(len(a), len(b)) and a[common] == b[common]:
        common += 1
    return common >= 0.72 * max(len(a), len(b))


# --- kinds ------------------------------------------------------------------------------------------------------------

(COMMON, NAME, NUMBER, DETERMINER, PREPOSITION, CONJUNCTION, AUXILIARY, PRONOUN, RELATIVE, COMMA, MARK, VERB, ADVERB,
 YEAR, EDGE) = range(15)  # fmt: skip
_LISTS = {
    DETERMINER: "a an the this that these those its his her their our my your each every some any no another such both "
    "all many several various other",
    PREPOSITION: "of in on at by for from to with into onto over under between among through during against about "
    "after before since until within without toward towards upon across along behind beyond near per via as than like "
    "around above below despite including following",
    CONJUNCTION: "and or but nor so yet because although though while whereas if unless when where",
    AUXILIARY: "is are was were be been being am has have had having do does did will would can could shall should "
    "may might must 's",
    PRONOUN: "he she it they we i you him them us me himself herself itself themselves there one's",
    RELATIVE: "who whom whose which what that why how",
    ADVERB: "not also only just very more most less least too then thus however still even already again often "
    "usually sometimes always never first later now about approximately nearly almost over roughly around up out",
    VERB: "became become becomes made make makes took take takes gave give gives given got gets went goes go came come "
    "comes began begin begins left led lead leads won win wins lost held hold holds found find finds known knew know "
    "said say says told wrote write written built build sold sell bought brought set put ran run runs grew grow rose "
    "fell met paid sent spent kept keep chose chosen thought taught fought caught felt saw seen showed shown show "
    "shows called include includes contain contains consist consists provide provides remain remains live lives mean "
    "means use uses allow allows require requires",
}
_KIND = {word: kind for kind, listed in reversed(_LISTS.items()) for word in listed.split()}
_NUMBERS = frozenset((
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty", "thirty",
    "forty", "fifty", "sixty", "seventy", "eighty", "ninety", "hundred", "thousand", "million", "billion",
    "trillion", "half", "third", "quarter", "dozen", "hundreds", "thousands", "millions", "twice", "once",
    "first", "second",
))  # fmt: skip
MONTHS = frozenset((
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
    "november", "december", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday",
    "spring", "summer", "autumn", "winter", "century", "centuries", "decade", "decades",
))  # fmt: skip


def kind_of(word: str, *, opens: bool = False) -> int:
    """`opens`: it is the first word of its sentence, so that a capital says little."""
    low = word.lower()
    if not word[0].isalnum() and not any(letter.isdigit() for letter in word):
        return COMMA if word in ",，、" else MARK
    if re.fullmatch(r"1\d{3}s?|20\d\ds?", low):
        return YEAR
    if any(letter.isdigit() for letter in low) or low.split("-")[0] in _NUMBERS:
        return NUMBER
    if low in _KIND and (low != "may" or not word[0].isupper() or opens):
        return _KIND[low]
    if word[0].isupper():
        return NAME
    if low.endswith("ly"):
        return ADVERB
    if len(low) > 4 and low.endswith(("ed", "ing")):
        return VERB
    return COMMON
