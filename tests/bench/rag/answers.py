"""What the small model answers: alone, from the right passage, from what it retrieves, among noise, and without answer.

Every arm asks the router, as an app would; only what the edge retrieves is given to it in some.
"""

from __future__ import annotations

import random
import re
import string
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
from edgewise.types import Done, Findings, Grounding, Passage, Privacy, Query, Question, Text, Token
from router.config import RouterSettings
from router.log import Log
from router.privacy import Policy
from router.service import Origin, Router
from tests.bench.rag.filled import Filled
from tests.bench.rag.sets import Asked, Given

_NOISE = 4
_CJK = re.compile(r"[\u3400-\u9fff]")


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


def figures(arm: str, said: Sequence[Said]) -> dict[str, object]:
    groundings = Counter(one.grounding for one in said)
    return {
        "arm": arm,
        "n": len(said),
        "contained": sum(contained(one.text, one.accepted) for one in said) / len(said),
        "f1": sum(f1(one.text, one.accepted) for one in said) / len(said),
        "refused": groundings[Grounding.ABSTAINED] / len(said),
        "own_knowledge": groundings[Grounding.OWN_KNOWLEDGE] / len(said),
        "s_per_question": sum(one.seconds for one in said) / len(said),
    }


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
        self._router = Router(cast("Edge", self._edge), NoCloud(), records, Policy("hold"), settings)

    async def arm(self, name: str, filled: Filled, asked: Sequence[Asked]) -> list[Said]:
        return [await self._ask(name, filled, one) for one in asked]

    async def unanswerable(self, filled: Filled, asked: Sequence[Asked]) -> list[Said]:
        """Every question while all of its article is gone: what is not refused is made up."""
        said: list[Said] = []
        for group in dict.fromkeys(one.group for one in asked):
            article = [place for place, passage in enumerate(filled.given) if passage.group == group]
            async with filled.without(article):
                said += await self.arm("unanswerable", filled, [one for one in asked if one.group == group])
        return said

    async def _ask(self, arm: str, filled: Filled, asked: Asked) -> Said:
        self._edge.retriever = filled.retriever if arm in {"retrieved", "unanswerable"} else None
        self._edge.findings = _findings(arm, filled.given, asked)
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


def _findings(arm: str, given: Sequence[Given], asked: Asked) -> Findings:
    """The gold passages, and for noise before them others, those of the same article first."""
    gold = [given[place] for place in asked.gold]
    noise: list[Given] = []
    if arm == "noisy":
        chance = random.Random(asked.text)
        others = [one for one in given if one not in gold]
        chance.shuffle(others)
        noise = sorted(others, key=lambda one: one.group != asked.group)[:_NOISE]
    passages = tuple(_passage(one, place) for place, one in enumerate((*noise, *gold)))
    return Findings(passages=passages, answerable=1.0)


def _passage(given: Given, place: int) -> Passage:
    text = Text(value=given.text, label=Privacy.PUBLIC, sources=(given.title,))
    return Passage(id=f"given:{place}", text=text, source=given.title, title=given.title, score=1.0)


def contained(answer: str, accepted: Sequence[str]) -> bool:
    """Whether an accepted string is in the answer, by SQuAD's normalisation."""
    return any(normal(one) in normal(answer) for one in accepted if normal(one))


def f1(answer: str, accepted: Sequence[str]) -> float:
    """SQuAD's token F1, the best over the accepted strings; every CJK character is a token."""
    return max((_f1(_tokens(answer), _tokens(one)) for one in accepted), default=0.0)


def _f1(said: list[str], wanted: list[str]) -> float:
    shared = sum((Counter(said) & Counter(wanted)).values())
    return 2 * shared / (len(said) + len(wanted)) if shared else 0.0


def _tokens(text: str) -> list[str]:
    return _CJK.sub(lambda found: f" {found[0]} ", normal(text)).split()


def normal(text: str) -> str:
    text = "".join(char for char in text.lower() if char not in string.punctuation)
    return " ".join(re.sub(r"\b(?:a|an|the)\b", " ", text).split())


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
