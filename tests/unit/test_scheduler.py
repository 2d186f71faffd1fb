"""Whose turn it is. Real jobs, scheduler and prefixes; llama.cpp and the clock are made up."""

import asyncio
from collections.abc import Callable, Generator

import numpy as np
import pytest

from edge.llama.job import Found, Job, Need
from edge.llama.prefixes import Space
from edgewise.errors import EdgeUnavailable, Internal
from tests.natives import CHUNK, SECONDS_A_TOKEN, Bench, text


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Bench]:
    def make(sequences: int = 2, *, is_invariant: bool = True, cuts: bool = True) -> Bench:
        made = Bench(sequences, is_invariant=is_invariant, cuts=cuts)
        for module in ("scheduler", "job"):
            monkeypatch.setattr(f"edge.llama.{module}.time", made.native.clock)
        return made

    return make


def test_between_two_chunks_of_a_prompt_every_answer_gets_a_token(bench: Callable[..., Bench]) -> None:
    async def main() -> None:
        one = bench(4)
        for number in (1, 2, 3):
            one.job(f"{number}", text(4, number), answer=200)
        await one.work(8)
        assert one.order == ["1", "2", "3"]
        started = len(one.native.evaluations)
        one.job("long", text(10 * CHUNK, 9))
        await one.work(25)
        assert one.order[-1] == "long"
        later = [tuple(evaluated.counts.values()) for evaluated in one.native.evaluations[started:]]
        chunks = [at for at, counts in enumerate(later) if counts != (1, 1, 1)]
        assert [count for at in chunks for count in later[at]] == [CHUNK] * 10
        assert chunks == list(range(chunks[0], chunks[0] + 20, 2)), (
            "each chunk is alone, and a token of all comes between"
        )

    asyncio.run(main())


@pytest.mark.parametrize("prompts", [1, 2, 5])
def test_a_chunk_is_smaller_while_answers_are_written(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch, prompts: int
) -> None:
    async def main() -> None:
        one = bench(6)
        monkeypatch.setattr(one.scheduler, "_tuning", one.scheduler._tuning.__class__(1, 1, 128, False))
        one.job("alone", text(20 * 128, 1))
        await one.work()
        assert one.native.evaluations[0].counts == {0: 128}
        one.job("writes", text(2, 2), answer=100)
        await one.work(2)
        for number in range(prompts):
            one.job("long", text(200, 3 + number))
        await one.work(1)
        (count,) = one.native.evaluations[-1].counts.values()
        assert 1 < count < 128
        assert 0.5 * 0.15 < count * SECONDS_A_TOKEN <= 0.15 + SECONDS_A_TOKEN

    asyncio.run(main())


def test_a_prompt_is_cut_into_even_chunks(bench: Callable[..., Bench]) -> None:
    """A few tokens that are left over cost as much as many."""

    async def main() -> None:
        one = bench()
        one.job("prompt", text(2 * CHUNK + 2))
        await one.work()
        counts = [count for evaluated in one.native.evaluations for count in evaluated.counts.values()]
        assert counts == [12, 11, 11]

    asyncio.run(main())


def test_answers_are_evaluated_in_the_order_of_their_sequences(bench: Callable[..., Bench]) -> None:
    """llama.cpp computes only neighbours in ascending order together."""

    async def main() -> None:
        one = bench(3)
        for number in (1, 2, 3):
            one.job(f"{number}", text(4, number), answer=3 * number)
        await one.work(5)
        for number in (4, 5, 6):
            one.job(f"{number}", text(4, number), answer=20)
        await one.work(30)
        for evaluated in one.native.evaluations:
            assert list(evaluated.counts) == sorted(evaluated.counts)
        assert one.order == ["1", "2", "3", "4", "5", "6"]

    asyncio.run(main())


@pytest.mark.parametrize("length", [1, 2, CHUNK, CHUNK + 1, CHUNK + 2, 3 * CHUNK + 1])
def test_a_chunk_never_leaves_one_token_of_a_prompt_alone(bench: Callable[..., Bench], length: int) -> None:
    async def main() -> None:
        one = bench()
        one.job("prompt", text(length))
        await one.work()
        counts = [count for evaluated in one.native.evaluations for count in evaluated.counts.values()]
        assert sum(counts) == length
        assert length == 1 or min(counts) > 1
        assert max(counts) <= CHUNK

    asyncio.run(main())


