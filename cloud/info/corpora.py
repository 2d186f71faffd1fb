"""Passages of the gateway's own corpora, which are public by the operator's choice, as cloud info."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Self

from cloud.config import CloudSettings
from cloud.info import rfc3339, within
from edgewise.errors import InvalidInput, NotReady
from edgewise.types import Document, Findings, Passage, Privacy, Query, SideStatus, Upload

if TYPE_CHECKING:
    from edge.embedder import Embedder
    from edge.holdings import Library
    from edge.ingest.ingester import Ingester
    from edge.retriever import Retriever

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CorpusFile:
    """`corpus` is the name of the path in the settings; `source`, for citations, begins with it and says no more."""

    path: Path
    corpus: str
    source: str


class Corpora:
    """`open` reads the corpora, `look_up` finds passages of them. The collections of a query are names of corpora."""

    name = "the corpora"

    def __init__(
        self, retriever: Retriever, documents: Sequence[Document], as_of: Mapping[str, str], lifetime: timedelta
    ) -> None:
        self.documents = len(documents)
        self.passages = sum(document.passages for document in documents)
        self._retriever = retriever
        self._as_of = as_of
        self._lifetime = lifetime

    @classmethod
    async def open(
        cls, settings: CloudSettings, directory: Path, embedder: Embedder, resources: AsyncExitStack
    ) -> Self:
        """Makes the store in `directory` follow the corpora: new files in, changed ones again, missing ones out.

        A file without usable text is left out with a line in the log. NotReady names a corpus that is not there.
        """
        from edge.holdings import Library
        from edge.ingest.folder import MAX_BYTES
        from edge.ingest.ingester import Ingester
        from edge.retriever import Retriever

        files = await asyncio.to_thread(lambda: tuple(corpus_files(settings.corpora)))
        library = await Library.open(directory, "chroma", embedder.model_hash, embedder.dimension)
        resources.push_async_callback(library.close)
        documents, as_of = await _follow(files, Ingester(embedder, library, MAX_BYTES), library)
        return cls(Retriever(embedder, library), documents, as_of, timedelta(settings.corpora_days))

    async def look_up(self, query: Query, timeout_s: float) -> Findings:
        async with within(timeout_s):
            found = await self._retriever.retrieve(query)
        expires_at = rfc3339(datetime.now(UTC) + self._lifetime)
        passages = tuple(self._as_info(passage, expires_at) for passage in found.passages)
        return found.model_copy(update={"passages": passages, "cost_usd": 0.0})

    def most_usd(self, _: SideStatus) -> float:
        return 0.0

    def _as_info(self, passage: Passage, expires_at: str) -> Passage:
        as_of = self._as_of.get(passage.source, passage.as_of)
        return passage.model_copy(update={"origin": "cloud", "as_of": as_of, "expires_at": expires_at})


def corpus_files(corpora: Sequence[Path]) -> Iterator[CorpusFile]:
    """The files of the corpora that have a loader; what else is refused there is a line in the log.

    NotReady names a corpus that is not there, or cannot be read, and two of one name.
    """
    from edge.ingest.folder import MAX_BYTES, File, Refused, walk

    roots = tuple(dict.fromkeys(corpus.expanduser().resolve() for corpus in corpora))
    for root in roots:
        if sum(root.name == other.name for other in roots) > 1:
            raise NotReady(
                f"cloud.corpora: two are called {root.name}, and citations could not tell them apart; rename one"
            )
        for found in walk(root, root.name, MAX_BYTES):
            if isinstance(found, File):
                yield CorpusFile(found.path, root.name, found.source)
            elif isinstance(found, Refused) and found.source == root.name:
                raise NotReady(f"cloud.corpora: {root} {found.reason}")
            elif isinstance(found, Refused):
                _leave_out(found.source, found.reason)


async def _follow(
    files: Sequence[CorpusFile], ingester: Ingester, library: Library
) -> tuple[tuple[Document, ...], dict[str, str]]:
    """The documents after ingesting what is new and forgetting what is gone, and when each source was last changed."""
    as_of: dict[str, str] = {}
    for file in files:
        try:
            upload, changed = await asyncio.to_thread(_read, file)
        except InvalidInput as error:
            _leave_out(file.source, error.message)
            continue
        done = await ingester.ingest(upload)
        if done.status == "FAILED":
            _leave_out(file.source, done.reason)
        else:
            as_of[file.source] = changed
    for document in await library.documents():
        if document.source not in as_of:
            await library.delete(document.id)
    return await library.documents(), as_of


def _leave_out(source: str, reason: str) -> None:
    log.warning("corpus file %s was left out: it %s", source, reason)


def _read(file: CorpusFile) -> tuple[Upload, str]:
    """InvalidInput when the file cannot be read, or changes meanwhile."""
    from edge.ingest.folder import MAX_BYTES, opened

    with opened(file.path, MAX_BYTES) as (stream, size):
        data, changed = stream.read(size), os.fstat(stream.fileno()).st_mtime
    upload = Upload(source=file.source, data=data, collection=file.corpus, label=Privacy.PUBLIC)
    return upload, rfc3339(datetime.fromtimestamp(changed, UTC))
