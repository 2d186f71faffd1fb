"""What a device knows, as it crosses a seam: documents, passages of them, and what a query found."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Literal

from pydantic import Field

from edgewise.texts import Privacy, Text, Value

Author = Literal["edge", "cloud"]
Via = Literal["", "fallback", "cache", "repeated"]

Expand = Literal["", "window", "section", "document"]

CLOUD_INFO = "cloud-info"
"""The collection of what the cloud informed of."""


def cloud_info(app: str = "") -> str:
    """That of an app: it tells what was asked, so each app has one of its own."""
    return f"{CLOUD_INFO}-{app}" if app else CLOUD_INFO


class CostBasis(StrEnum):
    """What a cost stands on: a provider's price, a price we made up for a stand-in, or a recording."""

    BILLED = "BILLED"
    NOTIONAL = "NOTIONAL"
    SIMULATED = "SIMULATED"

    @staticmethod
    def weakest(bases: Iterable[CostBasis | None]) -> CostBasis | None:
        """What a sum stands on, from what its parts stand on; None for no parts with a known one."""
        known = set(bases)
        return next((basis for basis in reversed(CostBasis) if basis in known), None)


class Query(Value):
    """What to look for. No `collections` means all of them; `source` narrows it to one, or to what lies under it.

    `expand` gives a passage more of what surrounds it: `window` the sentences before and after it; `section` joins
    passages that follow each other under one heading; `document` is the whole of each document that was found.
    """

    text: Text
    k: int = Field(default=4, ge=1, le=100)
    collections: tuple[str, ...] = ()
    source: str = Field(default="", max_length=1000)
    expand: Expand = ""


class Span(Value):
    """Some characters of a text, `text[start:end]`."""

    start: int = Field(default=0, ge=0)
    end: int = Field(default=0, ge=0)


class Passage(Value):
    """A piece of a document. `score` is the estimated probability that it is relevant to the query.

    `as_of` and `expires_at` are RFC 3339 times; `stale` says that the latter has passed. `spans` are what an answer
    stands on, in characters of the text.
    """

    id: str
    text: Text
    source: str
    title: str = ""
    score: float = 0.0
    origin: Author = "edge"
    as_of: str = ""
    expires_at: str = ""
    stale: bool = False
    spans: tuple[Span, ...] = ()


class Findings(Value):
    """The answer to a query, best passage first.

    `answerable` is the estimated probability that the answer to the query is in what was searched. `reason` says what
    could not be searched, and why; it is empty when nothing is missing. `via` is `repeated` for what was found, and
    paid, in an earlier call with the same idempotency key.
    """

    passages: tuple[Passage, ...] = ()
    answerable: float | None = None
    cost_usd: float | None = None
    cost_basis: CostBasis | None = None
    elapsed_s: float | None = None
    reason: str = ""
    via: Via = ""


class Quote(Value):
    """Some characters of one of several passages, which is named by its place among them, from 0.

    `probability` is that of their being what a question asks for.
    """

    passage: int = Field(default=0, ge=0)
    span: Span
    probability: float = 0.0


class Reading(Value):
    """What passages say to a question, likeliest first: sentences to answer from, and short answers."""

    sentences: tuple[Quote, ...] = ()
    answers: tuple[Quote, ...] = ()


class Document(Value):
    """An ingested document; `id` is a hash of its collection, source and content.

    What the cloud informed of has the origin `cloud`, and the times of the information.
    """

    id: str
    source: str
    title: str
    collection: str
    label: Privacy = Privacy.UNKNOWN
    passages: int
    ingested_at: str
    origin: Author = "edge"
    as_of: str = ""
    expires_at: str = ""


class Upload(Value):
    """A file to ingest, whole. `source` is the name under which citations will show it.

    What the cloud informed of (origin `cloud`) is plain text with a title, whatever its source is called.
    """

    source: str
    data: bytes
    collection: str = "default"
    label: Privacy = Privacy.UNKNOWN
    origin: Author = "edge"
    title: str = ""
    as_of: str = ""
    expires_at: str = ""


class Ingested(Value):
    """What became of one file; FAILED and SKIPPED have a `reason`. DELETED: it is gone, and so is its document.

    INGESTING tells of progress, `passages` of `total`, and is followed by another one. `dropped` counts what was left
    out because the file says it more than once: page headers, boilerplate, repeated paragraphs.
    """

    source: str
    status: Literal["INGESTING", "INGESTED", "UNCHANGED", "FAILED", "DELETED", "SKIPPED"]
    passages: int = 0
    reason: str = ""
    total: int = 0
    dropped: int = 0
