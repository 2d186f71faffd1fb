"""Retries with a clock of their own."""

from __future__ import annotations

import asyncio

import pytest

from cloud.backends.failure import Failure
from cloud.backends.figures import UpstreamFigures
from cloud.backends.retried import Allowance, Retried
from edgewise.errors import EdgewiseError, InvalidInput, Overloaded
from edgewise.types import Options
from tests.backends import FAILS, PROMPT, Clock, Scripted, failure_of, heard

BUSY = Overloaded("slow down")


def retried(
    backend: Scripted, clock: Clock, *, attempts: int = 3, budget_s: float = 20.0, few: float = 10.0
) -> tuple[Retried, UpstreamFigures]:
    figures = UpstreamFigures("m at host")
    allowance = Allowance(0.2, few)
    wrapper = Retried(backend, allowance, figures, attempts=attempts, budget_s=budget_s, clock=clock, sleep=clock.sleep)
    return wrapper, figures


def test_what_may_pass_is_tried_again_after_a_pause() -> None:
    async def main() -> None:
        clock, backend = Clock(), Scripted(FAILS, BUSY, "So it is.")
        wrapper, figures = retried(backend, clock)
        text, _ = await heard(wrapper.generate(PROMPT, Options()))
        assert text == "So it is."
        assert figures.retries == len(clock.slept) == 2
        assert all(pause > 0.1 for pause in clock.slept)
        assert clock.slept[1] > clock.slept[0]

    asyncio.run(main())


@pytest.mark.parametrize("fault", [InvalidInput("wrong"), Failure("it worked for a minute", billed=True)])
def test_what_may_not_pass_is_not(fault: EdgewiseError) -> None:
    async def main() -> None:
        backend = Scripted(fault)
        wrapper, _ = retried(backend, Clock())
        assert await failure_of(wrapper.generate(PROMPT, Options())) is fault
        assert len(backend.calls) == 1

    asyncio.run(main())


def test_what_began_is_not_tried_again() -> None:
    async def main() -> None:
        backend = Scripted(("So it", FAILS))
        wrapper, _ = retried(backend, Clock())
        assert await failure_of(wrapper.generate(PROMPT, Options())) is FAILS
        assert len(backend.calls) == 1

    asyncio.run(main())


def test_429s_without_a_time_do_not_spin() -> None:
    async def main() -> None:
        clock, backend = Clock(), Scripted(BUSY)
        wrapper, _ = retried(backend, clock, attempts=10, budget_s=600)
        began = clock.now
        await failure_of(wrapper.generate(PROMPT, Options()))
        assert len(backend.calls) == 10
        assert all(pause >= 0.125 for pause in clock.slept)
        assert clock.now - began > 10

    asyncio.run(main())


def test_the_servers_own_time_is_kept_and_a_longer_one_is_not_begun() -> None:
    async def main() -> None:
        clock = Clock()
        wrapper, _ = retried(Scripted(Overloaded("", retry_after_s=7), "yes"), clock)
        await heard(wrapper.generate(PROMPT, Options()))
        assert 7 <= sum(clock.slept) < 8
        for options, asked_s in ((Options(), 30), (Options(timeout_s=3), 5)):
            clock = Clock()
            wrapper, _ = retried(Scripted(Overloaded("", retry_after_s=asked_s)), clock)
            error = await failure_of(wrapper.generate(PROMPT, options))
            assert (error.retry_after_s, clock.slept) == (asked_s, [])

    asyncio.run(main())


def test_another_try_has_what_is_left_of_the_callers_time() -> None:
    async def main() -> None:
        clock, backend = Clock(), Scripted(Overloaded("", retry_after_s=2), "yes")
        wrapper, _ = retried(backend, clock)
        await heard(wrapper.generate(PROMPT, Options(timeout_s=10)))
        first, second = (options.timeout_s for options in backend.calls)
        assert first == 10
        assert second == pytest.approx(10 - sum(clock.slept))

    asyncio.run(main())


def test_all_calls_together_retry_a_share_and_a_few() -> None:
    async def main() -> None:
        clock, backend = Clock(), Scripted(FAILS)
        wrapper, figures = retried(backend, clock, attempts=5, budget_s=600)
        for _ in range(200):
            await failure_of(wrapper.generate(PROMPT, Options()))
        assert 40 <= figures.retries <= 0.2 * 200 + 10
        assert figures.denied > 100
        assert len(backend.calls) == 200 + figures.retries

    asyncio.run(main())
