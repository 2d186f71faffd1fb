"""A look-up in everything that the gateway may tell: all sources at once, merged, with one price."""

from __future__ import annotations

import asyncio
import copy
import logging
import time
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Self

from cloud.backends import Backend
from cloud.config import CloudSettings
from cloud.info import Source
from edge.ingest.cleaning import clean
from edgewise.errors import EdgewiseError, InvalidInput
from edgewise.types import CostBasis, Findings, Passage, Query, SideStatus

if TYPE_CHECKING:
    from cloud.info.corpora import Corpora
    from cloud.info.facts import Facts

log = logging.getLogger(__name__)

_WAITED = 0.8  # of the time that the caller gives: the rest is for weighing what came, and for the way back


class CloudInfo:
    """`open` makes one, from what the settings ask for; of nothing, nothing is found and nothing loaded.

    A query with collections, which are names of corpora, or with a source is one for the corpora alone.
    """

    def __init__(
        self,
        corpora: Corpora | None,
        elsewhere: Sequence[Source],
        price: tuple[float, CostBasis],
        timeout_s: float,
        resources: AsyncExitStack,
        *,
        facts: Facts | None = None,
    ) -> None:
        self._corpora = corpora
        self._elsewhere = tuple(elsewhere)
        self._facts = facts
        self._usd_per_fetch, self._basis = price
        self._timeout_s = timeout_s
        self._resources = resources

    @classmethod
    async def open(cls, settings: CloudSettings, directory: Path, backend: Backend) -> Self:
        """Makes the store in `directory` follow the corpora. NotReady names what is not there, or cannot be read."""
        price = settings.usd_per_fetch, (await backend.status()).cost_basis or CostBasis.BILLED
        async with AsyncExitStack() as resources:
            corpora: Corpora | None = None
            elsewhere: list[Source] = []
            facts: Facts | None = None
            if settings.corpora or settings.web_search_url or settings.facts:
                from cloud.info.corpora import Corpora
                from cloud.info.scales import Scales
                from edge.embedder import Embedder

                embedder = await asyncio.to_thread(Embedder.open, settings.embedder)
                resources.callback(embedder.close)
                if settings.corpora:
                    corpora = await Corpora.open(settings, directory, embedder, resources)
                scales = Scales(embedder)
                if settings.web_search_url:
                    from cloud.info.searxng import SearXNG
                    from cloud.info.web import Web

                    searxng = SearXNG(settings)
                    resources.push_async_callback(searxng.close)
                    elsewhere.append(Web(searxng, scales, settings.usd_per_search, timedelta(settings.web_days)))
                if settings.facts:
                    from cloud.info.facts import Facts

                    facts = Facts(backend, scales, settings.facts, timedelta(settings.facts_days))
            return cls(corpora, elsewhere, price, settings.info_timeout_s, resources.pop_all(), facts=facts)

    def with_model(self, model: Backend) -> CloudInfo:
        """The same, with facts that `model` knows; it is closed with this one."""
        if self._facts is None:
            return self
        other = copy.copy(self)
        other._facts = self._facts.with_model(model)
        return other

    @property
    def counts(self) -> dict[str, int]:
        """Of documents and passages in the corpora."""
        corpora = self._corpora
        return {"documents": corpora.documents, "passages": corpora.passages} if corpora else {}

    def most_usd(self, backend: SideStatus) -> float | None:
        """The most that one look-up may cost; None is unknown."""
        parts = [source.most_usd(backend) for source in self._beside_corpora]
        return _sum((self._usd_per_fetch, *parts))

    async def retrieve(self, query: Query, timeout_s: float | None = None) -> Findings:
        """What the sources have found in time. One that fails takes no other down: it is missing, with a reason."""
        started = time.monotonic()
        if not clean(query.text.value).strip():
            raise InvalidInput("the query is empty; ask for something")
        wait = self._timeout_s if timeout_s is None else min(self._timeout_s, _WAITED * timeout_s)
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(_look_up(source, query, wait)) for source in self._sources(query)]
        parts = tuple(task.result() for task in asked)
        cost = _sum((self._usd_per_fetch, *(part.cost_usd for part in parts)))
        return Findings(
            passages=merged((passage for part in parts for passage in part.passages), query.k),
            answerable=max((part.answerable for part in parts if part.answerable is not None), default=None),
            cost_usd=cost,
            cost_basis=None if cost is None else CostBasis.weakest((self._basis, *(part.cost_basis for part in parts))),
            elapsed_s=time.monotonic() - started,
            reason="; ".join(part.reason for part in parts if part.reason),
        )

    async def close(self) -> None:
        await self._resources.aclose()

    def _sources(self, query: Query) -> tuple[Source, ...]:
        corpora = () if self._corpora is None else (self._corpora,)
        return corpora if query.collections or query.source else (*corpora, *self._beside_corpora)

    @property
    def _beside_corpora(self) -> tuple[Source, ...]:
        return self._elsewhere if self._facts is None else (*self._elsewhere, self._facts)


def merged(passages: Iterable[Passage], k: int) -> tuple[Passage, ...]:
    """The best k. Of two that say the same in the same words the better one stays; of equals, the one before."""
    kept: dict[str, Passage] = {}
    for passage in sorted(passages, key=lambda passage: passage.score, reverse=True):
        kept.setdefault(" ".join(passage.text.value.casefold().split()), passage)
    return tuple(kept.values())[:k]


async def _look_up(source: Source, query: Query, timeout_s: float) -> Findings:
    try:
        found = await source.look_up(query, timeout_s)
    except EdgewiseError as error:
        found = Findings(cost_usd=0.0, reason=error.message)
    if not found.reason:
        return found
    log.warning("cloud info without %s: %s", source.name, found.reason)
    return found.model_copy(update={"reason": f"without {source.name}: {found.reason}"})


def _sum(costs: Sequence[float | None]) -> float | None:
    known = [cost for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) else None
