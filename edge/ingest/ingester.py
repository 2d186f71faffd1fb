"""From a file to passages in the store."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime

from edge.embedder import Embedder
from edge.ingest.chunking import Piece, chunk
from edge.ingest.loaders import load
from edge.store import Store, passage_id
from edgewise.errors import InvalidInput
from edgewise.types import Document, Ingested, Passage, Privacy, Text, Upload

_MAX_NAME = 1000


class Ingester:
    def __init__(self, embedder: Embedder, store: Store, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._embedder = embedder
        self._store = store

    async def ingest(self, upload: Upload) -> Ingested:
        """What became of a file. A bad one is FAILED; an error is raised only for what would hit the next as well.

        A file whose name and content are known is UNCHANGED, one with new content takes the place of the old. Without
        a label (UNKNOWN) a file keeps the one that it had, so that nothing private becomes less so by accident.
        """
        try:
            return await self._ingest(upload)
        except InvalidInput as error:
            return failed(upload.source, error.message)

    async def _ingest(self, upload: Upload) -> Ingested:
        self._check(upload)
        source, collection = upload.source, upload.collection
        document_id = await asyncio.to_thread(_document_id, upload)
        old = await self._store.find(source, collection)
        label = old.label if old and upload.label is Privacy.UNKNOWN else upload.label
        if old and old.id == document_id:
            if old.label is label:
                return Ingested(source=source, status="UNCHANGED", passages=old.passages)
            await self._store.relabel(document_id, label)
            return Ingested(source=source, status="INGESTED", passages=old.passages)

        title, pieces = await asyncio.to_thread(self._read, upload)
        document = Document(
            id=document_id,
            source=source,
            title=title,
            collection=collection,
            label=label,
            passages=len(pieces),
            ingested_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        vectors = await self._embedder.embed([piece.embedded for piece in pieces])
        await self._store.add(document, [_passage(document, *numbered) for numbered in enumerate(pieces)], vectors)
        return Ingested(source=source, status="INGESTED", passages=len(pieces))

    def _check(self, upload: Upload) -> None:
        for name, value in (("name", upload.source), ("collection", upload.collection)):
            if not value.strip() or len(value) > _MAX_NAME:
                raise InvalidInput(f"has a {name} that is empty or longer than {_MAX_NAME} characters")
            if not value.isprintable():
                raise InvalidInput(f"has a {name} with characters that cannot be shown; rename it")
        if len(upload.data) > self.max_bytes:
            raise InvalidInput(too_large(self.max_bytes))

    def _read(self, upload: Upload) -> tuple[str, list[Piece]]:
        loaded = load(upload.source, upload.data)
        return loaded.title, list(chunk(loaded, self._embedder.count_tokens, passage_tokens(self._embedder)))


def passage_tokens(embedder: Embedder) -> int:
    """How long a passage may be. The rest of the window is for tokens that come out differently where parts join."""
    return embedder.max_tokens * 3 // 4


def failed(source: str, reason: str) -> Ingested:
    return Ingested(source=source, status="FAILED", reason=reason)


def too_large(max_bytes: int) -> str:
    return f"is larger than {max_bytes} bytes; split it, or raise edge.max_document_bytes"


def _document_id(upload: Upload) -> str:
    digest = hashlib.sha256(f"{upload.collection}\0{upload.source}\0".encode())
    digest.update(upload.data)
    return digest.hexdigest()[:32]


def _passage(document: Document, number: int, piece: Piece) -> Passage:
    return Passage(
        id=passage_id(document.id, number),
        text=Text(value=piece.text, label=document.label, sources=(document.source,)),
        source=document.source,
        title=piece.title,
    )