def test_a_short_prompt_overtakes_a_long_one_that_has_begun(bench: Callable[..., Bench]) -> None:
    async def main() -> None:
        one = bench()
        one.job("long", text(20 * CHUNK, 1))
        await one.work(3)
        one.job("short", text(CHUNK, 2))
        await one.work()
        assert one.order == ["short", "long"]

    asyncio.run(main())


def test_equal_prompts_go_in_the_order_in_which_they_came(bench: Callable[..., Bench]) -> None:
    async def main() -> None:
        one = bench()
        for number in range(6):
            one.job(f"{number}", text(CHUNK, number), at=1000 + number / 1000)
        await one.work()
        assert one.order == list("012345")

    asyncio.run(main())


def test_a_stream_of_short_prompts_does_not_starve_a_long_one(bench: Callable[..., Bench]) -> None:
    async def main() -> None:
        one = bench(4)
        long_s = 20 * CHUNK * SECONDS_A_TOKEN
        one.job("long", text(20 * CHUNK, 0))
        began = one.native.clock.now
        sent = 0
        while "long" not in one.order:
            # One arrives as often as one can be evaluated: the machine has no time to spare.
            while began + sent * CHUNK * SECONDS_A_TOKEN <= one.native.clock.now:
                sent += 1
                one.job(f"{sent}", text(CHUNK, sent), at=began + sent * CHUNK * SECONDS_A_TOKEN)
            await one.work(1)
            assert sent < 1000, "the long prompt starves"
        assert one.native.clock.now - began < 3 * long_s
        assert len(one.order) > 10, "those that came soon after it went first"

    asyncio.run(main())


def test_work_in_the_background_waits_but_does_not_starve(bench: Callable[..., Bench]) -> None:
    async def main() -> None:
        one = bench()
        now = one.native.clock.now
        one.job("old background", text(CHUNK, 1), at=now - 1000, is_batch=True)
        one.job("background", text(CHUNK, 2), at=now - 5, is_batch=True)
        for number in range(3, 6):
            one.job(f"{number}", text(4 * CHUNK, number), at=now)
        await one.work()
        assert one.order == ["old background", "3", "4", "5", "background"]

    asyncio.run(main())


def test_answers_are_written_together_but_for_other_adapters(bench: Callable[..., Bench]) -> None:
    async def main() -> None:
        one = bench(4)
        for number, adapter in enumerate(("", "a", "", "a")):
            one.job(f"{number}", text(4, number), answer=10, adapter=adapter)
        await one.work()
        steps = [evaluated for evaluated in one.native.evaluations if set(evaluated.counts.values()) == {1}]
        together = {
            (evaluated.adapter, frozenset(evaluated.counts)) for evaluated in steps if len(evaluated.counts) == 2
        }
        assert {adapter for adapter, _ in together} == {"", "a"}
        assert len({sequences for _, sequences in together}) == 2
        assert all(len(evaluated.counts) <= 2 for evaluated in steps)

    asyncio.run(main())


@pytest.mark.parametrize("is_invariant", [True, False])
def test_a_seed_has_its_steps_alone_where_company_changes_what_comes_out(
    bench: Callable[..., Bench], is_invariant: bool
) -> None:
    async def main() -> None:
        one = bench(4, is_invariant=is_invariant)
        for number in range(4):
            one.job(f"{number}", text(4, number), answer=20, has_seed=number < 2)
        await one.work()
        most = max(len(evaluated.counts) for evaluated in one.native.evaluations)
        assert most == (4 if is_invariant else 2)
        if not is_invariant:
            with_seed = [counts for counts in (one.counts for one in one.native.evaluations) if {0, 1} & counts.keys()]
            assert all(len(counts) == 1 for counts in with_seed)

    asyncio.run(main())


