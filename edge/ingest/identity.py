"""Who a document is: a hash of its collection, its source and its content, computable without an upload."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from edgewise.types import CLOUD_INFO, Passage, Upload

_EDITION = 2
"""Raised whenever loaders or chunks change, so that the same file is ingested again and not taken for known."""


def document_id(collection: str, source: str, data: Iterable[bytes]) -> str:
    """The `Document.id` that a file gets; `data` is its content in pieces of any size."""
    digest = hashlib.sha256(f"{_EDITION}\0{collection}\0{source}\0".encode())
    for piece in data:
        digest.update(piece)
    return digest.hexdigest()[:32]


def kept(passage: Passage) -> Upload:
    """What the cloud informed of, as a document of its own: passages of one source do not replace each other."""
    data = passage.text.value.encode()
    return Upload(
        source=f"{passage.source}#{hashlib.sha256(data).hexdigest()[:8]}",
        data=data,
        collection=CLOUD_INFO,
        label=passage.text.label,
        origin="cloud",
        title=passage.title,
        as_of=passage.as_of,
        expires_at=passage.expires_at,
    )
