"""A real router between scripted sides, asked in this process or over gRPC on loopback."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from edgewise.callers import owner_of
from edgewise.client import Client
from edgewise.rpc import start_server
from edgewise.types import Citations, Done, Event, Question, Record, Retraction, Step, Token
from router.config import RouterSettings
from router.egress import AuditLog, Boundary, Policy
from router.experiments.live import Experiments
from router.log import Log
from router.modes import MODES
from router.observer import Observer
from router.server import service
from router.service import Router
from tests.arbiters import an_arbiter
from tests.sides import SURE, FakeCloud, FakeEdge, Say, passage

Way = Literal["in process", "over gRPC"]
TOKEN = "a token"
VARIANTS = tuple("+".join((name, *options)) for name, mode in MODES.items() for options in ((), *zip(mode.options)))


ASKED = "When does the ferry sail?"
FERRY = passage("The ferry sails at nine.")
HANGS = Say("The ferry sails", after=1, hangs=True)
TARIFF = passage("A ticket costs four crowns.", score=0.8, origin="cloud")


def an_edge(logprob: float | None = SURE, *, knows: bool = True) -> FakeEdge:
    """Uses every tool that it has where it may."""
    passages, tools = (FERRY,) if knows else (), ("library", "search", "calculator", "clock")
    return FakeEdge(Say("The ferry sails at nine", logprob=logprob), passages=passages, tools=tools)


def a_cloud(say: Say = Say("Nobody sails before noon")) -> FakeCloud:
    return FakeCloud(say, passages=(TARIFF,), usd_per_mtok=1.0)


def an_edge_that_hangs() -> FakeEdge:
    """After its first token."""
    edge = an_edge()
    edge.answers = [HANGS]
    return edge


async def collect(events: AsyncIterator[Event], seen: list[Event]) -> None:
    async for event in events:
        seen.append(event)  # noqa: PERF401 - what came before it fails or is cancelled counts


def question(mode: str, **given: object) -> Question:
    return Question.model_validate({"text": ASKED, "mode": mode, **given})


def log_url(directory: Path) -> str:
    return f"sqlite:///{directory / 'records.db'}"


@contextmanager
def database_gone(directory: Path) -> Iterator[None]:
    """For as long as this lasts, a router finds no records in the database of its directory."""
    with closing(sqlite3.connect(directory / "records.db")) as connection:
        connection.execute("ALTER TABLE records RENAME TO lost")
        try:
            yield
        finally:
            connection.execute("ALTER TABLE lost RENAME TO records")


@dataclass(frozen=True, slots=True)
class Heard:
    """The events of one answer that ended well."""

    events: tuple[Event, ...]

    @property
    def done(self) -> Done:
        [last] = [event for event in self.events if isinstance(event, Done)]
        assert self.events[-1] is last
        return last

    @property
    def text(self) -> str:
        """What is left when everything that was retracted is forgotten."""
        retracted = {event.answer_id for event in self.retractions}
        return "".join(event.text for event in self.tokens if event.answer_id not in retracted)

    @property
    def tokens(self) -> list[Token]:
        return [event for event in self.events if isinstance(event, Token)]

    @property
    def retractions(self) -> list[Retraction]:
        return [event for event in self.events if isinstance(event, Retraction)]

    @property
    def citations(self) -> list[Citations]:
        return [event for event in self.events if isinstance(event, Citations)]

    @property
    def steps(self) -> list[Step]:
        return [event for event in self.events if isinstance(event, Step)]


@dataclass(frozen=True, slots=True)
class Place:
    """A router, its log and its two sides. `client` is None and `address` empty where it is asked in process."""

    router: Router
    log: Log
    edge: FakeEdge
    cloud: FakeCloud
    client: Client | None
    address: str

    @property
    def door(self) -> Client | Router:
        return self.client or self.router

    def events(self, question: Question) -> AsyncIterator[Event]:
        return self.door.ask(question)

    async def ask(self, question: Question) -> Heard:
        return Heard(tuple([event async for event in self.events(question)]))

    async def record(self, record_id: str) -> Record:
        return await self.door.record(record_id)

    async def records(self, at_least: int = 0) -> tuple[Record, ...]:
        """Newest first. Those of callers who left come a little later: say how many there must be."""
        async with asyncio.timeout(10):
            while len(found := await self.door.records(limit=100)) < at_least:  # noqa: ASYNC110 - as below
                await asyncio.sleep(0.005)
        return found


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - of things that tell nobody
            await asyncio.sleep(0.002)


@asynccontextmanager
async def place(
    directory: Path,
    edge: FakeEdge,
    cloud: FakeCloud,
    settings: RouterSettings = RouterSettings(),
    *,
    way: Way = "in process",
    unknown: Literal["allow", "hold"] = "allow",
    observers: Sequence[Observer] = (),
    records_wait: bool = False,
    within_s: float = 20,
) -> AsyncIterator[Place]:
    """A router that keeps its records in a directory. It is over after `within_s` seconds.

    If `records_wait`, they do so on disk while the database fails.
    """
    async with AsyncExitStack() as exits:
        await exits.enter_async_context(asyncio.timeout(within_s))
        backlog = directory / "backlog.jsonl" if records_wait else None
        records = await Log.open(log_url(directory), backlog=backlog, retry_s=0.05)
        exits.push_async_callback(records.close)
        arbiter, audit = an_arbiter(settings), AuditLog(directory)
        exits.push_async_callback(asyncio.to_thread, audit.close)
        boundary = Boundary(Policy(unknown), audit, "cloud.example.com")
        experiments = await Experiments.open(directory / "experiments", records, boundary.policy)
        router = Router(
            edge, cloud, records, boundary, settings, arbiter=arbiter, experiments=experiments, observers=observers
        )
        exits.push_async_callback(router.close)
        client, address = None, ""
        if way == "over gRPC":
            server, address = await start_server([service(router)], "127.0.0.1:0", callers=owner_of(TOKEN))
            exits.push_async_callback(server.stop, None)
            client = await exits.enter_async_context(Client(address, TOKEN))
        yield Place(router, records, edge, cloud, client, address)


class Trying(Protocol):
    """Runs some work on a router; the sides that are not given answer plainly."""

    def __call__(
        self,
        work: Callable[[Place], Awaitable[None]],
        edge: FakeEdge | None = None,
        cloud: FakeCloud | None = None,
        settings: RouterSettings = RouterSettings(),
        *,
        unknown: Literal["allow", "hold"] = "allow",
    ) -> None: ...
