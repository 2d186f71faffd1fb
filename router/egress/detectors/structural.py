"""Our own detectors: by the structure of what they look for, without a model."""

from __future__ import annotations

import re

VERSION = "2026-11-30"
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]*\w")
_CARD = re.compile(r"(?<![\d-])\d(?:[ -]?\d){12,18}(?![\d-])")
_SECRET = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|\b(?:sk|pk|rk|ghp|gho|ghs|glpat|xox[abprs])[-_][A-Za-z0-9_-]{16,}"
    r"|\bAKIA[0-9A-Z]{16}\b"
    r"|\b(?:password|passwd|passphrase)\s*(?:is|[:=])\s*\S+",
    re.IGNORECASE,
)


class Structural:
    name = "detectors"

    def look(self, text: str) -> str | None:
        return detect(text)


def detect(text: str) -> str | None:
    """What looks private in a text, in words; None if nothing does."""
    if _SECRET.search(text):
        return "a key or password"
    if any(_luhn(re.sub(r"\D", "", match.group())) for match in _CARD.finditer(text)):
        return "a card number"
    if _EMAIL.search(text):
        return "an e-mail address"
    return None


def _luhn(digits: str) -> bool:
    """The check digit of ISO/IEC 7812-1, annex B."""
    doubled = (int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(reversed(digits)))
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0
