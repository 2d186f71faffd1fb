"""Which words two texts share: whether two answers say the same, and whether sources support one."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_]+")
# fmt: off
_EMPTY_WORDS = frozenset({
    "a", "an", "the", "of", "to", "in", "on", "at", "by", "for", "from", "with", "and", "or", "is", "are",
    "was", "were", "be", "been", "has", "have", "had", "it", "its", "this", "that", "these", "those", "as",
    "he", "she", "they", "you", "i", "we", "his", "her", "their", "our", "your", "my", "not", "no", "do",
    "does", "did", "will", "would", "can", "could", "there", "here", "which", "who", "what", "when", "where",
    "how", "answer", "question",
})
# fmt: on


def agreement(one: str, other: str) -> float:
    """Token F1 of two answers over their content words, as for SQuAD; 0 when either has none."""
    first, second = Counter(content_words(one)), Counter(content_words(other))
    shared = sum((first & second).values())
    return 2 * shared / (sum(first.values()) + sum(second.values())) if shared else 0.0


def groundedness(answer: str, question: str, sources: Sequence[str]) -> float:
    """The share of what an answer adds to its question (content words) that stands in its sources.

    0 for an answer that adds nothing: it only says the question again.
    """
    asked = set(content_words(question))
    added = [word for word in content_words(answer) if word not in asked]
    known = {word for source in sources for word in content_words(source)}
    return sum(word in known for word in added) / len(added) if added else 0.0


def content_words(text: str) -> list[str]:
    """Case-folded words that carry meaning, of JSON those of its values; every CJK character is one."""
    return [word for word in _WORD.findall(_said(text).casefold()) if word not in _EMPTY_WORDS]


def _said(text: str) -> str:
    if not text.startswith(("{", "[")):
        return text
    try:
        return " ".join(_leaves(json.loads(text)))
    except (ValueError, RecursionError):
        return text


def _leaves(value: object) -> Iterator[str]:
    match value:
        case dict():
            for item in value.values():
                yield from _leaves(item)
        case list():
            for item in value:
                yield from _leaves(item)
        case _:
            yield str(value)
