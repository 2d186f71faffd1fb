"""Text as it should be indexed: one Unicode form, one kind of white space, nothing invisible, and each thing once.

Losing what a document says is worse than keeping noise, so only what is surely repetition goes. Paragraphs that differ
in a single word are no repetition: it may be a name, a number, or "not".
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from hashlib import blake2b

_NEWLINES = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_SPACES = re.compile(r"(?<=\S)[^\S\n]+")
_TRAILING = re.compile(r"(?<![^\S\n])[^\S\n]++$", re.MULTILINE)
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


# --- paragraphs that repeat -------------------------------------------------------------------------------------------

# Shorter ones repeat with reason: a refrain, the name of who speaks, "closed on Mondays".
_SHORTEST = 80
# "The entrance has no steps." is about another house under another heading; a page of legal notice is not.
_ANYWHERE = 240
_PROSE_MARKS = re.compile(r"[.,;:!?…'\"‘’“”„«»\u2010-\u2015-]")


class Repetitions:
    """Which paragraphs of one document have been there before, however they are spaced, capitalised or punctuated."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()

    def has(self, text: str, headings: tuple[str, ...]) -> bool:
        """Whether this has been asked before: under the same headings, or, if it is long, under any."""
        if len(text) < _SHORTEST:
            return False
        place = () if len(text) >= _ANYWHERE else headings
        key = blake2b("\0".join((*place, _folded(text))).encode(), digest_size=16).digest()
        if key in self._seen:
            return True
        self._seen.add(key)
        return False


def _folded(text: str) -> str:
    """The words. Where there are digits, marks have a meaning too: 1.5 is not 15, nor -3 the same as 3."""
    if not any(map(str.isdigit, text)):
        text = _PROSE_MARKS.sub(" ", text)
    return " ".join(text.casefold().split())


# --- headers, footers and page numbers --------------------------------------------------------------------------------

_EDGE_LINES = 2  # lines at the top, and at the bottom, that may be furniture
_FEWEST = 3  # pages that must have a line in common
_SHARE = 0.4  # of all pages, because left and right ones may differ
_NUMBER = re.compile(r"\d{1,6}")
_MOST_NUMBERS = 4
# "Page 3" says where one is, "Day 3" what one reads.
_PAGE = re.compile(
    r"(?:\b(?:pages?|pg|p|seite|s|página|pág|pagina|pag|sida|side|strona|стр|страница)\b[.:]?|第)\s*\Z", re.IGNORECASE
)


def without_furniture(pages: Sequence[str]) -> tuple[list[str], int]:
    """Pages without headers, footers and page numbers, and how many lines that were.

    Furniture is a line that stands at the same place on many pages and is the same there, but for the number of the
    page. The first one stays, unless it is a number alone.
    """
    lines = [page.split("\n") for page in pages]
    counts = Counter(
        key for number, page in enumerate(lines) for keys in _furniture(page, number).values() for key in keys
    )
    common = {key for key, count in counts.items() if count >= max(_FEWEST, _SHARE * len(pages))}
    stripped, dropped, shown = [], 0, set[tuple[int, str]]()
    for number, page in enumerate(lines):
        gone = set()
        for at, keys in _furniture(page, number).items():
            known = keys & common
            if known & shown or (known and not any(map(str.isalpha, page[at]))):
                gone.add(at)
            shown |= known
        stripped.append("\n".join(line for at, line in enumerate(page) if at not in gone))
        dropped += len(gone)
    return stripped, dropped


def _furniture(page: Sequence[str], number: int) -> dict[int, set[tuple[int, str]]]:
    """The lines of a page that may be furniture: where each stands, from the top or the bottom, and what it is like."""
    filled = [at for at, line in enumerate(page) if line.strip()]
    found: dict[int, set[tuple[int, str]]] = {}
    for places, lines in ((range(_EDGE_LINES), filled), (range(-1, -_EDGE_LINES - 1, -1), reversed(filled))):
        for place, at in zip(places, lines, strict=False):
            found.setdefault(at, set()).update((place, like) for like in _likenesses(page[at].strip(), number))
    return found


def _likenesses(line: str, number: int) -> Iterator[str]:
    """A line as it is, and with what may be a page number as its distance from the number that the page has."""
    yield line
    is_number = not any(map(str.isalpha, line))
    for found in itertools.islice(_NUMBER.finditer(line), _MOST_NUMBERS):
        if is_number or _PAGE.search(line, 0, found.start()):
            yield f"{line[: found.start()]}\0{int(found[0]) - number}\0{line[found.end() :]}"
