"""Many requests at once on one context: each comes to what it comes to alone."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.llama.engine import LlamaEngine
from edge.llama.machine.calibration import Tuning
from edge.llama.machine.invariance import is_invariant
from edge.llama.native import Flag, Native, Work
from edgewise.types import Options
from tests.edges import finished, prompt
from tests.engines import CHUNK, LONG, Watch, busy, in_an_answer, opened, options, settled, write

GREEDY: dict[str, float] = {}
DRAWN = {"seed": 1, "temperature": 1.0, "top_k": 60, "top_p": 0.95, "min_p": 0.02, "repeat_penalty": 1.2}
QUESTIONS = {"Name a sea.": 4, "Say hello in French.": 14, "Write about tides.": 24, LONG: 6, "What floats?": 10}


@pytest.fixture(scope="module")
def engine(gguf: Path) -> Iterator[LlamaEngine]:
    yield from opened(gguf)


@pytest.fixture(scope="module")
def native(gguf: Path) -> Iterator[Native]:
    """Another llama.cpp, to compare with."""
    loaded = Native(gguf, 512, 4, Tuning(1, 1, 512, flash_attention=False))
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def invariant(native: Native) -> bool:
    """llama.cpp gives a token the same bits alone and in company; then texts are the same without a seed too."""
    for sequence in range(4):
        native.cut(sequence, 0)
    return is_invariant(native, 4)


@pytest.fixture
def watch(engine: LlamaEngine, monkeypatch: pytest.MonkeyPatch) -> Watch:
    return Watch(engine, monkeypatch)


def tokens_of(engine: LlamaEngine, text: str) -> list[int]:
    return engine._template.render(prompt(text)).tokens


def logprobs(native: Native, tokens: Sequence[int], prompt_tokens: int, *, together: bool) -> list[NDArray[np.float64]]:
    """Those of the whole vocabulary after the prompt and each later token, which are evaluated in one go or not."""
    native.cut(0, 0)
    whole = np.array(tokens, np.int32)
    works = [Work(0, 0, whole[:prompt_tokens], "last")]
    if together:
        works.append(Work(0, prompt_tokens, whole[prompt_tokens:], "every"))
    else:
        works += [Work(0, at, whole[at : at + 1], "last") for at in range(prompt_tokens, len(whole))]
    rows = [row.astype(np.float64) for work in works if len(work.tokens) for row in native.evaluate([work], Flag())]
    return [row - row.max() - np.log(np.exp(row - row.max()).sum()) for row in rows]


# --- answers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampling", [GREEDY, DRAWN], ids=["greedy", "drawn"])
def test_several_at_once_write_what_each_writes_alone(
    engine: LlamaEngine, invariant: bool, watch: Watch, sampling: dict[str, float]
) -> None:
    if not invariant and "seed" not in sampling:
        pytest.skip("llama.cpp's kernels round a token in company differently here; only a seed promises the same text")

    async def main() -> None:
        alone = [await write(engine, text, options("alone", n, **sampling)) for text, n in QUESTIONS.items()]
        watch.evaluations.clear()
        key = f"together {len(sampling)}"
        running = [
            asyncio.create_task(write(engine, text, options(key, n, **sampling))) for text, n in QUESTIONS.items()
        ]
        leaving = asyncio.create_task(write(engine, "Write a poem.", options(key, 200, **sampling)))
        await running[0]
        leaving.cancel()
        running.append(asyncio.create_task(write(engine, "Name a sea.", options("joins", 4, **sampling))))
        texts = [text for text, _ in await asyncio.gather(*running)]
        assert texts == [text for text, _ in (*alone, alone[0])]
        assert len({len(works) for works in watch.evaluations}) > 1 or not invariant
        chunks = [works for works in watch.evaluations if any(len(work.tokens) > 1 for work in works)]
        assert all(len(works) == 1 and len(works[0].tokens) <= CHUNK for works in chunks)

    asyncio.run(main())


def test_with_flash_attention_too_a_seed_writes_the_same_text(gguf: Path) -> None:
    """Alone, in company, and after its prompt was evaluated; also beyond 512 tokens, where threads share a sequence."""

    async def main() -> None:
        engine = await LlamaEngine.open(gguf, context_tokens=1024, parallel=3, flash_attention=True)
        asked = {"What floats?": 12, LONG * 4: 12}
        drawn = {text: options("", n, temperature=1.5, seed=5) for text, n in asked.items()}
        first = [await write(engine, text, how) for text, how in drawn.items()]
        assert first[1][1].tokens.prompt_tokens > 512
        again = [await write(engine, text, how) for text, how in drawn.items()]
        async with busy(engine, 1):
            company = await asyncio.gather(*(write(engine, text, how) for text, how in drawn.items()))
        for other in (again, company):
            assert [text for text, _ in other] == [text for text, _ in first]
            assert all(completion.tokens.cached_tokens == 0 for _, completion in other)
        _, unseeded = await write(engine, LONG * 4, options("", 1))
        assert unseeded.tokens.cached_tokens > 512, "who has no seed gets what was evaluated"
        await engine.close()

    asyncio.run(main())


def test_a_long_prompt_stalls_answers_for_one_chunk(engine: LlamaEngine, watch: Watch) -> None:
    async def main() -> None:
        async with busy(engine, 2):
            began = len(watch.evaluations)
            await write(engine, LONG, options("stall", 1))
            seen = watch.evaluations[began:]
        answers = {work.sequence for works in seen if in_an_answer(works) for work in works}
        chunks = [at for at, works in enumerate(seen) if not in_an_answer(works)]
        assert len(answers) >= 2
        assert len(chunks) > 4
        assert all(len(seen[at]) == 1 and len(seen[at][0].tokens) <= CHUNK for at in chunks)
        for at, after in itertools.pairwise(chunks):
            served = {work.sequence for works in seen[at + 1 : after] for work in works}
            assert served == answers, "between two chunks everybody gets a token"
        await settled(engine)

    asyncio.run(main())


def test_requests_with_one_prompt_evaluate_it_once(engine: LlamaEngine, watch: Watch) -> None:
    async def main() -> None:
        length = len(tokens_of(engine, LONG))
        asked = [write(engine, LONG, options("shared", 1, temperature=1.0, seed=seed)) for seed in range(4)]
        completions = [completion for _, completion in await asyncio.gather(*asked)]
        assert sorted(one.tokens.cached_tokens for one in completions) == [0, length - 2, length - 2, length - 2]
        assert watch.tokens == length + 3 * 2

    asyncio.run(main())


# --- confidence -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampling", [GREEDY, DRAWN | {"temperature": 1.8}], ids=["greedy", "drawn"])
def test_the_numbers_of_a_token_are_those_of_the_whole_vocabulary(
    engine: LlamaEngine, native: Native, watch: Watch, sampling: dict[str, float]
) -> None:
    async def main() -> None:
        async with busy(engine, 1):
            asked = prompt("What is a lighthouse?")
            watch.evaluations.clear()
            chunks, completion = await finished(engine.generate(asked, options("numbers", 10, **sampling)))
        found = [
            numbers for chunk in chunks for numbers in zip(chunk.logprobs, chunk.entropies, chunk.margins, strict=True)
        ]
        assert len(found) == completion.tokens.completion_tokens == 10
        whole = tokens_of(engine, "What is a lighthouse?")
        seen = [work for works in watch.evaluations for work in works]
        (sequence,) = (work.sequence for work in seen if len(work.tokens) > 1 and work.wanted == "last")
        drawn = [int(work.tokens[0]) for work in seen if work.sequence == sequence and len(work.tokens) == 1]
        rows = logprobs(native, [*whole, *drawn], len(whole), together=False)
        for (logprob, entropy, margin), row, token in zip(found, rows, [*drawn, None], strict=True):
            first, second = np.sort(row)[:-3:-1]
            assert logprob <= 0
            assert entropy == pytest.approx(-(np.exp(row) * row).sum(), abs=2e-3)
            assert margin == pytest.approx(first - second, abs=2e-3)
            if token is not None:
                assert logprob == pytest.approx(row[token], abs=2e-3)
            if not sampling:
                assert logprob == pytest.approx(first, abs=2e-3)

    asyncio.run(main())


@pytest.mark.parametrize("length", [1, 5, 33, 75])
def test_the_surprisal_of_a_prompt(engine: LlamaEngine, native: Native, length: int) -> None:
    async def main() -> None:
        text = "Rain" + " and rain" * (length // 2)
        how = options("surprisal", 4)
        plain, _ = await finished(engine.generate(prompt(text), how))
        surprised = how.model_copy(update={"surprisal": True})
        warm, completion = await finished(engine.generate(prompt(text), surprised))
        cold_key = surprised.model_copy(update={"cache_key": f"cold {length}"})
        async with busy(engine, 1):
            cold, other = await finished(engine.generate(prompt(text), cold_key))
        assert plain == warm == cold, "neither it nor a cache changes a number"
        assert completion.prompt_surprisal == other.prompt_surprisal
        assert (completion.tokens.cached_tokens > 0, other.tokens.cached_tokens) == (True, 0)
        rendered = engine._template.render(prompt(text))
        start, stop = rendered.last.start, rendered.last.stop
        assert stop - start == length
        rows = logprobs(native, rendered.tokens[:stop], start - 2, together=True)[2:-1]
        said = [float(row[token]) for row, token in zip(rows, rendered.tokens[start:stop], strict=True)]
        assert completion.prompt_surprisal == pytest.approx(-sum(said) / length, rel=1e-3)

    asyncio.run(main())


def test_nothing_was_said_nothing_surprises(engine: LlamaEngine) -> None:
    async def main() -> None:
        how = Options(sampling=options("", 1).sampling, surprisal=True)
        assert (await write(engine, "", how))[1].prompt_surprisal is None
        assert (await write(engine, "Tide", how))[1].prompt_surprisal is not None

    asyncio.run(main())


# --- scores -----------------------------------------------------------------------------------------------------------


def test_scores_are_the_logprobs_of_the_given_text(engine: LlamaEngine, native: Native, invariant: bool) -> None:
    async def main() -> None:
        asked = prompt("What is the capital of France?")
        given = ("Paris", "The capital of France is Paris.", "Gearbox", "Berlin is the capital, of course, " * 5)
        alone = await engine.score(asked, given, "alone")
        async with busy(engine, 2):
            beside = await engine.score(asked, given, "beside")
        assert beside.logprobs == pytest.approx(alone.logprobs, abs=0.0 if invariant else 0.3)
        whole = engine._template.render(asked).tokens
        for text, score in zip(given, alone.logprobs, strict=True):
            tokens = await engine.tokenize(text)
            rows = logprobs(native, [*whole, *tokens[:-1]], len(whole), together=True)
            assert score == pytest.approx(sum(row[token] for row, token in zip(rows, tokens, strict=True)), abs=0.02)
        assert alone.tokens.prompt_tokens == len(whole) + sum([len(await engine.tokenize(text)) for text in given])

    asyncio.run(main())


def test_labels_of_one_token_need_no_evaluation_of_their_own(engine: LlamaEngine, watch: Watch) -> None:
    async def main() -> None:
        labels = ("A", "B", "C", "D", "yes", "no")
        assert {len(await engine.tokenize(label)) for label in labels} == {1}
        text = "Which of these is a colour? A: seven. B: green."
        scores = (await engine.score(prompt(text), labels, "labels")).logprobs
        assert watch.tokens == len(tokens_of(engine, text))
        assert math.fsum(map(math.exp, scores)) <= 1
        await engine.score(prompt(text), labels, "labels")
        assert watch.tokens == len(tokens_of(engine, text)) + 2

    asyncio.run(main())


def test_what_an_answer_scores_is_what_it_was_written_with(engine: LlamaEngine) -> None:
    async def main() -> None:
        asked = prompt("How many days are in a week?")
        chunks, _ = await finished(engine.generate(asked, options("written", 6)))
        text = "".join(chunk.text for chunk in chunks)
        said = [value for chunk in chunks for value in chunk.logprobs]
        assert len(await engine.tokenize(text)) == len(said)
        (score,) = (await engine.score(asked, (text,), "scored")).logprobs
        # Kernels may round tokens that are evaluated together in another way than one by one.
        assert score == pytest.approx(sum(said), abs=0.3)

    asyncio.run(main())
