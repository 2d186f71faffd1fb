"""The words of a text as search knows them: folded, stemmed, and where no spaces part them, in pairs of characters.

Passages and queries go through `terms` alike, so that "runs" finds "running", "cafe" finds "Café", and 臺灣 finds 台湾.
A run of Chinese, Japanese, Korean, Thai, Lao, Khmer or Burmese is cut into overlapping pairs, which needs no dictionary
and is hard to beat.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache
from typing import Any

# Han with its extensions and compatibility forms, kana, and Hangul.
_CJK = re.compile(
    r"[\u1100-\u11ff\u3005-\u3007\u3040-\u30ff\u3130-\u318f\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]+"
)
# And Thai, Lao, Burmese and Khmer.
_UNSPACED = re.compile(rf"(?:{_CJK.pattern}|[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff])+")
# The accents of Latin, Greek and Cyrillic, the points of Hebrew and Arabic, which most texts leave out, and what only
# chooses among the forms of a character.
_ACCENTS = re.compile(
    r"[\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670"
    r"\u20d0-\u20f0\ufe00-\ufe0f\U000e0100-\U000e01ef]+"
)

# Words that say how a question is asked and not what it is about. They are searched for, too, but do not count as
# something that a passage must have.
STOP_WORDS = frozenset((
    "a", "about", "an", "and", "any", "are", "as", "at", "be", "been", "but", "by", "can", "could", "did", "do", "does",
    "for", "from", "had", "has", "have", "he", "her", "him", "his", "how", "i", "if", "in", "into", "is", "it", "its",
    "many", "may", "me", "much", "my", "no", "not", "of", "on", "or", "our", "s", "she", "should", "so", "some", "such",
    "t", "than", "that", "the", "their", "them", "then", "there", "these", "they", "this", "those", "to", "us", "was",
    "we", "were", "what", "when", "where", "which", "who", "whom", "whose", "why", "will", "with", "would", "you",
    "your",
))  # fmt: skip


def terms(text: str) -> list[str]:
    """The searchable words of a text in order; stems for words of Latin letters, pairs for runs without spaces."""
    folded = fold(text)
    words = _word().findall(folded)
    if folded.isascii():
        return list(map(_stem, words))
    return [term for word in words for term in _terms(word)]


def _terms(word: str) -> list[str]:
    if word.isascii():
        return [_stem(word)]
    found: list[str] = []
    start = 0
    for run in _UNSPACED.finditer(word):
        if run.start() > start:
            found.append(_stem(word[start : run.start()]))
        found += _pairs(run[0])
        start = run.end()
    if start < len(word):
        found.append(_stem(word[start:]))
    return found


def fold(text: str) -> str:
    """The text without what does not tell words apart: case, width, accents, and Traditional or Simplified forms."""
    text = unicodedata.normalize("NFKC", text).casefold()
    if not text.isascii():
        if _CJK.search(text):
            text = str(_simplifier().convert(text.encode(errors="ignore").decode()))
        bare = _ACCENTS.sub("", unicodedata.normalize("NFD", text))
        # Recomposed, so that Hangul and kana, whose marks do tell words apart, are what they were.
        text = unicodedata.normalize("NFC", bare)
    return text


def content(words: list[str]) -> list[str]:
    """Those of some terms, each once, that say what it is about; all, if none does."""
    distinct = list(dict.fromkeys(words))
    return [word for word in distinct if word not in _stop_stems()] or distinct


def has_cjk(text: str) -> bool:
    return _CJK.search(text) is not None


def _pairs(run: str) -> list[str]:
    return [run[start : start + 2] for start in range(len(run) - 1)] or [run]


@cache
def _word() -> re.Pattern[str]:
    """Letters and digits with the marks on them: without its vowel signs, a word of Hindi or Tamil falls to pieces."""
    # Up to here `re` looks a character up in a table, with any beyond it goes through a list.
    marks = [char for char in map(chr, range(0x10000)) if unicodedata.category(char).startswith("M")]
    return re.compile(rf"[^\W_]+(?:[{''.join(marks)}]+[^\W_]*)*")


@lru_cache(maxsize=65_536)
def _stem(word: str) -> str:
    return (str(_stemmer().stemWord(word)) or word) if word.isascii() else word


@cache
def _stop_stems() -> frozenset[str]:
    return frozenset(map(_stem, STOP_WORDS))


@cache
def _stemmer() -> Any:
    import snowballstemmer

    return snowballstemmer.stemmer("porter")


@cache
def _simplifier() -> Any:
    import opencc

    return opencc.OpenCC("t2s")
