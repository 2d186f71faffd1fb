"""What the small model answers: alone, from the right passages, from what it retrieves, among noise, and without any.

Every arm asks the router, as an app would; only what the edge retrieves is given to it in some.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from cloud.client import NoCloud
from edge.node import EdgeNode
from edge.ranking.models import Models
from edge.reader.ranker import Ranker
from edge.retriever import Retriever
from edgewise.ports import Edge
from edgewise.types import Done, Findings, Grounding, Query, Question, Token
from router.answering import Origin
from router.compare.scorers import Key, contains, f1
from router.config import RouterSettings
from router.egress import Boundary, Policy
from router.log import Log
from router.service import Router
from tests.bench.rag.filled import Filled
from tests.bench.rag.sets import Asked, Given
from tests.bench.rag.shown import contradictions, findings, found

Row = dict[str, object]


class _Shown:
    """An edge that retrieves what it is shown."""

    def __init__(self, node: EdgeNode) -> None:
        self._node = node
        self.findings = Findings()
        self.retriever: Retriever | None = None

    async def retrieve(self, query: Query) -> Findings:
        return await self.retriever.retrieve(query) if self.retriever else self.findings

    def __getattr__(self, name: str) -> Any:
        return getattr(self._node, name)


@dataclass(frozen=True, slots=True)
class Said:
    """An answer, where it stands, how long it took, and what would have been right."""

    text: str
    grounding: Grounding
    seconds: float
    accepted: tuple[str, ...]


def figures(arm: str, said: Sequence[Said]) -> Row:
    groundings = Counter(one.grounding for one in said)
    return {
        "arm": arm,
        "n": len(said),
        "contained": _mean([contains(one.text, Key(one.accepted)) for one in said]),
        "f1": _mean([f1(one.text, Key(one.accepted)) for one in said]),
        "refused": groundings[Grounding.ABSTAINED] / len(said),
        "own_knowledge": groundings[Grounding.OWN_KNOWLEDGE] / len(said),
        "s_per_question": _mean([one.seconds for one in said]),
    }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


@dataclass(frozen=True, slots=True)
class Crossed:
    """For each article the models and the ranker that never saw its questions."""

    models: Mapping[str, Models]
    rankers: Mapping[str, Ranker]


class Answerer:
    """`crossed` takes the place of the shipped weights."""

    def __init__(self, node: EdgeNode, records: Log, settings: RouterSettings, crossed: Crossed | None) -> None:
        self._node = node
        self._crossed = crossed
        self._edge = _Shown(node)
        holding = Boundary.of_recordings(Policy("hold"))
        self._router = Router(cast("Edge", self._edge), NoCloud(), records, holding, settings)

    async def measure(self, filled: Filled, asked: Sequence[Asked]) -> AsyncIterator[Row]:
        """A row an arm. Questions that need two passages are also shown one; others lose theirs, or find it changed."""
        needs_several = any(len(one.gold) > 1 for one in asked)
        for arm in ("closed", "oracle", *(("half",) if needs_several else ()), "retrieved", "noisy"):
            yield figures(arm, [await self._ask(arm, filled, one) for one in asked])
        if not needs_several:
            yield figures("unanswerable", await self._unanswerable(filled, asked))
            changed = contradictions(filled.given, asked)
            said = [await self._ask("counterfactual", filled, one.asked, one.passage) for one in changed]
            true = [contains(answer.text, Key(one.true)) for answer, one in zip(said, changed, strict=True)]
            yield figures("counterfactual", said) | {"remembered": _mean(true)}

    async def _unanswerable(self, filled: Filled, asked: Sequence[Asked]) -> list[Said]:
        """Every question while all of its article is gone: what is not refused is made up."""
        said: list[Said] = []
        for group in dict.fromkeys(one.group for one in asked):
            article = [place for place, passage in enumerate(filled.given) if passage.group == group]
            async with filled.without(article):
                said += [await self._ask("unanswerable", filled, one) for one in asked if one.group == group]
        return said

    async def _ask(self, arm: str, filled: Filled, asked: Asked, passage: Given | None = None) -> Said:
        self._edge.retriever = filled.retriever if arm in {"retrieved", "unanswerable"} else None
        self._edge.findings = found([passage]) if passage else findings(arm, filled.given, asked)
        if self._crossed:
            fitted = self._crossed.models[asked.group]
            filled.retriever.models = lambda _: fitted
            self._node.reader.ranker = self._crossed.rankers[asked.group]
        mode = "edge_only" if arm == "closed" else "edge_only+rag"
        started = time.perf_counter()
        text, grounding = "", Grounding.ABSTAINED
        async for event in self._router.ask(Question(text=asked.text, mode=mode, hold=True), Origin(isolated=True)):
            if isinstance(event, Token):
                text += event.text
            elif isinstance(event, Done):
                grounding = event.grounding
        return Said(text, grounding, time.perf_counter() - started, asked.answers)

    async def close(self) -> None:
        await self._router.close()


@asynccontextmanager
async def answering(
    node: EdgeNode, directory: Path, settings: RouterSettings, crossed: Crossed | None
) -> AsyncIterator[Answerer]:
    records = await Log.open(f"sqlite:///{directory / 'records.db'}")
    answerer = Answerer(node, records, settings, crossed)
    try:
        yield answerer
    finally:
        await answerer.close()
        await records.close()
