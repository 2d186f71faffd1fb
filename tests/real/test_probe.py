import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from edge import memory, models
from edge.llama.machine import probe as probing
from edge.llama.machine import selftest
from edge.llama.machine.calibration import Tuning
from edge.llama.machine.probe import probe
from edgewise.errors import NotReady
from tests import ggufs

TUNING = Tuning.default(2)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_llama_cpp_says_what_a_model_is_and_takes(gguf: Path) -> None:
    small, large = probe(gguf, 1024, 1, TUNING), probe(gguf, 2048, 4, TUNING)
    assert (small.architecture, small.licence, small.context_tokens) == ("llama", "apache-2.0", 8192)
    assert small.has_chat_template
    assert small.parameters == models.SMOLLM2.parameters
    # 30 layers, 3 heads of 64 for keys and as many for values, of two bytes each.
    assert small.kv_bytes == pytest.approx(1024 * 30 * 3 * 64 * 2 * 2, rel=0.01)
    assert large.kv_bytes == pytest.approx(8 * small.kv_bytes, rel=0.01)
    plain = probe(gguf, 1024, 1, replace(TUNING, repack=False))
    assert 0.9 < plain.weights_bytes / gguf.stat().st_size <= 1
    # Its first weights are its last too: 49,152 words of 576 numbers, 34 bytes for 32. Repacked, the last are a copy.
    assert small.weights_bytes - plain.weights_bytes == 49_152 * 576 * 34 // 32
    assert 0 < small.buffer_bytes < small.weights_bytes
    assert probe(gguf, 100_000, 1, TUNING) == probe(gguf, 8192, 1, TUNING)


def test_a_file_is_asked_once(gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = probe(gguf)
    monkeypatch.setattr(probing, "_ask", lambda *_: pytest.fail("asked again"))
    assert probe(gguf) == first


@pytest.mark.parametrize("share", [0.5, 0.001, 0.00001])
def test_a_file_that_is_cut_off_is_damaged(gguf: Path, tmp_path: Path, share: float) -> None:
    path = tmp_path / "cut.gguf"
    path.write_bytes(gguf.read_bytes()[: int(share * gguf.stat().st_size)])
    with pytest.raises(NotReady, match="is cut off or damaged; fetch it again"):
        probe(path)
    with pytest.raises(NotReady, match="is cut off or damaged; fetch it again"):
        asyncio.run(selftest.check(path))


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ({"general__architecture": "llama", "general__type": "adapter"}, "is an adapter, no model"),
        ({"general__architecture": "clip", "general__type": "mmproj"}, "mmproj"),
        ({"general__architecture": "clip"}, "mmproj"),
        ({"general__architecture": "fluxcapacitor"}, "newer than this llama.cpp.*fluxcapacitor"),
        ({}, "damaged"),
    ],
)
def test_what_is_no_language_model_is_named(tmp_path: Path, texts: dict[str, str], words: str) -> None:
    with pytest.raises(NotReady, match=words):
        probe(ggufs.write(tmp_path / "other.gguf", **texts))


def test_an_embedding_model_writes_nothing(gguf: Path, tmp_path: Path) -> None:
    path = tmp_path / "embedder.gguf"
    path.write_bytes(ggufs.renamed(gguf.read_bytes(), "llama.rope.dimension_count", "llama.pooling_type"))
    with pytest.raises(NotReady, match="is an embedding model"):
        probe(path)


def test_a_model_that_does_not_fit_is_refused_with_the_numbers(gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = memory.check(gguf, 1024, 2, TUNING)
    monkeypatch.setattr(memory, "available", lambda: needed.bytes - 1)
    with pytest.raises(NotReady, match=r"takes \d+ MB .*2 x 1024 tokens.*MB are free: lower edge\.context_tokens"):
        memory.check(gguf, 1024, 2, TUNING)
    monkeypatch.setattr(memory, "available", lambda: None)
    memory.check(gguf, 1024, 2, TUNING)
