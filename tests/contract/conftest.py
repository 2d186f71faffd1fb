"""The ways to an edge, and to a router."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest

from edge.config import EdgeSettings
from edge.node import EdgeNode
from router.config import RouterSettings
from tests import edges
from tests.edges import MAX_BYTES, opened
from tests.routers import Place, Trying, Way, a_cloud, an_edge, place
from tests.sides import FakeCloud, FakeEdge
from tests.stack import up


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeNode]:
    settings = EdgeSettings(context_tokens=512, threads=1, usd_per_hour=0.36, max_document_bytes=MAX_BYTES)
    yield from opened(settings, tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeNode]:
    directory = tmp_path_factory.mktemp("replay")
    recording = {"prompt": "Who are you?", "answer": "A small model.", "logprobs": [-0.1, -0.2, -0.3], "cost_usd": 0.5}
    (directory / "answers.jsonl").write_text(json.dumps(recording))
    settings = EdgeSettings(
        engine="replay", replay_file=directory / "answers.jsonl", usd_per_hour=1, max_document_bytes=MAX_BYTES
    )
    yield from opened(settings, directory)


@pytest.fixture(scope="module")
def openai_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeNode]:
    """On a real model behind a real server that speaks OpenAI's HTTP: a daemon of our own."""
    place = tmp_path_factory.mktemp("server")
    with up(place / "data", settings={"EDGEWISE_EDGE__CONTEXT_TOKENS": "512"}) as daemon:
        settings = EdgeSettings(
            engine="openai_url",
            base_url=f"{daemon.http}/v1",
            server_model="edge_only",
            api_key_file=daemon.data_dir / "token",
            usd_per_hour=0.36,
            max_document_bytes=MAX_BYTES,
        )
        yield from opened(settings, place)


@pytest.fixture(params=[name + way for name in ("llama", "openai_url", "replay") for way in ("", " over gRPC")])
def way(request: pytest.FixtureRequest) -> edges.Way:
    name = str(request.param).split()[0]
    node: EdgeNode = request.getfixturevalue(name)
    is_remote = "gRPC" in request.param
    return edges.Way(node, is_remote=is_remote, replays=name == "replay", is_told=name == "openai_url")


@pytest.fixture(params=["in process", "over gRPC"])
def tried(request: pytest.FixtureRequest, tmp_path: Path) -> Trying:
    way: Way = request.param

    def run(
        work: Callable[[Place], Awaitable[None]],
        edge: FakeEdge | None = None,
        cloud: FakeCloud | None = None,
        settings: RouterSettings = RouterSettings(),
        *,
        unknown: Literal["allow", "hold"] = "allow",
    ) -> None:
        async def main() -> None:
            sides = edge or an_edge(), cloud or a_cloud()
            async with place(tmp_path, *sides, settings, way=way, unknown=unknown) as opened:
                await work(opened)

        asyncio.run(main())

    return run