def test_prompts_that_are_alike_are_evaluated_once(bench: Callable[..., Bench]) -> None:
    async def main() -> None:
        one = bench(4)
        jobs = [one.job(f"{number}", text(100)) for number in range(4)]
        await one.work()
        assert [job.cached for job in jobs] == [0, 98, 98, 98]
        tokens = sum(count for evaluated in one.native.evaluations for count in evaluated.counts.values())
        assert tokens == 100 + 3 * 2

    asyncio.run(main())


@pytest.mark.parametrize("rounds", [0, 1, 4, 30], ids=["waiting", "in the prompt", "at its end", "writing"])
def test_a_cancelled_job_ends_wherever_it_is_and_hurts_nobody(bench: Callable[..., Bench], rounds: int) -> None:
    async def main() -> None:
        one = bench(2)
        cancelled = one.job("cancelled", text(4 * CHUNK, 1), answer=1000)
        await one.work(rounds)
        others = [one.job(f"{number}", text(CHUNK, number), answer=20) for number in (2, 3, 4)]
        await one.work(2)
        cancelled.flag.raise_()
        await one.work()
        assert [await job.next() for job in others] == ["2", "3", "4"]
        assert one.prefixes.idle == 2
        with pytest.raises(EdgeUnavailable):
            await cancelled.next()

    asyncio.run(main())


def test_one_that_is_cancelled_in_llama_cpp_leaves_a_whole_beginning(bench: Callable[..., Bench]) -> None:
    async def main() -> None:
        one = bench(1)
        first = one.job("first", text(10 * CHUNK))
        await one.work(3)
        first.flag.raise_()
        one.scheduler._evaluate_a_chunk(one.scheduler._prompts())  # the flag is raised while a chunk is evaluated
        again = one.job("again", text(10 * CHUNK))
        await one.work()
        assert again.cached == 3 * CHUNK
        assert await again.next() == "again"

    asyncio.run(main())


def test_a_failure_of_llama_cpp_ends_the_jobs_of_that_evaluation_only(bench: Callable[..., Bench]) -> None:
    async def main() -> None:
        one = bench(2)
        writes = one.job("writes", text(4, 1), answer=50)
        await one.work(5)
        fails = one.job("fails", text(CHUNK, 2))
        one.native.fails = True
        one.scheduler._evaluate_a_chunk(one.scheduler._prompts())
        one.native.fails = False
        await one.work()
        with pytest.raises(Internal):
            await fails.next()
        assert await writes.next() == "writes"
        assert one.prefixes.idle == 2

    asyncio.run(main())


def test_a_fault_in_one_job_does_not_end_the_engine(
    bench: Callable[..., Bench], caplog: pytest.LogCaptureFixture
) -> None:
    def faulty(job: Job) -> Generator[Need, Found, None]:
        yield Need(job.prompt)
        raise ValueError("as the test wants it")

    async def main() -> None:
        one = bench(2)
        bad = Job(faulty, text(4, 1), Space(), reusable=0)
        one.scheduler.add(bad)
        good = one.job("good", text(4, 2), answer=5)
        await one.work()
        with pytest.raises(Internal, match="its log has the reason"):
            await bad.next()
        assert await good.next() == "good"
        assert "as the test wants it" in caplog.text
        assert one.prefixes.idle == 2

    asyncio.run(main())


def test_interrupting_ends_all(bench: Callable[..., Bench]) -> None:
    async def main() -> None:
        one = bench(1)
        jobs = [one.job(f"{number}", text(4, number), answer=1000) for number in range(3)]
        await one.work(5)
        one.scheduler.interrupt()
        one.scheduler.round()
        assert one.scheduler.is_idle
        await one.work()
        for job in jobs:
            with pytest.raises(EdgeUnavailable):
                await job.next()
        assert one.prefixes.idle == 1

    asyncio.run(main())


def test_wanted_logits_come_in_one_piece(bench: Callable[..., Bench]) -> None:
    seen: list[int] = []

    def steps(job: Job) -> Generator[Need, Found, None]:
        found = yield Need(np.arange(3 * CHUNK, dtype=np.int32), "every")
        seen.extend(found.rows[:, 0].astype(int).tolist())

    async def main() -> None:
        one = bench()
        one.scheduler.add(Job(steps, text(4), Space(), reusable=0))
        await one.work()
        assert seen == list(range(3 * CHUNK))

    asyncio.run(main())
