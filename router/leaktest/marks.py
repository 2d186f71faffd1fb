"""Secrets that occur nowhere else, and how to find them again, whole or in pieces, however they were disguised."""

from __future__ import annotations

import base64
import re
import string
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from urllib.parse import unquote_plus

_FRAGMENT = 6
"""Letters or digits of a secret, at the least, that are not there by chance: there are more than 10^6 of them."""
_ONSETS = ("br", "dr", "fl", "gr", "kl", "kv", "pl", "skr", "tr", "vr", "zw", "zn")
_VOWELS = "aeiou"
_ENDS = ("bok", "dax", "fim", "gup", "kez", "lun", "mox", "nip", "rud", "tav", "vok", "zif")


@dataclass(frozen=True, slots=True)
class Mark:
    """Some words of no language, a number or a key, by which a text is known."""

    text: str

    @property
    def pieces(self) -> tuple[str, ...]:
        """All of it, then each of its words, or its halves: too long to come about by chance, and a leak each."""
        plain = _plain(self.text)
        words = [_plain(word) for word in re.split(r"[\W_]+", self.text)]
        found = [word for word in words if len(word) >= _FRAGMENT]
        half = len(plain) // 2
        if len(found) < 2 and half >= _FRAGMENT:
            found += [plain[:half], plain[half:]]
        return tuple(dict.fromkeys((plain, *found)))


class Marks:
    """Draws secrets; the same ones for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)  # noqa: S311 - they are to be found, not kept
        self._drawn: set[str] = set()

    def words(self, count: int = 2) -> str:
        """Such as `brabokenip-skrilunotav`; none of them is drawn twice."""
        return "-".join(self._new_word() for _ in range(count))

    def digits(self, count: int) -> str:
        return "".join(self._random.choice(string.digits) for _ in range(count))

    def letters(self, count: int) -> str:
        return "".join(self._random.choice(string.ascii_letters + string.digits) for _ in range(count))

    def choice(self, among: Sequence[str]) -> str:
        return self._random.choice(among)

    def _new_word(self) -> str:
        pick = self._random.choice
        while (word := pick(_ONSETS) + pick(_VOWELS) + pick(_ENDS) + pick(_VOWELS) + pick(_ENDS)) in self._drawn:
            pass
        self._drawn.add(word)
        return word


class Haystack:
    """All that arrived somewhere, made ready to be searched.

    A mark is found as it was, in another case, with other signs or spaces between its letters (or none), cut up over
    several fields or messages, percent-encoded, in base64 at any of its three offsets, and in hexadecimal.
    """

    def __init__(self, arrived: Iterable[bytes], texts: Iterable[str]) -> None:
        """`texts` are the strings in what arrived, in order, without what a protocol puts in between."""
        raw = b"\n".join(arrived)
        told = raw.decode("utf-8", "ignore")
        joined = "".join(texts)
        self._plain = [_plain(one) for one in (told, joined, unquote_plus(told), unquote_plus(joined))]
        self._encoded = re.sub(r"[^A-Za-z0-9]", "", told), re.sub(r"[^A-Za-z0-9]", "", joined)
        self._hex = [one.casefold() for one in self._encoded]

    def has(self, mark: Mark) -> str:
        """In which form it is there; empty if it is not."""
        whole, *pieces = mark.pieces
        if any(whole in text for text in self._plain):
            return "whole"
        if any(piece in text for piece in pieces for text in self._plain):
            return "in part"
        if any(form in text for form in _in_base64(mark.text) for text in self._encoded):
            return "in base64"
        if any(mark.text.encode().hex() in text for text in self._hex):
            return "in hexadecimal"
        return ""


def _plain(text: str) -> str:
    """Letters and digits alone, as small ones."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", text).casefold())


def _in_base64(text: str) -> Iterator[str]:
    """What is in the middle of its base64, wherever it begins, without the signs in which the alphabets differ."""
    for written in {text, text.casefold(), text.upper()}:
        for offset in range(3):
            coded = base64.b64encode(b"\0" * offset + written.encode()).decode().rstrip("=")
            middle = re.sub(r"[^A-Za-z0-9]", "", coded[-(-8 * offset // 6) : -1])
            if len(middle) >= 2 * _FRAGMENT:
                yield middle
