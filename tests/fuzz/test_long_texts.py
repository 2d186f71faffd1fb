"""Texts of one thing over and over: what is done with them takes seconds where a fault would take hours.

No time is measured: a pattern that backtracks runs into the limit of the test.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edge.ingest.cleaning import clean
from edge.reader.sentences import sentences
from edge.terms import terms
from router.arbiter import features
from router.defanging import defanged

UNITS = (
    "a",
    "A. ",
    "1",
    "1,",
    ". ",
    "?",
    "？",
    " ",
    " \t",
    "\n",
    "(",
    "(a) ",
    "A) 1",
    "“",
    "'",
    "-",
    "词",
    "@",
    "://",
    "[](",
)
WORK: dict[str, Callable[[str], object]] = {
    "clean": clean,
    "sentences": sentences,
    "terms": lambda text: list(terms(text)),
    "features of a question": features.surface,
    "links": defanged,
}


@pytest.mark.parametrize("name", WORK)
@pytest.mark.timeout(60)
def test_a_long_text_is_no_trap(name: str) -> None:
    for unit in UNITS:
        for end in ("", "!", "x"):
            WORK[name](unit * (100_000 // len(unit)) + end)
