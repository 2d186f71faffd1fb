"""Prompts that are evaluated once: copied, saved and kept over restarts by the real llama.cpp.

What is found, saved and dropped is tested in unit/test_prefixes.py, where a cache costs nothing.
"""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge.llama.engine import LlamaEngine
from edge.llama.machine.calibration import Tuning
from edge.llama.native import Flag, Native, Work
from tests.edges import prompt
from tests.engines import options, write

if TYPE_CHECKING:
    from edge.llama.native import Logits

RIVER = "The monks wrote down what the river took in every year. " * 6
CITY = "Nobody in the city counted the bridges before the second flood. " * 6
BOOK = "A harbour pilot keeps three books: one for tides, one for ships, one for debts. " * 15
DRAWN = {"temperature": 1.0, "seed": 11}


async def small(gguf: Path, parallel: int = 1, directory: Path | None = None, mib: int = 64) -> LlamaEngine:
    return await LlamaEngine.open(
        gguf, context_tokens=512, parallel=parallel, threads=1, prefix_cache_mib=mib, prefix_directory=directory
    )


def test_another_conversation_in_between_costs_nothing(gguf: Path) -> None:
    async def main() -> None:
        engine = await small(gguf)
        cold, first = await write(engine, RIVER, options("", 8, **DRAWN))
        assert first.tokens.cached_tokens == 0
        _, other = await write(engine, CITY, options("", 1))
        warm, again = await write(engine, RIVER, options("", 8, **DRAWN))
        assert other.tokens.cached_tokens < again.tokens.cached_tokens == again.tokens.prompt_tokens - 2
        assert warm == cold
        _, longer = await write(engine, CITY + "And then?", options("", 1))
        assert longer.tokens.cached_tokens > other.tokens.prompt_tokens - 10
        await engine.close()

    asyncio.run(main())


def test_without_memory_it_does(gguf: Path) -> None:
    async def main() -> None:
        engine = await small(gguf, mib=0)
        for text in (RIVER, CITY):
            await write(engine, text, options("", 1))
        _, again = await write(engine, RIVER, options("", 1))
        _, other = await write(engine, RIVER, options("", 1))
        assert again.tokens.cached_tokens < 64 < other.tokens.cached_tokens, "only what is in the sequence is there"
        await engine.close()

    asyncio.run(main())


def test_the_beginning_of_an_answer_that_is_being_written_is_shared(gguf: Path) -> None:
    async def main() -> None:
        engine = await small(gguf, 2)
        writes = engine.generate(prompt(RIVER), options("", 100, temperature=2.0, seed=1))
        await anext(writes)
        beside, completion = await write(engine, RIVER, options("", 8, **DRAWN))
        assert completion.tokens.cached_tokens == completion.tokens.prompt_tokens - 2
        await writes.aclose()
        alone, cold = await write(engine, RIVER, options("another", 8, **DRAWN))
        assert cold.tokens.cached_tokens == 0
        assert beside == alone
        await engine.close()

    asyncio.run(main())


def test_prefixes_outlive_the_engine(gguf: Path, tmp_path: Path) -> None:
    directory = tmp_path / "prefixes"

    async def main() -> None:
        engine = await small(gguf, directory=directory)
        cold, first = await write(engine, BOOK, options("", 8, **DRAWN))
        assert first.tokens.cached_tokens == 0
        await engine.close()
        (file,) = directory.iterdir()
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert stat.S_IMODE(file.stat().st_mode) == 0o600

        truncated = file.with_name("0-0.kv")
        truncated.write_bytes(file.read_bytes()[:-1])
        (directory / "1-0.kv").write_bytes(b"garbage")
        engine = await small(gguf, directory=directory)
        warm, again = await write(engine, BOOK, options("", 8, **DRAWN))
        assert again.tokens.cached_tokens == again.tokens.prompt_tokens - 2 > 256
        assert warm == cold
        _, other = await write(engine, BOOK[:100], options("its own", 1))
        assert other.tokens.cached_tokens == 0
        await engine.close()
        (file,) = directory.iterdir()
        assert not file.name.startswith(("0-", "1-")), "what cannot be used is swept out"

        engine = await small(gguf, 2, directory)
        scheduler = engine._owner._scheduler
        assert scheduler is not None
        assert scheduler._prefixes.saved_bytes == 0, "another number of sequences is another layout"
        await engine.close()
        assert not list(directory.iterdir())

    asyncio.run(main())


def test_a_place_that_cannot_be_written_stops_neither_the_start_nor_the_end(
    gguf: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        (tmp_path / "file").write_bytes(b"")
        engine = await small(gguf, directory=tmp_path / "file")
        await write(engine, "Hello", options("", 1))
        await engine.close()

    asyncio.run(main())
    assert "cannot be kept" in caplog.text


def test_a_state_is_worth_the_evaluation_in_any_sequence(gguf: Path) -> None:
    native = Native(gguf, 128, 2, Tuning(1, 1, 64, flash_attention=False))
    tokens = np.array(native.vocabulary.tokenize(RIVER), np.int32)[:40]

    def end(sequence: int) -> Logits:
        return native.evaluate([Work(sequence, 30, tokens[30:], "last")], Flag()).copy()

    native.evaluate([Work(0, 0, tokens[:30], "none")], Flag())
    state = native.save(0)
    wanted = end(0)
    for sequence in (1, 0):
        assert native.restore(sequence, state)
        assert (end(sequence) == wanted).all()
    for damaged in (state[:-1000], np.full_like(state, 255), state[:0]):
        assert not native.restore(1, damaged)
        native.evaluate([Work(1, 0, tokens[:30], "none")], Flag())
        assert (end(1) == wanted).all(), "what is refused leaves an empty sequence"
    native.close()


def test_what_is_forgotten_is_evaluated_again(gguf: Path) -> None:
    async def main() -> None:
        engine = await small(gguf, parallel=2)
        for text in (RIVER, CITY, RIVER):
            await write(engine, text, options("", 1))
        await engine.forget()
        _, again = await write(engine, RIVER, options("", 1))
        assert again.tokens.cached_tokens == 0
        await engine.close()

    asyncio.run(main())
