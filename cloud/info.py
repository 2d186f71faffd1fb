"""Cloud info: passages from the gateway's own corpora, which are public by the operator's choice."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

from cloud.config import CloudSettings
from edgewise.errors import NotReady
from edgewise.types import CostBasis, Document, Findings, Passage, Privacy, Query, Upload

if TYPE_CHECKING:
    from edge.embedder import Embedder
    from edge.ingest.ingester import Ingester
    from edge.retriever import Retriever
    from edge.store import Store

log = logging.getLogger(__name__)

_MAX_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class CorpusFile:
    """`corpus` is the name of the path in the settings; `source`, for citations, begins with it and says no more."""

    path: Path
    corpus: str
    source: str


class CloudInfo:
    """`open` reads the corpora, `retrieve` looks them up. Without corpora nothing is found, and nothing is loaded.

    The collections of a query are names of corpora.
    """

    def __init__(
        self,
        retriever: Retriever | None,
        documents: Sequence[Document],
        as_of: Mapping[str, str],
        price: tuple[float, CostBasis | None],
        resources: AsyncExitStack,
    ) -> None:
        self.documents = len(documents)
        self.passages = sum(document.passages for document in documents)
        self._retriever = retriever
        self._as_of = as_of
        self._price = price
        self._resources = resources

    @classmethod
    async def open(cls, settings: CloudSettings, directory: Path, basis: CostBasis | None) -> Self:
        """Makes the store in `directory` follow the corpora: new files in, changed ones again, missing ones out.

        A file without usable text is left out with a line in the log. NotReady names a corpus that is not there.
        """
        price = (settings.usd_per_fetch, basis)
        files = await asyncio.to_thread(lambda: tuple(corpus_files(settings.corpora)))
        async with AsyncExitStack() as resources:
            if not settings.corpora:
                return cls(None, (), {}, price, resources.pop_all())
            from edge.ingest.ingester import Ingester
            from edge.retriever import Retriever

            embedder, store = await _open_store(directory, resources)
            documents, as_of = await _follow(files, Ingester(embedder, store, _MAX_BYTES), store)
            return cls(Retriever(embedder, store), documents, as_of, price, resources.pop_all())

    async def retrieve(self, query: Query) -> Findings:
        started = time.monotonic()
        found = (await self._retriever.retrieve(query)).passages if self._retriever else ()
        usd, basis = self._price
        return Findings(
            passages=tuple(self._as_info(passage) for passage in found),
            cost_usd=usd,
            cost_basis=basis,
            elapsed_s=time.monotonic() - started,
        )

    async def close(self) -> None:
        await self._resources.aclose()

    def _as_info(self, passage: Passage) -> Passage:
        return passage.model_copy(update={"origin": "cloud", "as_of": self._as_of.get(passage.source, passage.as_of)})


def corpus_files(corpora: Sequence[Path]) -> Iterator[CorpusFile]:
    """The files of the corpora, hidden ones excepted.

    NotReady names a path that is not there, or cannot be read, and two corpora of one name.
    """
    roots = tuple(dict.fromkeys(corpus.expanduser().resolve() for corpus in corpora))
    for root in roots:
        if sum(root.name == other.name for other in roots) > 1:
            raise NotReady(
                f"cloud.corpora: two are called {root.name}, and citations could not tell them apart; rename one"
            )
        if root.is_file():
            yield CorpusFile(root, root.name, root.name)
            continue
        try:
            inside = sorted(path for path in root.rglob("*") if path.is_file()) if root.is_dir() else None
        except OSError as error:
            raise NotReady(f"cloud.corpora: {root} cannot be read: {error.strerror}") from None
        if inside is None:
            raise NotReady(f"cloud.corpora: {root} is not there; correct the path")
        for path in inside:
            below = path.relative_to(root)
            if not any(part.startswith(".") for part in below.parts):
                yield CorpusFile(path, root.name, f"{root.name}/{below.as_posix()}")


async def _open_store(directory: Path, resources: AsyncExitStack) -> tuple[Embedder, Store]:
    from edge.embedder import Embedder
    from edge.store import Store

    embedder = await asyncio.to_thread(Embedder.open)
    resources.callback(embedder.close)
    store = await Store.open(directory, embedder.model_hash, embedder.dimension)
    resources.push_async_callback(store.close)
    return embedder, store


async def _follow(
    files: Sequence[CorpusFile], ingester: Ingester, store: Store
) -> tuple[tuple[Document, ...], dict[str, str]]:
    """The documents after ingesting what is new and forgetting what is gone, and when each source was last changed."""
    as_of: dict[str, str] = {}
    for file in files:
        upload, changed = await asyncio.to_thread(_read, file)
        done = await ingester.ingest(upload)
        if done.status == "FAILED":
            log.warning("corpus file %s was left out: it %s", file.source, done.reason)
        else:
            as_of[file.source] = changed
    for document in await store.documents():
        if document.source not in as_of:
            await store.delete(document.id)
    return await store.documents(), as_of


def _read(file: CorpusFile) -> tuple[Upload, str]:
    try:
        data, changed = file.path.read_bytes(), file.path.stat().st_mtime
    except OSError as error:
        raise NotReady(f"cloud.corpora: {file.path} cannot be read: {error.strerror}") from None
    upload = Upload(source=file.source, data=data, collection=file.corpus, label=Privacy.PUBLIC)
    return upload, datetime.fromtimestamp(changed, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
