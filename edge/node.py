"""The edge node: a small model, and the files that it knows."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from pathlib import Path

from edge import models
from edge.config import EdgeSettings
from edge.embedder import Embedder
from edge.engine import Engine
from edge.holdings import Library
from edge.ingest.identity import deleted, kept, kept_id
from edge.ingest.ingester import Ingester, Progress
from edge.ingest.watcher import Watcher
from edge.reader import Reader
from edge.retriever import Retriever, embed_whole
from edgewise.errors import InvalidInput
from edgewise.types import (
    CLOUD_INFO,
    Chunk,
    Completion,
    CostBasis,
    Document,
    Findings,
    Ingested,
    Options,
    Passage,
    Privacy,
    Prompt,
    Query,
    Reading,
    Scores,
    SideStatus,
    Text,
    Upload,
)

log = logging.getLogger(__name__)

_PREFIXES = "prefixes"
"""Where evaluated prompts outlive the process, whichever engine has made them."""


class EdgeNode:
    """`open` makes one, `close` frees it. It is a `ports.Edge`, and keeps documents."""

    def __init__(
        self,
        engine: Engine,
        embedder: Embedder,
        library: Library,
        settings: EdgeSettings,
        opened: AsyncExitStack,
        *,
        prefixes: Path,
    ) -> None:
        self.max_document_bytes = settings.max_document_bytes
        self._engine = engine
        self._embedder = embedder
        self._library = library
        # A recording has no machine whose time could be paid for.
        self._usd_per_hour = settings.usd_per_hour if settings.engine != "replay" else None
        self._ingester = Ingester(embedder, library, settings.max_document_bytes)
        self._retriever = Retriever(embedder, library)
        self.reader = Reader(embedder)
        self._opened = opened
        self._prefixes = prefixes

    @classmethod
    async def open(cls, settings: EdgeSettings, data_dir: Path) -> EdgeNode:
        """Load the models and the library of `data_dir/edge`, side by side.

        NotReady when a model is missing, damaged or cannot run here; Conflict when another process has the library.
        """
        async with AsyncExitStack() as opened:
            try:
                async with asyncio.TaskGroup() as group:
                    engine = group.create_task(_open_engine(settings, data_dir / "edge", opened))
                    knowledge = group.create_task(_open_knowledge(settings, data_dir, opened))
            except ExceptionGroup as failure:
                raise failure.exceptions[0] from None
            embedder, library = knowledge.result()
            prefixes = data_dir / "edge" / _PREFIXES
            node = cls(engine.result(), embedder, library, settings, opened.pop_all(), prefixes=prefixes)
            node.watch(settings)
            return node

    def watch(self, settings: EdgeSettings) -> None:
        """Follow the folders of the settings from now on."""
        if settings.watch:
            label = Privacy.PRIVATE if settings.watch_private else Privacy.UNKNOWN
            watcher = Watcher(settings.watch, self._ingester, self._library, settings.watch_collection, label)
            task = asyncio.create_task(watcher.run())
            task.add_done_callback(_tell)
            self._opened.push_async_callback(_ended, task)

    async def close(self) -> None:
        """Running requests get EdgeUnavailable."""
        await self._opened.aclose()

    async def generate(self, prompt: Prompt, options: Options) -> AsyncGenerator[Chunk | Completion]:
        async with aclosing(self._engine.generate(prompt, options)) as events:
            async for event in events:
                yield self._priced(event) if isinstance(event, Completion) else event

    async def score(self, prompt: Prompt, continuations: tuple[str, ...], cache_key: str = "") -> Scores:
        return await self._engine.score(prompt, continuations, cache_key)

    async def tokenize(self, text: str) -> tuple[int, ...]:
        return await self._engine.tokenize(text)

    async def load_adapter(self, name: str) -> str:
        return await self._engine.load_adapter(name)

    async def embed(self, texts: tuple[str, ...]) -> tuple[tuple[float, ...], ...]:
        """One L2-normalised vector a text, of any length."""
        if not all(text.strip() for text in texts):
            raise InvalidInput("an empty text has no embedding; leave it out")
        return tuple([tuple((await embed_whole(self._embedder, text)).tolist()) for text in texts])

    async def retrieve(self, query: Query) -> Findings:
        return await self._retriever.retrieve(query)

    async def read(self, question: Text, passages: tuple[Passage, ...]) -> Reading:
        return await self.reader.read(question.value, [passage.text.value for passage in passages])

    async def ingest(self, upload: Upload, progress: Progress = lambda _: None) -> Ingested:
        """What became of a file; a bad one is FAILED with a reason. `progress` is told what is INGESTING."""
        return await self._ingester.ingest(upload, progress)

    async def keep(self, passages: tuple[Passage, ...], collection: str = CLOUD_INFO) -> None:
        for passage in passages:
            await self.ingest(kept(passage, collection))

    async def drop(self, passages: tuple[Passage, ...], collection: str = CLOUD_INFO) -> int:
        """Delete what `keep` made of these; how many there were."""
        return await deleted(self.delete_document, (kept_id(passage, collection) for passage in passages))

    async def scrub(self) -> None:
        """Overwrite on disk what was deleted, and drop what is kept of earlier prompts."""
        await self._library.scrub()
        await self._engine.forget()
        await asyncio.to_thread(_unlinked, self._prefixes)

    async def documents(self, collection: str = "") -> tuple[Document, ...]:
        """All documents, or those of one collection."""
        return await self._library.documents(collection)

    async def page_of_documents(self, collection: str, after: int, count: int) -> tuple[tuple[Document, ...], int]:
        """The next of them, and after which the next page begins; 0 for the beginning and the end."""
        return await self._library.page(collection, after, count)

    async def delete_document(self, document_id: str) -> None:
        """Forget a document; NotFound when there is none."""
        await self._library.delete(document_id)

    async def status(self) -> SideStatus:
        info, load = self._engine.info, self._engine.load
        documents, passages = await self._library.counts()
        return SideStatus(
            ready=True,
            model=info.model,
            model_hash=info.model_hash,
            label=info.label,
            context_tokens=info.context_tokens,
            parameters=info.parameters,
            documents=documents,
            passages=passages,
            queued=load.queued,
            running=load.running,
            capabilities=info.capabilities,
            adapter=load.adapter,
            adapters=load.adapters,
            max_document_bytes=self.max_document_bytes,
            embedder_hash=self.embedder_hash,
        )

    @property
    def embedder_hash(self) -> str:
        return self._embedder.model_hash

    def _priced(self, completion: Completion) -> Completion:
        """With what the machine's time cost, where the operator has said what an hour costs."""
        timings = completion.timings
        if self._usd_per_hour is None or timings.prompt_s is None or timings.decode_s is None:
            return completion
        cost_usd = self._usd_per_hour * (timings.prompt_s + timings.decode_s) / 3600
        return completion.model_copy(update={"cost_usd": cost_usd, "cost_basis": CostBasis.BILLED})


