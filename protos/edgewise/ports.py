"""What an edge or a cloud must do. Either side may be this process, a child process or a server far away."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol, TypeVar

from edgewise.types import (
    CLOUD_INFO,
    Chunk,
    Completion,
    Document,
    Findings,
    Options,
    Passage,
    Prompt,
    Query,
    Reading,
    Released,
    Scores,
    SideStatus,
    Text,
)

PromptT_contra = TypeVar("PromptT_contra", contravariant=True)
QueryT_contra = TypeVar("QueryT_contra", contravariant=True)


class Generator(Protocol[PromptT_contra]):
    def generate(self, prompt: PromptT_contra, options: Options) -> AsyncGenerator[Chunk | Completion]:
        """Chunks as they come, then one Completion, or an EdgewiseError; closing it stops the work."""
        ...


class Retriever(Protocol[QueryT_contra]):
    async def retrieve(self, query: QueryT_contra) -> Findings:
        """The passages nearest to the query, best first; none when nothing is there."""
        ...


class Side(Generator[PromptT_contra], Retriever[QueryT_contra], Protocol[PromptT_contra, QueryT_contra]):
    """A place that can answer."""

    async def status(self) -> SideStatus: ...


class Scorer(Protocol):
    async def score(self, prompt: Prompt, continuations: tuple[str, ...], cache_key: str = "") -> Scores:
        """How likely each continuation is after the prompt; the cache key is as in Options."""
        ...


class Embedder(Protocol):
    async def embed(self, texts: tuple[str, ...]) -> tuple[tuple[float, ...], ...]:
        """One L2-normalised vector a text."""
        ...


class Reader(Protocol):
    async def read(self, question: Text, passages: tuple[Passage, ...]) -> Reading:
        """Which sentences of the passages matter to the question, and which of their words answer it."""
        ...


class Keeper(Protocol):
    async def keep(self, passages: tuple[Passage, ...], collection: str = CLOUD_INFO) -> None:
        """Remember what the cloud informed of, so that the next such question need not ask for it."""
        ...


class Forgetful(Protocol):
    """Where documents are, and what was kept of the cloud's information."""

    async def documents(self, collection: str = "") -> tuple[Document, ...]:
        """All documents, or those of one collection."""
        ...

    async def delete_document(self, document_id: str) -> None:
        """NotFound when there is none."""
        ...

    async def drop(self, passages: tuple[Passage, ...], collection: str = CLOUD_INFO) -> int:
        """Delete what `keep` made of these; how many there were."""
        ...

    async def scrub(self) -> None:
        """Overwrite on disk what was deleted, and drop what is kept of earlier prompts."""
        ...


class Edge(Side[Prompt, Query], Scorer, Embedder, Reader, Keeper, Protocol):
    """The device: it sees everything, so its ports take plain prompts."""


class Cloud(Side[Released[Prompt], Released[Query]], Protocol):
    """Off the device: its ports take only what was released."""

    async def retrieve(self, query: Released[Query], timeout_s: float | None = None) -> Findings:
        """As `Retriever.retrieve`: what is found in time, and the reason why something is missing."""
        ...
