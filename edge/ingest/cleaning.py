"""Text as it should be indexed: one Unicode form, one kind of white space, nothing invisible."""

from __future__ import annotations

import re
import unicodedata

_NEWLINES = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_SPACES = re.compile(r"(?<=\S)[^\S\n]+")
_TRAILING = re.compile(r"[^\S\n]+$", re.MULTILINE)
_BLANK_LINES = re.compile(r"\n{3,}")
# PDF fonts draw these as one glyph; nobody searches for them so. The joiners are letters of Persian and of emoji.
_LIGATURES: dict[int, str | None] = {code: unicodedata.normalize("NFKC", chr(code)) for code in range(0xFB00, 0xFB07)}
_KEPT = frozenset("\n\t\u200c\u200d")
# Control, format (which can hide text or turn its direction), surrogate, private use.
_DROPPED = frozenset(("Cc", "Cf", "Cs", "Co"))


def clean(text: str) -> str:
    """The same text in NFC, without invisible characters, and with single spaces.

    Line breaks and indentation stay; more than one blank line becomes one.
    """
    text = unicodedata.normalize("NFC", _NEWLINES.sub("\n", text))
    invisible = [char for char in set(text) - _KEPT if unicodedata.category(char) in _DROPPED]
    text = text.translate(_LIGATURES | {ord(char): None for char in invisible})
    text = _TRAILING.sub("", _SPACES.sub(" ", text))
    return _BLANK_LINES.sub("\n\n", text).strip("\n")


def one_line(text: str) -> str:
    """A title or a heading: cleaned, on one line."""
    return " ".join(clean(text).split())
