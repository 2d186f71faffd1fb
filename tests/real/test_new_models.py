"""A file that is new to this machine: a child loads it first, and may die of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from edge import models
from edge.llama import adapter_trial
from edge.llama.adapters import Adapter
from edge.llama.engine import LlamaEngine
from edge.llama.machine import probe as probing
from edge.llama.machine import selftest
from edgewise.errors import InvalidInput, NotReady
from tests import ggufs
from tests.adapters import write_adapter


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def opened(path: Path) -> None:
    async def main() -> None:
        engine = await LlamaEngine.open(path, context_tokens=128, parallel=1, threads=1)
        await engine.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        # llama.cpp's own checks of both are assertions, which end the process: one in reading, one in decoding.
        ("llama.block_count", 0, "llama.cpp ended with SIGABRT when it read .*the file is damaged"),
        ("llama.context_length", 1, "llama.cpp died of SIGABRT when it decoded .*a file of your own.*made to do harm"),
    ],
)
def test_a_file_that_kills_llama_cpp_kills_a_child(
    gguf: Path, tmp_path: Path, key: str, value: int, words: str
) -> None:
    path = ggufs.renumbered(gguf, key, value, tmp_path / "hostile.gguf")
    with pytest.raises(NotReady, match=words):
        opened(path)


def test_a_chat_template_without_end_holds_up_a_child(
    gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    path = ggufs.reworded(gguf, "tokenizer.chat_template", template, tmp_path / "endless.gguf")
    monkeypatch.setattr(selftest, "_TIMEOUT_S", 4.0)
    with pytest.raises(NotReady, match=r"endless\.gguf was not ready in 4 s"):
        opened(path)


def test_a_head_that_lies_reaches_no_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "_ask", lambda *_: pytest.fail("llama.cpp was asked"))
    path = tmp_path / "lies.gguf"
    path.write_bytes(ggufs.build({"k": ggufs.texts(count=(1 << 64) - 1)}))
    with pytest.raises(NotReady, match=r"fetch it again.*edgewise models verify"):
        opened(path)


def test_a_hash_is_compared_before_anything_reads_the_file(
    gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "/nonexistent")
    models.SMOLLM2.directory.mkdir(parents=True)
    ggufs.renumbered(gguf, "llama.block_count", 0, models.SMOLLM2.path)
    with pytest.raises(NotReady, match="is corrupt: its SHA-256 is"):
        opened(models.SMOLLM2.path)


def test_an_adapter_is_looked_at_first_as_well(gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selftest, "run", lambda *_: pytest.fail("llama.cpp was asked"))
    path = write_adapter(tmp_path, "cut")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InvalidInput, match=r"the adapter cut is damaged.*not within the file bounds; make it anew"):
        asyncio.run(adapter_trial.check(gguf, Adapter("cut", models.digest(path), path), repack=True))
