"""Our own detectors: by the structure of what they look for, without a model, in one table.

They see what people type by mistake, also in full-width characters, with look-alike letters, invisible characters or
separators in it. What is hidden on purpose they do not see: encoded (base64 of a key), spelt out in words, split over
several messages, in a picture.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from router.egress.detectors.folding import folded
from router.egress.detectors.keys import has_key
from router.egress.detectors.numbers import has_card, has_iban, has_persons_number
from router.egress.detectors.phones import has_phone
from router.egress.detectors.words import has_private_words

VERSION = "2026-11-30"
_DIGIT = re.compile(r"\d")
_EMAIL = re.compile(r"[\w+-](?<!\bgit)@(?:[\w-]{1,63}\.){1,5}[A-Za-z]{2,24}\b(?!\()", re.ASCII)
_MAC = re.compile(r"(?<![A-Za-z0-9:-])[0-9A-Fa-f]{2}([:-])(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}(?![A-Za-z0-9:-])")

# In words that repeat nothing of the text. Those of the second table need a digit.
_ANY: tuple[tuple[str, Callable[[str], bool]], ...] = (
    ("a key, a token or a password", has_key),
    ("an e-mail address", lambda text: "@" in text and bool(_EMAIL.search(text))),
    ("something that people keep to themselves", has_private_words),
)
_WITH_DIGITS: tuple[tuple[str, Callable[[str], bool]], ...] = (
    ("a card number", has_card),
    ("a bank account (IBAN)", has_iban),
    ("the number of a person's document", has_persons_number),
    ("a telephone number", has_phone),
    ("the hardware address of a device", lambda text: bool(_MAC.search(text))),
)


# What is searched at once. It bounds for how long a search keeps all other threads from running.
_WINDOW, _OVERLAP = 20_000, 1_000


class Structural:
    name = "detectors"
    takes_long = False

    def look(self, text: str) -> str | None:
        return detect(text)


def detect(text: str) -> str | None:
    """What looks private in a text, in words; None if nothing does."""
    read = folded(text)
    windows = (read[start : start + _WINDOW] for start in range(0, max(len(read) - _OVERLAP, 1), _WINDOW - _OVERLAP))
    return next(filter(None, map(_seen, windows)), None)


def _seen(text: str) -> str | None:
    table = (*_WITH_DIGITS, *_ANY) if _DIGIT.search(text) else _ANY
    return next((words for words, sees in table if sees(text)), None)
