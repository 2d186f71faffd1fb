"""Too many requests, too little time, and callers that leave: the engine refuses or stops, and goes on."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from edge.llama.chat_template import Rendered
from edge.llama.engine import LlamaEngine
from edge.llama.job import Job
from edge.llama.native import Native
from edgewise.errors import DeadlineExceeded, EdgewiseError, Internal, Overloaded
from edgewise.types import Chunk, Completion, Options, Prompt, Sampling, Scores
from tests.edges import prompt
from tests.engines import (
    LONG,
    MAX_QUEUE,
    PARALLEL,
    Watch,
    Where,
    busy,
    deep_in_a_prompt,
    in_a_prompt,
    in_an_answer,
    opened,
    options,
    settled,
    somebody_waits,
    write,
)


@pytest.fixture(scope="module")
def engine(gguf: Path) -> Iterator[LlamaEngine]:
    yield from opened(gguf)


@pytest.fixture
def watch(engine: LlamaEngine, monkeypatch: pytest.MonkeyPatch) -> Watch:
    return Watch(engine, monkeypatch)


async def works(engine: LlamaEngine) -> None:
    """Nothing is left behind, and as many as fit run at once again."""
    await settled(engine)
    async with busy(engine, PARALLEL):
        assert engine.load.running == PARALLEL
    await settled(engine)


# --- too many ---------------------------------------------------------------------------------------------------------


def test_a_thousand_requests_at_once(engine: LlamaEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[Prompt] = []
    render = engine._template.render

    def counted(one: Prompt) -> Rendered:
        rendered.append(one)
        return render(one)

    monkeypatch.setattr(engine._template, "render", counted)

    async def main() -> None:
        asked = [write(engine, "Hello", options("thousand", 1)) for _ in range(1000)]
        results = await asyncio.gather(*asked, return_exceptions=True)
        refused = [result for result in results if isinstance(result, Overloaded)]
        assert len(refused) == 1000 - PARALLEL - MAX_QUEUE
        assert all(one.retry_after_s is not None and one.retry_after_s >= 0 for one in refused)
        assert len(rendered) == PARALLEL + MAX_QUEUE, "no work is done for those that are refused"
        assert len(refused) + len(rendered) == len(results)
        await settled(engine)

    asyncio.run(main())


# --- too late ---------------------------------------------------------------------------------------------------------


def in_time(key: str, timeout_s: float, max_tokens: int = 400) -> Options:
    sampling = Sampling(max_tokens=max_tokens, temperature=2.0, seed=3)
    return Options(cache_key=key, timeout_s=timeout_s, sampling=sampling)


def test_no_time_at_all(engine: LlamaEngine) -> None:
    async def main() -> None:
        for _ in range(3):
            with pytest.raises(DeadlineExceeded):
                await write(engine, "Hello", in_time("none", 0.0))
        await works(engine)

    asyncio.run(main())


def test_time_is_up_while_waiting(engine: LlamaEngine) -> None:
    async def main() -> None:
        async with busy(engine, PARALLEL):
            with pytest.raises(DeadlineExceeded):
                await write(engine, "Hello", in_time("waits", 0.05))
        await works(engine)

    asyncio.run(main())


@pytest.mark.parametrize(("where", "timeout_s"), [(in_a_prompt, 0.1), (in_an_answer, 1.0)])
def test_time_is_up_in_llama_cpp(engine: LlamaEngine, watch: Watch, where: Where, timeout_s: float) -> None:
    async def main() -> None:
        await write(engine, LONG, options("late", 1))
        watch.hold(where)
        try:
            with pytest.raises(DeadlineExceeded):
                await write(engine, LONG, in_time("late", timeout_s, 300))
            await watch.reached()
        finally:
            watch.release()
        await works(engine)

    asyncio.run(main())


# --- not wanted any more ----------------------------------------------------------------------------------------------


def test_cancelled_before_it_began(engine: LlamaEngine, watch: Watch) -> None:
    async def main() -> None:
        await engine.generate(prompt("Hello"), options("before")).aclose()
        task = asyncio.create_task(write(engine, "Hello", options("before")))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not watch.evaluations
        await settled(engine)

    asyncio.run(main())


def test_cancelled_in_the_queue(engine: LlamaEngine, watch: Watch) -> None:
    async def main() -> None:
        async with busy(engine, PARALLEL):
            task = asyncio.create_task(write(engine, LONG, options("in the queue")))
            await somebody_waits(engine)
            await asyncio.sleep(0.05)
            watch.evaluations.clear()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert engine.load.queued == 0
        await settled(engine)
        assert all(in_an_answer(seen) for seen in watch.evaluations), "nothing of its prompt was evaluated"
        await works(engine)

    asyncio.run(main())


@pytest.mark.parametrize("where", [deep_in_a_prompt, in_an_answer])
def test_cancelled_in_llama_cpp(engine: LlamaEngine, watch: Watch, where: Where) -> None:
    async def main() -> None:
        wanted = await write(engine, LONG, options("wanted", 8))
        watch.hold(where)
        task = asyncio.create_task(write(engine, LONG, options(f"cancelled {where.__name__}", 300)))
        await watch.reached()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        before = len(watch.evaluations)
        watch.release()
        await settled(engine)
        assert len(watch.evaluations) - before <= 2, "it ends at once"
        again = await write(engine, LONG, options(f"cancelled {where.__name__}", 8))
        assert again[0] == wanted[0], "what is left of it is whole"
        assert again[1].tokens.cached_tokens > 0
        await works(engine)

    asyncio.run(main())


def test_closed_after_its_end(engine: LlamaEngine) -> None:
    async def main() -> None:
        items = engine.generate(prompt("Hello"), options("after", 2))
        seen = [item async for item in items]
        assert isinstance(seen[-1], Completion)
        await items.aclose()
        await works(engine)

    asyncio.run(main())


def test_a_score_that_is_cancelled(engine: LlamaEngine, watch: Watch) -> None:
    async def main() -> None:
        watch.hold(deep_in_a_prompt)
        task = asyncio.create_task(engine.score(prompt(LONG), ("yes of course", "no"), "score"))
        await watch.reached()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        watch.release()
        assert len((await engine.score(prompt("Yes?"), ("yes of course", "no"), "score")).logprobs) == 2
        await works(engine)

    asyncio.run(main())


def test_switching_adapters_that_is_cancelled(engine: LlamaEngine, watch: Watch) -> None:
    async def main() -> None:
        watch.hold(in_a_prompt)
        running = asyncio.create_task(write(engine, "Hello", options("adapter", 4)))
        await watch.reached()
        switching = asyncio.create_task(engine.load_adapter(""))
        await asyncio.sleep(0.05)
        switching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await switching
        watch.release()
        await running
        await works(engine)

    asyncio.run(main())


def test_opening_that_is_cancelled_frees_the_model(gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loading, freed = threading.Event(), threading.Event()

    class Loading(Native):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            loading.set()
            super().__init__(*arguments, **options)

        def close(self) -> None:
            super().close()
            freed.set()

    monkeypatch.setattr("edge.llama.engine.Native", Loading)

    async def main() -> None:
        opening = asyncio.create_task(LlamaEngine.open(gguf, context_tokens=512, threads=1))
        assert await asyncio.to_thread(loading.wait, 60)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        assert freed.is_set()

    asyncio.run(main())


def test_many_that_leave_at_any_time_leave_nothing_behind(engine: LlamaEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    ends: Counter[Job] = Counter()
    put = Job.put

    def counted(job: Job, item: object) -> None:
        ends[job] += isinstance(item, Completion | Scores | EdgewiseError)
        put(job, item)

    monkeypatch.setattr(Job, "put", counted)
    chance = random.Random(5)

    async def ask(number: int) -> str:
        how = options(f"{number % 3}", chance.choice((1, 4, 60)), temperature=chance.choice((0.0, 1.0)), seed=number)
        if number % 5 == 0:
            await engine.score(prompt(f"Is {number} a number?"), ("Yes, it is.", "No", "It may be."), how.cache_key)
            return "done"
        late = how.model_copy(update={"timeout_s": chance.choice((None, 0.01, 10.0)), "surprisal": number % 4 == 0})
        last: Chunk | Completion | None = None
        async with aclosing(engine.generate(prompt(chance.choice(("Hi.", "Why?", LONG))), late)) as items:
            async for item in items:
                assert not isinstance(last, Completion), "nothing comes after the end"
                last = item
        assert isinstance(last, Completion)
        return "done"

    async def main() -> None:
        outcomes: Counter[str] = Counter()
        for first in range(0, 300, PARALLEL + MAX_QUEUE):
            tasks = [asyncio.create_task(ask(number)) for number in range(first, first + PARALLEL + MAX_QUEUE)]
            for task in chance.sample(tasks, len(tasks)):
                await asyncio.sleep(chance.choice((0, 0, 0.002, 0.02)))
                task.cancel()
            for result in await asyncio.gather(*tasks, return_exceptions=True):
                outcomes[result if isinstance(result, str) else type(result).__name__] += 1
        assert outcomes.keys() <= {"done", "CancelledError", "DeadlineExceeded"}
        assert outcomes.total() == 300
        assert outcomes["CancelledError"] > 100
        await works(engine)
        assert set(ends.values()) == {1}, "each job that llama.cpp's thread saw ended once"

    asyncio.run(main())


def test_a_fault_on_the_thread_of_llama_cpp_hurts_those_present_only(
    engine: LlamaEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> int:
        raise MemoryError

    async def main() -> None:
        text, _ = await write(engine, "Hi.", options("before"))
        with monkeypatch.context() as patch:
            patch.setattr(engine._native, "cut", broken)
            with pytest.raises(Internal, match="its log has the reason"):
                await write(engine, "Hi.", options("within"))
        assert (await write(engine, "Hi.", options("after")))[0] == text
        await works(engine)

    asyncio.run(main())
