"""A text as a detector reads it: characters that only look different are the same, and what nobody sees is gone."""

from __future__ import annotations

import unicodedata

_LOOK_ALIKES = dict(
    zip(
        "аеорсухіјѕԁһԛԝӏАВЕКМНОРСТУХІЈЅԌοαρνικυΑΒΕΖΗΙΚΜΝΟΡΤΥΧ‐‑‒–—―−﹣·•∙",
        "aeopcyxijsdhqwlABEKMHOPCTYXIJSGoapvikuABEZHIKMNOPTYX--------...",
        strict=True,
    )
)
_UNSEEN = frozenset({"Cf", "Mn", "Me", "Cc"})
_KEPT = frozenset("\t\n\r\f\v")
# Some characters stand for whole phrases: a text of them would grow eighteenfold.
_MOST_GROWTH = 2


def folded(text: str) -> str:
    """Compatibility forms (full-width, superscript, circled) as plain ones, digits of any script as 0 to 9."""
    if text.isascii():
        return text
    plain = unicodedata.normalize("NFKC", text)
    if len(plain) > _MOST_GROWTH * len(text) + 100:
        plain = text
    seen = {character: _as_read(character) for character in set(plain)}
    return plain.translate({ord(character): read for character, read in seen.items() if read != character})


def _as_read(character: str) -> str:
    if character in _LOOK_ALIKES:
        return _LOOK_ALIKES[character]
    if character in _KEPT or character.isascii():
        return character
    category = unicodedata.category(character)
    if category in _UNSEEN:
        return ""
    if category == "Nd":
        return str(unicodedata.decimal(character))
    return " " if category == "Zs" else character
