"""Edge nodes to test, and the ways to reach them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from edge.client import EdgeClient
from edge.config import EdgeSettings
from edge.node import EdgeNode
from edge.server import service
from edgewise.callers import owner_of
from edgewise.rpc import start_server
from edgewise.types import Chunk, Completion, Message, Options, Privacy, Prompt, Sampling, Text, Upload

TOKEN = "a token"
MAX_BYTES = 100_000

HOURS = b"# Gate museum\n\n## Opening hours\n\nThe doors open at nine.\n\n## Tickets\n\nA ticket costs seven euros.\n"


@dataclass(frozen=True, slots=True)
class Way:
    """How to reach a node, and what runs in it: `replays` if that is no model, `is_told` if a server runs one."""

    node: EdgeNode
    is_remote: bool
    replays: bool
    is_told: bool

    @asynccontextmanager
    async def edge(self) -> AsyncIterator[EdgeNode | EdgeClient]:
        if not self.is_remote:
            yield self.node
            return
        server, address = await start_server([service(self.node)], "127.0.0.1:0", callers=owner_of(TOKEN))
        client = EdgeClient(address, TOKEN)
        try:
            yield client
        finally:
            await client.close()
            await server.stop(None)


def opened(settings: EdgeSettings, directory: Path) -> Iterator[EdgeNode]:
    node = asyncio.run(EdgeNode.open(settings, directory))
    yield node
    asyncio.run(node.close())


def prompt(text: str = "Who are you?") -> Prompt:
    return Prompt(messages=(Message(role="user", content=Text(value=text)),))


def options(max_tokens: int = 8) -> Options:
    return Options(sampling=Sampling(max_tokens=max_tokens))


def upload(
    data: bytes = HOURS, source: str = "hours.md", collection: str = "", label: Privacy = Privacy.UNKNOWN
) -> Upload:
    return Upload(source=source, data=data, collection=collection or uuid.uuid4().hex, label=label)


async def finished(events: AsyncGenerator[Chunk | Completion]) -> tuple[list[Chunk], Completion]:
    chunks: list[Chunk] = []
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Completion):
                return chunks, event
            chunks.append(event)
    raise AssertionError("no completion")
