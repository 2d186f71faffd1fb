"""Who a document is: a hash of its collection, its source and its content, computable without an upload."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

from edgewise.errors import NotFound
from edgewise.types import CLOUD_INFO, Passage, Upload

_EDITION = 2
"""Raised whenever loaders or chunks change, so that the same file is ingested again and not taken for known."""


def document_id(collection: str, source: str, data: Iterable[bytes]) -> str:
    """The `Document.id` that a file gets; `data` is its content in pieces of any size."""
    digest = hashlib.sha256(f"{_EDITION}\0{collection}\0{source}\0".encode())
    for piece in data:
        digest.update(piece)
    return digest.hexdigest()[:32]


def kept(passage: Passage, collection: str = CLOUD_INFO) -> Upload:
    """What the cloud informed of, as a document of its own: passages of one source do not replace each other."""
    data = passage.text.value.encode()
    return Upload(
        source=f"{passage.source}#{hashlib.sha256(data).hexdigest()[:8]}",
        data=data,
        collection=collection,
        label=passage.text.label,
        origin="cloud",
        title=passage.title,
        as_of=passage.as_of,
        expires_at=passage.expires_at,
    )


async def deleted(delete: Callable[[str], Awaitable[None]], documents: Iterable[str]) -> int:
    """Deletes those of some documents that are there; how many that were."""
    count = 0
    for document in dict.fromkeys(documents):
        with suppress(NotFound):
            await delete(document)
            count += 1
    return count


def kept_id(passage: Passage, collection: str = CLOUD_INFO) -> str:
    """The id of that document."""
    upload = kept(passage, collection)
    return document_id(collection, upload.source, (upload.data,))
