"""The breaker with a clock of its own; over a real server it is in tests/contract/test_cloud_upstreams.py."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from cloud.backends.breaker import Breaker
from cloud.backends.failure import Failure
from cloud.backends.figures import UpstreamFigures
from edgewise.errors import DeadlineExceeded, EdgewiseError, InvalidInput, Overloaded
from edgewise.types import Options
from tests.backends import FAILS, PROMPT, Clock, Scripted, failure_of, heard

ANSWER = "So it is."


class Watched:
    """A breaker of five failures and two seconds that are not jittered, over a scripted backend."""

    def __init__(self, *outcomes: object) -> None:
        self.backend = Scripted(*outcomes)
        self.figures = UpstreamFigures("m at host")
        self.clock = Clock()
        self.breaker = Breaker(
            self.backend, self.figures, pause_s=2.0, patience_s=5.0, clock=self.clock, jitter=lambda _, most: most
        )

    async def ask(self, options: Options = Options()) -> EdgewiseError | None:
        try:
            await heard(self.breaker.generate(PROMPT, options))
        except EdgewiseError as error:
            return error
        return None

    async def fail(self, times: int) -> None:
        for _ in range(times):
            assert await self.ask() is not None

    @property
    def state(self) -> str:
        return str(self.figures.state)

    @property
    def sent(self) -> int:
        return len(self.backend.calls)


def test_five_failures_open_it_and_then_nothing_is_sent() -> None:
    async def main() -> None:
        it = Watched(FAILS)
        await it.fail(4)
        assert it.state == "closed"
        await it.fail(1)
        assert it.state == "open"
        assert (it.sent, it.figures.failures, it.figures.opened) == (5, 5, 1)
        refused = await it.ask()
        assert isinstance(refused, Failure)
        assert refused.reason == "CloudUnavailable"
        assert refused.retry_after_s == 2
        assert "it failed" in refused.message
        assert it.sent == 5
        status = await it.breaker.status()
        assert not status.ready
        assert "left alone for 2 s" in status.reason

    asyncio.run(main())


def test_an_answer_in_between_starts_the_count_again() -> None:
    async def main() -> None:
        it = Watched(*[FAILS] * 4, ANSWER, *[FAILS] * 4, ANSWER)
        await it.fail(4)
        assert await it.ask() is None
        await it.fail(4)
        assert await it.ask() is None
        assert it.state == "closed"

    asyncio.run(main())


def test_one_probe_goes_through_and_lets_the_others_in() -> None:
    async def main() -> None:
        answered = asyncio.Event()
        it = Watched(*[FAILS] * 5, (answered, ANSWER), ANSWER)
        await it.fail(5)
        it.clock.now += 2
        assert (await it.breaker.status()).ready
        probe = asyncio.create_task(it.ask())
        await asyncio.sleep(0)
        for _ in range(3):
            assert await it.ask() is not None
        assert (it.sent, it.state) == (6, "half-open")
        answered.set()
        assert await probe is None
        assert it.state == "closed"
        assert await it.ask() is None

    asyncio.run(main())


def test_a_failed_probe_doubles_the_pause_up_to_a_minute() -> None:
    async def main() -> None:
        it = Watched(FAILS)
        await it.fail(5)
        for pause_s in (4, 8, 16, 32, 60, 60):
            it.clock.now = it.breaker._until
            await it.fail(1)
            assert it.breaker._until - it.clock.now == pause_s
        assert it.sent == 5 + 6

    asyncio.run(main())


def test_an_answer_brings_the_first_pause_back() -> None:
    async def main() -> None:
        it = Watched(*[FAILS] * 6, ANSWER, FAILS)
        await it.fail(5)
        it.clock.now += 2
        await it.fail(1)
        it.clock.now += 4
        assert await it.ask() is None
        await it.fail(5)
        assert it.breaker._until - it.clock.now == 2

    asyncio.run(main())


def test_what_breaks_off_after_a_probes_first_token_opens_it_again_for_longer() -> None:
    async def main() -> None:
        broken = Failure("it broke off", billed=True)
        it = Watched((ANSWER, broken))
        await it.fail(5)
        it.clock.now += 2
        await it.fail(1)
        assert it.state == "open"
        assert it.breaker._until - it.clock.now == 4

    asyncio.run(main())


def test_the_servers_own_pause_is_kept() -> None:
    async def main() -> None:
        it = Watched(Failure("maintenance", again=True, retry_after_s=30))
        await it.fail(5)
        assert it.breaker._until - it.clock.now == 30

    asyncio.run(main())


@pytest.mark.parametrize(
    "fault", [InvalidInput("wrong"), Failure("withheld", elsewhere=False), DeadlineExceeded("too late")]
)
def test_the_requests_own_faults_do_not_count(fault: EdgewiseError) -> None:
    async def main() -> None:
        it = Watched(fault)
        for _ in range(20):
            assert await it.ask(Options(timeout_s=1)) is fault
        assert (it.state, it.figures.failures) == ("closed", 0)

    asyncio.run(main())


def test_a_deadline_counts_where_it_left_time_for_a_first_token() -> None:
    async def main() -> None:
        it = Watched(DeadlineExceeded("nothing came"))
        for _ in range(5):
            await it.ask(Options(timeout_s=30))
        assert it.state == "open"

    asyncio.run(main())


def test_a_probe_whose_request_is_wrong_closes_it() -> None:
    async def main() -> None:
        it = Watched(*[FAILS] * 5, InvalidInput("wrong"), ANSWER)
        await it.fail(5)
        it.clock.now += 2
        await it.fail(1)
        assert it.state == "closed"
        assert await it.ask() is None

    asyncio.run(main())


def test_callers_that_leave_do_not_count_and_a_probe_that_leaves_makes_room_for_the_next() -> None:
    async def main() -> None:
        never = asyncio.Event()
        it = Watched(*[never] * 6, *[FAILS] * 5, never, ANSWER)
        for _ in range(6):
            await leave(it)
        assert it.state == "closed"
        await it.fail(5)
        it.clock.now += 2
        await leave(it)
        assert it.state == "open"
        assert await it.ask() is None
        assert it.state == "closed"

    async def leave(it: Watched) -> None:
        task = asyncio.create_task(it.ask())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_closing_an_answer_in_its_middle_is_no_failure() -> None:
    async def main() -> None:
        it = Watched(("one", "two"))
        for _ in range(6):
            async with aclosing(it.breaker.generate(PROMPT, Options())) as events:
                await anext(events)
        assert (it.state, it.figures.failures) == ("closed", 0)

    asyncio.run(main())


def test_a_429_is_no_failure_but_its_pause_is_kept() -> None:
    async def main() -> None:
        it = Watched(*[Overloaded("slow down")] * 10, Overloaded("slow down", retry_after_s=7), ANSWER)
        await it.fail(10)
        assert (it.state, it.figures.failures, it.figures.overloaded) == ("closed", 0, 10)
        await it.fail(1)
        held = await it.ask()
        assert isinstance(held, Overloaded)
        assert held.retry_after_s == 7
        assert it.sent == 11
        assert not (await it.breaker.status()).ready
        it.clock.now += 7
        assert await it.ask() is None

    asyncio.run(main())


def test_a_hundred_at_once_open_it_once() -> None:
    async def main() -> None:
        together = asyncio.Event()
        it = Watched((together, FAILS))
        calls = [asyncio.create_task(failure_of(it.breaker.generate(PROMPT, Options()))) for _ in range(100)]
        await asyncio.sleep(0)
        together.set()
        await asyncio.gather(*calls)
        assert (it.state, it.figures.opened) == ("open", 1)
        assert it.breaker._until - it.clock.now == 2

    asyncio.run(main())
