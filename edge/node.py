"""The edge node: a small model, and the files that it knows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from pathlib import Path

from edge import models
from edge.config import EdgeSettings
from edge.embedder import Embedder
from edge.engine import Engine
from edge.ingest.ingester import Ingester
from edge.retriever import Retriever, embed_whole
from edge.store import Store
from edgewise.errors import InvalidInput
from edgewise.types import (
    Chunk,
    Completion,
    CostBasis,
    Document,
    Findings,
    Ingested,
    Options,
    Prompt,
    Query,
    Scores,
    SideStatus,
    Upload,
)


class EdgeNode:
    """`open` makes one, `close` frees it. It is a `ports.Edge`, and keeps documents."""

    def __init__(
        self, engine: Engine, embedder: Embedder, store: Store, settings: EdgeSettings, opened: AsyncExitStack
    ) -> None:
        self.max_document_bytes = settings.max_document_bytes
        self._engine = engine
        self._embedder = embedder
        self._store = store
        # A recording has no machine whose time could be paid for.
        self._usd_per_hour = settings.usd_per_hour if settings.engine != "replay" else None
        self._ingester = Ingester(embedder, store, settings.max_document_bytes)
        self._retriever = Retriever(embedder, store)
        self._opened = opened

    @classmethod
    async def open(cls, settings: EdgeSettings, data_dir: Path) -> EdgeNode:
        """Load the models and the store of `data_dir/edge`, side by side.

        NotReady when a model is missing, damaged or cannot run here; Conflict when another process has the store.
        """
        async with AsyncExitStack() as opened:
            try:
                async with asyncio.TaskGroup() as group:
                    engine = group.create_task(_open_engine(settings, data_dir / "edge", opened))
                    knowledge = group.create_task(_open_knowledge(settings, data_dir, opened))
            except ExceptionGroup as failure:
                raise failure.exceptions[0] from None
            embedder, store = knowledge.result()
            return cls(engine.result(), embedder, store, settings, opened.pop_all())

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

    async def ingest(self, upload: Upload) -> Ingested:
        """What became of a file; a bad one is FAILED with a reason."""
        return await self._ingester.ingest(upload)

    async def documents(self, collection: str = "") -> tuple[Document, ...]:
        """All documents, or those of one collection."""
        return await self._store.documents(collection)

    async def delete_document(self, document_id: str) -> None:
        """Forget a document; NotFound when there is none."""
        await self._store.delete(document_id)

    async def status(self) -> SideStatus:
        info, load = self._engine.info, self._engine.load
        documents, passages = await self._store.counts()
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
        from edge.llama.machine import selftest
        from edge.llama.native import Gpu

        path = await asyncio.to_thread(models.locate, settings.model)
        await selftest.check(path, repack=settings.repack)
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
            prefix_directory=directory / "prefixes",
            adapter_directory=directory / "adapters",
        )
    opened.push_async_callback(engine.close)
    return engine


async def _open_knowledge(settings: EdgeSettings, data_dir: Path, opened: AsyncExitStack) -> tuple[Embedder, Store]:
    directory = await asyncio.to_thread(models.locate, settings.embedder)
    embedder = await asyncio.to_thread(Embedder.open, directory, settings.embedder_threads)
    opened.callback(embedder.close)
    store = await Store.open(data_dir / "edge", embedder.model_hash, embedder.dimension)
    opened.push_async_callback(store.close)
    return embedder, store