def _unlinked(directory: Path) -> None:
    for file in directory.glob("*.kv"):
        file.unlink()


def _tell(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        log.error("the watched folders are no longer followed", exc_info=error)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait((task,))


async def _open_engine(settings: EdgeSettings, directory: Path, opened: AsyncExitStack) -> Engine:
    engine: Engine
    if settings.engine == "replay":
        from edge.replay import ReplayEngine

        assert settings.replay_file is not None
        engine = await ReplayEngine.open(settings.replay_file, latency_scale=settings.latency_scale)
    elif settings.engine == "openai_url":
        from edge.openai_url import OpenAIUrlEngine

        engine = await OpenAIUrlEngine.open(settings)
    else:
        from edge.llama.engine import LlamaEngine
        from edge.llama.native import Gpu

        path = await asyncio.to_thread(models.locate, settings.model)
        engine = await LlamaEngine.open(
            path,
            context_tokens=settings.context_tokens,
            parallel=settings.parallel,
            max_queue=settings.max_queue,
            threads=settings.threads,
            flash_attention=settings.flash_attention,
            repack=settings.repack,
            gpu=Gpu(settings.gpu_layers, settings.devices),
            prefix_cache_mib=settings.prefix_cache_mib,
            prefix_directory=directory / _PREFIXES,
            adapter_directory=directory / "adapters",
        )
    opened.push_async_callback(engine.close)
    return engine


async def _open_knowledge(settings: EdgeSettings, data_dir: Path, opened: AsyncExitStack) -> tuple[Embedder, Library]:
    embedder = await asyncio.to_thread(Embedder.open, settings.embedder, settings.embedder_threads, words=True)
    opened.callback(embedder.close)
    library = await Library.open(data_dir / "edge", settings.store, embedder.model_hash, embedder.dimension)
    opened.push_async_callback(library.close)
    return embedder, library
