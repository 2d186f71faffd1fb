"""Files that may hold a word, and a device that knows, asks and keeps marked words."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from edge.config import EdgeSettings, StoreName
from edge.node import EdgeNode
from edgewise.types import Passage, Question, Unwanted
from router.answering import Origin
from router.apps import NO_APPS, Apps
from router.config import RouterSettings
from router.egress import AuditLog, Boundary, Policy
from router.experiments.live import Experiments
from router.forgetting import Forgetting
from router.log import Log
from router.service import Router, edge_answers_for_itself
from tests.arbiters import an_arbiter
from tests.routers import Heard, a_cloud, log_url
from tests.sides import FakeCloud, passage

SECRET, OTHER = "Quillamark", "Zephyrmark"


def holding(directory: Path, word: str) -> list[str]:
    """The files below a directory that have a word in them, however it is written."""
    wanted = [form.encode() for form in (word, word.lower(), word.upper())]
    found = []
    for path in directory.rglob("*"):
        with suppress(FileNotFoundError):  # a journal that was closed a moment ago
            if path.is_file() and any(form in path.read_bytes() for form in wanted):
                found.append(str(path.relative_to(directory)))
    return sorted(found)


def note(word: str) -> bytes:
    return f"# The {word} workshop\n\nThe head of the {word} workshop is Odile {word}son.\n".encode()


def asked(word: str) -> str:
    return f"Who is the head of the {word} workshop?"


@dataclass(frozen=True, slots=True)
class Device:
    """A router over a real edge, whose model is a recording of nothing, and a scripted cloud."""

    directory: Path
    router: Router
    log: Log
    edge: EdgeNode
    cloud: FakeCloud
    forgetting: Forgetting

    async def ask(self, text: str, mode: str = "edge_only+rag", app: str = "", **given: object) -> Heard:
        question = Question.model_validate({"text": text, "mode": mode, **given})
        heard = Heard(tuple([event async for event in self.router.ask(question, Origin(app=app))]))
        await self.router.settled()
        return heard

    def informs(self, *words: str) -> None:
        self.cloud.passages = tuple(about(word) for word in words)

    def holding(self, word: str) -> list[str]:
        return holding(self.directory, word)


def about(word: str) -> Passage:
    return passage(f"The {word} tariff is four crowns a day.", score=0.9, origin="cloud")


def recording(directory: Path) -> Path:
    """Of an edge that is never asked to write."""
    file = directory / "nothing.jsonl"
    file.write_text(json.dumps({"prompt": "Who are you?", "answer": "A small model.", "logprobs": [-0.1] * 4}))
    return file


@asynccontextmanager
async def device(directory: Path, store: StoreName = "sqlite", *, apps: Apps = NO_APPS) -> AsyncIterator[Device]:
    async with AsyncExitStack() as exits:
        settings = EdgeSettings(engine="replay", replay_file=recording(directory), store=store)
        edge = await EdgeNode.open(settings, directory)
        exits.push_async_callback(edge.close)
        log = await Log.open(log_url(directory), backlog=directory / "backlog.jsonl", retry_s=600)
        exits.push_async_callback(log.close)
        cloud, routing, audit = a_cloud(), RouterSettings(), AuditLog(directory)
        exits.push_async_callback(asyncio.to_thread, audit.close)
        boundary = Boundary(Policy("allow"), audit, "cloud.example.com")
        experiments = await Experiments.open(directory / "experiments", log, boundary.policy)
        router = Router(edge, cloud, log, boundary, routing, arbiter=an_arbiter(routing), experiments=experiments)
        exits.push_async_callback(router.close)
        forgetting = Forgetting(
            log, edge, router.floor, router.settled, edge_answers_for_itself, apps, directory
        )  # fmt: skip
        yield Device(directory, router, log, edge, cloud, forgetting)


def of(**given: str) -> Unwanted:
    return Unwanted.model_validate(given)
