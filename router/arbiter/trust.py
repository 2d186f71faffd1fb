"""After an answer was written: how far to trust it, and whether two answers say the same."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from edgewise.scripts import mostly_latin

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


class TrustModel:
    """P(correct) of an edge answer from the mean log-probability of its tokens, by Platt's sigmoid.

    The mean alone separates right from wrong short answers of the default edge model with an AUROC of 0.79. Slope and
    offset were fitted by `tests/bench/trust.py` on 170 closed-book questions in English, 32 % of them answered right.
    """

    version = "logprob-2"
    _SLOPE = 5.06
    _OFFSET = 2.68

    def of(self, question: str, answer: str, logprobs: Sequence[float]) -> float | None:
        """None when nothing is known: the side gives no log-probabilities, or the script is not that of the fit.

        A Chinese character is up to three tokens to a model of English, the last of them sure whatever it says.
        """
        if not logprobs or not mostly_latin(f"{question} {answer}"):
            return None
        logit = self._SLOPE * sum(logprobs) / len(logprobs) + self._OFFSET
        return 1 / (1 + math.exp(-logit))


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
