"""From a file to passages in the library."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from weakref import WeakValueDictionary

from edge.embedder import Embedder
from edge.holdings import Library
from edge.ingest.chunking import Piece, chunk
from edge.ingest.folder import too_large
from edge.ingest.identity import document_id
from edge.ingest.loaders import load, plain
from edge.store import Stored, passage_id
from edgewise.errors import InvalidInput, NotFound
from edgewise.types import Document, Ingested, Privacy, Upload

_MAX_NAME = 1000
_BATCH = 64  # passages a step: what a killed process has to do again, and how long a search may wait for the store

Progress = Callable[[Ingested], None]


class Ingester:
    def __init__(self, embedder: Embedder, library: Library, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._embedder = embedder
        self._library = library
        self._turns: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def ingest(self, upload: Upload, progress: Progress = lambda _: None) -> Ingested:
        """What became of a file. A bad one is FAILED; an error is raised only for what would hit the next as well.

        A file whose name and content are known is UNCHANGED, one with new content takes the place of the old. Without
        a label (UNKNOWN) a file keeps the one that it had, so that nothing private becomes less so by accident. One
        whose ingest was broken off goes on where it was. `progress` is told what is INGESTING.
        """
        # One after the other under one name: what arrives would be swept away by another one that begins to.
        turn = self._turns.setdefault((upload.collection, upload.source), asyncio.Lock())
        try:
            async with turn:
                return await self._ingest(upload, progress)
        except InvalidInput as error:
            return failed(upload.source, error.message)

    async def _ingest(self, upload: Upload, progress: Progress) -> Ingested:
        self._check(upload)
        source, collection = upload.source, upload.collection
        identity = await asyncio.to_thread(document_id, collection, source, (upload.data,))
        old = await self._library.find(source, collection)
        label = old.label if old and upload.label is Privacy.UNKNOWN else upload.label
        times = {"as_of": upload.as_of, "expires_at": upload.expires_at}
        if old and old.id == identity:
            same = old.model_copy(update={"label": label, **times})
            if same == old:
                return Ingested(source=source, status="UNCHANGED", passages=old.passages)
            with suppress(NotFound):  # deleted in the meantime: it comes anew
                await self._library.update(same)
                return Ingested(source=source, status="INGESTED", passages=old.passages)

        title, dropped, pieces = await asyncio.to_thread(self._read, upload)
        document = Document(
            id=identity,
            source=source,
            title=title,
            collection=collection,
            label=label,
            passages=len(pieces),
            ingested_at=datetime.now(UTC).isoformat(timespec="seconds"),
            origin=upload.origin,
            **times,
        )
        await self._put(document, pieces, progress)
        return Ingested(source=source, status="INGESTED", passages=len(pieces), dropped=dropped)

    async def _put(self, document: Document, pieces: Sequence[Piece], progress: Progress) -> None:
        there = await self._library.begin(document)
        for start in range(there, len(pieces), _BATCH):
            if len(pieces) > _BATCH:
                progress(Ingested(source=document.source, status="INGESTING", passages=start, total=len(pieces)))
            batch = pieces[start : start + _BATCH]
            vectors = await self._embedder.embed_passages([piece.embedded for piece in batch])
            passages = [
                Stored(passage_id(document.id, place), piece.title, piece.text)
                for place, piece in enumerate(batch, start)
            ]
            await self._library.extend(document, passages, vectors)
        await self._library.commit(document)

    def _check(self, upload: Upload) -> None:
        for name, value in (("name", upload.source), ("collection", upload.collection)):
            if not value.strip() or len(value) > _MAX_NAME:
                raise InvalidInput(f"has a {name} that is empty or longer than {_MAX_NAME} characters")
            if not value.isprintable():
                raise InvalidInput(f"has a {name} with characters that cannot be shown; rename it")
        if len(upload.data) > self.max_bytes:
            raise InvalidInput(too_large(self.max_bytes))

    def _read(self, upload: Upload) -> tuple[str, int, list[Piece]]:
        if upload.origin == "cloud":
            loaded = replace(plain.load(upload.data), title=upload.title)
        else:
            loaded = load(upload.source, upload.data)
        pieces = list(chunk(loaded, self._embedder.count_tokens, passage_tokens(self._embedder)))
        return loaded.title, loaded.dropped, pieces


def passage_tokens(embedder: Embedder) -> int:
    """How long a passage may be. The rest of the window is for tokens that come out differently where parts join."""
    return embedder.max_tokens * 3 // 4


def failed(source: str, reason: str) -> Ingested:
    return Ingested(source=source, status="FAILED", reason=reason)
