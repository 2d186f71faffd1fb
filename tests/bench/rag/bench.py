"""One set after the other, in all arms that it can be measured in."""

from __future__ import annotations

import asyncio
import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from edge import models
from edge.config import EdgeSettings, StoreName
from edge.embedder import Embedder
from edge.node import EdgeNode
from edge.ranking.models import WEIGHTS, Models
from edge.reader.ranker import projection
from router.config import RouterSettings
from tests.bench.rag import retrieval, speed
from tests.bench.rag.answers import Crossed, answering
from tests.bench.rag.evidence import Case, with_passages, without_articles, without_passages
from tests.bench.rag.filled import Filled, filled
from tests.bench.rag.fit_reader import cross_fitted, gather
from tests.bench.rag.retrieval import Judged
from tests.bench.rag.sets import Given, Questions, part

Row = dict[str, object]
Rows = list[Row]
ARMS = ("retrieval", "noanswer", "answers", "speed")
_INGESTED = 500
_WATCHED = 30
_STORES: tuple[StoreName, ...] = ("chroma", "sqlite")


class Bench:
    """`rows` fill up; `limit` is how many questions of a set are asked, 0 for all."""

    def __init__(self, arms: Sequence[str], limit: int) -> None:
        self.rows: Rows = []
        self._arms = arms
        self._limit = limit
        self._embedders: dict[str, Embedder] = {}
        self._evidence_so_far: list[Case] = []
        self._fitted_on = set(json.loads(WEIGHTS.read_text(encoding="utf-8"))["fitted_on"].values())

    def close(self) -> None:
        for embedder in self._embedders.values():
            embedder.close()

    def has_seen(self, path: Path) -> bool:
        """Whether the shipped weights were fitted on this file."""
        return hashlib.sha256(path.read_bytes()).hexdigest() in self._fitted_on

    async def measure(
        self,
        questions: Questions,
        others: Sequence[Given],
        embedder: str,
        *,
        seen: bool,
        answers: bool = False,
        traditional: bool = False,
    ) -> None:
        """All arms of a set, with one embedder; `traditional` asks in Traditional characters."""
        asked = part(_traditional(questions) if traditional else questions, self._limit)
        names = {"set": asked.name, "others": len(others), "embedder": embedder}
        names["weights"] = "fitted on other articles" if seen else "shipped"
        with tempfile.TemporaryDirectory() as folder:
            async with filled(self._embedder(embedder), asked.passages, others, Path(folder)) as there:
                cases = await self._evidence(there, asked, seen=seen)
                fitted = retrieval.cross_fitted(cases, self._evidence_so_far) if seen else None
                self._evidence_so_far += [] if traditional else cases
                self._judge(names, retrieval.judged(cases, fitted))
                if "speed" in self._arms:
                    times = await speed.query_ms(there.retriever, asked.asked)
                    self._add("query", names, speed.percentiles(times) | {"passages": len(there.given)})
                if "answers" in self._arms and answers:
                    await self._answer(names, there, asked, Path(folder), fitted)
        self._say(names)

    async def sizes(self, given: Sequence[Given], asked: Questions, passages: int) -> None:
        """How fast files become passages, and what a large synthetic library weighs in each store."""
        if "speed" not in self._arms:
            return
        with tempfile.TemporaryDirectory() as folder:
            embedder = self._embedder(models.MINILM.name)
            self._add(
                "ingest",
                {"embedder": embedder.name},
                await speed.ingested_per_s(embedder, given[:_INGESTED], Path(folder)),
            )
            watched = await speed.watched_s(embedder, given[:_WATCHED], Path(folder) / "followed")
            self._add("watched", {"embedder": embedder.name}, watched)
            for store in _STORES:
                measured = await asyncio.to_thread(speed.large, store, passages, given, asked.asked, Path(folder))
                self._add("large", {"store": store, "passages": passages, "synthetic": True}, measured)

    async def _evidence(self, there: Filled, asked: Questions, *, seen: bool) -> list[Case]:
        if not seen and not {"retrieval", "noanswer"} & set(self._arms):
            return []
        cases = await with_passages(there, asked.asked)
        if all(len(one.gold) == 1 for one in asked.asked) and ("noanswer" in self._arms or seen):
            cases += await without_passages(there, asked.asked)
            cases += await without_articles(there, asked.asked)
        return cases

    def _judge(self, names: Row, done: Sequence[Judged]) -> None:
        if "retrieval" in self._arms:
            for row in retrieval.ranks(done):
                self._add("retrieval", names, row)
        if "noanswer" in self._arms and any(one.case.condition != "there" for one in done):
            for row in retrieval.gate(done, RouterSettings().answerable):
                self._add("noanswer", names, row)

    async def _answer(
        self, names: Row, there: Filled, asked: Questions, folder: Path, fitted: Mapping[str, Models] | None
    ) -> None:
        settings = EdgeSettings.model_validate({"embedder": names["embedder"]})
        node = await EdgeNode.open(settings, folder / "node")
        try:
            crossed = None
            if fitted:
                examples = await gather(there, node.reader, asked.asked, projection())
                crossed = Crossed(fitted, cross_fitted(examples))
            async with answering(node, folder, RouterSettings(), crossed) as answerer:
                async for row in answerer.measure(there, asked.asked):
                    self._add("answers", names, row)
        finally:
            await node.close()

    def _add(self, arm: str, names: Row, row: Row) -> None:
        self.rows.append({"measured": arm} | names | row)

    def _say(self, names: Row) -> None:
        print(f"measured {', '.join(str(value) for value in names.values())}", flush=True)

    def _embedder(self, name: str) -> Embedder:
        if name not in self._embedders:
            models.ensure(name)
            self._embedders[name] = Embedder.open(name)
        return self._embedders[name]


def _traditional(questions: Questions) -> Questions:
    """The same questions in Traditional characters, over passages as they are."""
    import opencc

    convert = opencc.OpenCC("s2t").convert
    asked = tuple(replace(one, text=str(convert(one.text))) for one in questions.asked)
    return Questions(f"{questions.name} asked in Traditional", questions.passages, asked)
