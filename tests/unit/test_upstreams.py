"""Who is asked, in which order, and what the answer says of it."""

from __future__ import annotations

import asyncio

import pytest

from cloud.backends.failure import Failure
from cloud.backends.figures import UpstreamFigures
from cloud.terms import OWNER, Terms
from cloud.upstreams import Upstream, Upstreams
from edgewise.errors import CloudUnavailable, ContextOverflow, EdgewiseError, InvalidInput, NotReady, Overloaded
from edgewise.types import Options
from tests.backends import FAILS, PROMPT, Scripted, failure_of, heard

BUSY = Overloaded("slow down", retry_after_s=9)


def upstreams(*backends: Scripted) -> Upstreams:
    return Upstreams(
        [Upstream(backend.model, backend.model, backend, UpstreamFigures(backend.model)) for backend in backends]
    )


@pytest.mark.parametrize("fault", [FAILS, BUSY, Failure("refused the API key")])
def test_the_next_one_answers_and_says_so(fault: EdgewiseError) -> None:
    async def main() -> None:
        first, second = Scripted(fault, model="a"), Scripted("yes", model="b", price=3.0)
        several = upstreams(first, second, Scripted(model="c"))
        text, end = await heard(several.generate(PROMPT, Options(), OWNER))
        assert (text, end.model, end.via, end.cost_usd) == ("yes", "b", "fallback", 3.0)
        assert [upstream.figures.passed_over for upstream in several.permitted(OWNER)] == [1, 0, 0]

    asyncio.run(main())


def test_the_first_one_answers_alone_if_it_can() -> None:
    async def main() -> None:
        first, second = Scripted("yes", model="a"), Scripted(model="b")
        _, end = await heard(upstreams(first, second).generate(PROMPT, Options(), OWNER))
        assert (end.model, end.via, second.calls) == ("a", "", [])

    asyncio.run(main())


@pytest.mark.parametrize(
    "fault",
    [InvalidInput("wrong"), ContextOverflow("long"), NotReady("no grammar"), Failure("withheld", elsewhere=False)],
)
def test_nobody_else_is_asked_what_is_wrong_itself(fault: EdgewiseError) -> None:
    async def main() -> None:
        second = Scripted(model="b")
        assert await failure_of(upstreams(Scripted(fault), second).generate(PROMPT, Options(), OWNER)) is fault
        assert second.calls == []

    asyncio.run(main())


def test_nobody_takes_over_after_the_first_token() -> None:
    async def main() -> None:
        second = Scripted(model="b")
        broken = upstreams(Scripted(("So it", FAILS)), second)
        assert await failure_of(broken.generate(PROMPT, Options(), OWNER)) is FAILS
        assert second.calls == []

    asyncio.run(main())


def test_the_cost_is_unknown_where_the_first_one_may_bill() -> None:
    async def main() -> None:
        silent = Failure("sent nothing for 60 s", billed=True)
        _, end = await heard(upstreams(Scripted(silent), Scripted("yes", model="b")).generate(PROMPT, Options(), OWNER))
        assert (end.via, end.cost_usd, end.cost_basis) == ("fallback", None, None)

    asyncio.run(main())


def test_all_that_failed_are_named_with_the_shortest_wait() -> None:
    async def main() -> None:
        other = Overloaded("too many", retry_after_s=4)
        busy = await failure_of(upstreams(Scripted(BUSY), Scripted(other)).generate(PROMPT, Options(), OWNER))
        assert isinstance(busy, Overloaded)
        assert ("slow down" in busy.message, "too many" in busy.message, busy.retry_after_s) == (True, True, 4)
        silent = Failure("sent nothing", billed=True)
        for last in (FAILS, InvalidInput("wrong")):
            unpaid = await failure_of(upstreams(Scripted(silent), Scripted(last)).generate(PROMPT, Options(), OWNER))
            assert isinstance(unpaid, Failure)
            assert unpaid.billed
        wrong = InvalidInput("wrong")
        assert await failure_of(upstreams(Scripted(FAILS), Scripted(wrong)).generate(PROMPT, Options(), OWNER)) is wrong
        mixed = await failure_of(upstreams(Scripted(BUSY), Scripted(FAILS)).generate(PROMPT, Options(), OWNER))
        assert isinstance(mixed, CloudUnavailable)

    asyncio.run(main())


def test_who_comes_second_has_what_is_left_of_the_time() -> None:
    async def main() -> None:
        held = asyncio.Event()
        first, second = Scripted((held, FAILS)), Scripted("yes", model="b")
        asyncio.get_running_loop().call_later(0.02, held.set)
        await heard(upstreams(first, second).generate(PROMPT, Options(timeout_s=10), OWNER))
        left = second.calls[0].timeout_s
        assert left is not None
        assert left < 10
        held.clear()
        asyncio.get_running_loop().call_later(0.02, held.set)
        assert await failure_of(upstreams(first, second).generate(PROMPT, Options(timeout_s=0.01), OWNER)) is FAILS
        assert len(second.calls) == 1

    asyncio.run(main())


def test_a_caller_gets_only_its_own_models() -> None:
    async def main() -> None:
        first, second = Scripted("a", model="a"), Scripted("b", model="b")
        both = upstreams(first, second)
        text, end = await heard(both.generate(PROMPT, Options(), Terms("app", frozenset({"b"}))))
        assert (text, end.via, first.calls) == ("b", "", [])
        second.outcomes = [FAILS]
        assert await failure_of(both.generate(PROMPT, Options(), Terms("app", frozenset({"b"})))) is FAILS
        assert first.calls == []
        for models in (frozenset({"z"}), frozenset[str]()):
            refused = await failure_of(both.generate(PROMPT, Options(), Terms("app", models)))
            assert isinstance(refused, NotReady)
            assert "none of the models that this key may use" in refused.message
            assert not (await both.status(Terms("app", models))).ready

    asyncio.run(main())


def test_the_status_has_the_highest_price_of_any_that_may_answer() -> None:
    async def main() -> None:
        cheap, dear, unknown = Scripted(model="a"), Scripted(model="b", price=7.0), Scripted(model="c", price=None)
        assert (await upstreams(cheap, dear).status(OWNER)).most_usd(PROMPT, 10) == (
            len("Who wrote Hamlet?") / 2 + 10
        ) * 7e-6
        assert (await upstreams(cheap, dear).status(Terms(models=frozenset({"a"})))).usd_per_mtok_prompt == 1.0
        status = await upstreams(cheap, unknown).status(OWNER)
        assert status.most_usd(PROMPT, 10) is None
        assert (status.model, status.label) == ("a", "a, else c")

    asyncio.run(main())
