"""What is kept of answers, for whom, for how long, and what never is."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable

import pytest

from cloud.answer import Answer, request_digest
from cloud.backends.failure import Failure
from cloud.backends.figures import GateFigures, UpstreamFigures
from cloud.cached import Cached
from cloud.kept import Kept
from cloud.repeated import Repeated
from cloud.terms import OWNER, Answers, Terms
from cloud.upstreams import Upstream, Upstreams
from edgewise.errors import Conflict, InvalidInput
from edgewise.types import Chunk, Findings, Options, Privacy, Prompt, Query, Sampling, Text
from tests.backends import FAILS, PROMPT, Clock, Scripted, asking, failure_of, heard

MIB = 2**20
PUBLIC = asking("Who wrote Hamlet?", Privacy.PUBLIC)
PRIVATE = asking("Who wrote Hamlet?", Privacy.PRIVATE)
LONG = Scripted().end.model_copy(update={"finish_reason": "length"})
ANN, BEN = Terms("ann"), Terms("ben")


def test_what_is_kept_is_bounded_in_number_bytes_and_time() -> None:
    clock = Clock()
    kept = Kept[str](entries=3, most_bytes=MIB, ttl_s=10, clock=clock)
    for name in "abcd":
        kept.put(name, name, "", 0)
    assert [kept.get(name) for name in "abcd"] == [None, "b", "c", "d"]
    kept.put("e", "large", "", 200_000)
    kept.put("f", "too large", "", 300_000)
    assert (kept.get("e"), kept.get("f")) == ("large", None)
    for number in range(100):
        kept.put(number, "x", "", 200_000)
        assert kept.bytes <= MIB
    clock.now += 10
    assert kept.get(99) is None
    assert (len(kept), kept.bytes) == (0, 0)


def test_a_caller_forgets_its_own_and_the_owner_everybodys() -> None:
    kept = Kept[str](entries=9, most_bytes=MIB, ttl_s=10)
    for caller in ("ann", "ann", "ben", ""):
        kept.put(object(), "x", caller, 0)
    assert kept.forget("ann") == 2
    assert kept.forget("nobody") == 0
    assert kept.forget("") == 2
    assert kept.bytes == 0


def upstreams(backend: Scripted) -> Upstreams:
    return Upstreams([Upstream(backend.model, backend.model, backend, UpstreamFigures(backend.model))])


def cached(backend: Scripted, clock: Clock | None = None) -> tuple[Answers, GateFigures]:
    inner, figures = upstreams(backend), GateFigures()
    kept = Kept[Answer](entries=100, most_bytes=MIB, ttl_s=60, clock=clock or Clock())
    return Cached(inner, kept, figures, inner.places), figures


async def calls(backend: Scripted, *asked: tuple[Prompt, Options, Terms]) -> int:
    """How often the backend was asked for these, one after the other."""
    answers, _ = cached(backend)
    for prompt, options, terms in asked:
        with contextlib.suppress(Failure):
            await heard(answers.generate(prompt, options, terms))
    return len(backend.calls)


def test_a_hit_is_the_same_answer_costs_nothing_and_says_what_it_is() -> None:
    async def main() -> None:
        clock, backend = Clock(), Scripted(("So ", "it ", "is."))
        answers, figures = cached(backend, clock)
        first, first_end = await heard(answers.generate(PROMPT, Options(), ANN))
        again, end = await heard(answers.generate(PROMPT, Options(timeout_s=3, priority="batch"), ANN))
        assert first == again == "So it is."
        assert (end.via, end.cost_usd, end.flops) == ("cache", 0.0, 0.0)
        assert (end.model, end.tokens, end.cost_basis) == (first_end.model, first_end.tokens, first_end.cost_basis)
        assert (len(backend.calls), figures.cache_hits, figures.cache_misses) == (1, 1, 1)
        chunks = [event async for event in answers.generate(PROMPT, Options(), ANN) if isinstance(event, Chunk)]
        assert sum(len(chunk.logprobs) for chunk in chunks) == 3
        clock.now += 60
        await heard(answers.generate(PROMPT, Options(), ANN))
        assert len(backend.calls) == 2

    asyncio.run(main())


@pytest.mark.parametrize(
    "other",
    [
        (asking("Who wrote Faust?"), Options(), ANN),
        (PROMPT, Options(cache_key="another mode"), ANN),
        (PROMPT, Options(sampling=Sampling(max_tokens=9)), ANN),
        (PROMPT, Options(sampling=Sampling(seed=4)), ANN),
        (PROMPT, Options(response_schema="{}"), ANN),
        (PROMPT, Options(question_id="q"), ANN),
        (PROMPT, Options(), BEN),
        (PROMPT, Options(), OWNER),
        (PUBLIC, Options(), ANN),
        (PROMPT, Options(), Terms("ann", frozenset({"m", "n"}))),
    ],
)
def test_whatever_determines_an_answer_tells_it_from_others(other: tuple[Prompt, Options, Terms]) -> None:
    one, two = Scripted("x", model="m"), Scripted("y", model="n")
    both = Upstreams([Upstream(b.model, b.model, b, UpstreamFigures(b.model)) for b in (one, two)])
    only_m = Terms("ann", frozenset({"m"}))

    async def main() -> None:
        answers = Cached(both, Kept(entries=9, most_bytes=MIB, ttl_s=60), GateFigures(), both.places)
        await heard(answers.generate(PROMPT, Options(), only_m))
        await heard(answers.generate(*other))
        assert len(one.calls) == 2
        await heard(answers.generate(*other))
        assert len(one.calls) == 2

    asyncio.run(main())


def test_what_is_public_is_for_all_and_nothing_private_is_kept() -> None:
    async def main() -> None:
        assert await calls(Scripted(), (PUBLIC, Options(), ANN), (PUBLIC, Options(), BEN)) == 1
        assert await calls(Scripted(), (PRIVATE, Options(), ANN), (PRIVATE, Options(), ANN)) == 2

    asyncio.run(main())


def test_only_what_could_be_no_other_is_kept() -> None:
    warm, seeded = Options(sampling=Sampling(temperature=1)), Options(sampling=Sampling(temperature=1, seed=3))

    async def main() -> None:
        assert await calls(Scripted(), (PROMPT, warm, ANN), (PROMPT, warm, ANN)) == 2
        assert await calls(Scripted(), (PROMPT, seeded, ANN), (PROMPT, seeded, ANN)) == 1

    asyncio.run(main())


@pytest.mark.parametrize(
    "first",
    [FAILS, ("So it", FAILS), ("So it", LONG), ("So", Scripted().end.model_copy(update={"via": "fallback"}))],
)
def test_no_failure_no_part_and_no_makeshift_is_kept(first: object) -> None:
    async def main() -> None:
        assert await calls(Scripted(first, "yes"), (PROMPT, Options(), ANN), (PROMPT, Options(), ANN)) == 2

    asyncio.run(main())


def test_an_answer_that_its_caller_left_is_not_kept() -> None:
    async def main() -> None:
        backend = Scripted(("So ", "it is."))
        answers, _ = cached(backend)
        events = answers.generate(PROMPT, Options(), ANN)
        await anext(events)
        await events.aclose()
        await heard(answers.generate(PROMPT, Options(), ANN))
        assert len(backend.calls) == 2

    asyncio.run(main())


def repeated(backend: Scripted, clock: Clock) -> Repeated:
    kept = Kept[tuple[bytes, Answer | Findings]](entries=10, most_bytes=MIB, ttl_s=600, clock=clock)
    return Repeated(upstreams(backend), kept, GateFigures())


def key(name: str, caller: str = "ann") -> Terms:
    return Terms(caller, idempotency_key=name)


def test_the_same_key_gets_the_same_answer_at_the_price_that_it_had() -> None:
    async def main() -> None:
        clock, backend = Clock(), Scripted(("So ", "it is."), "otherwise", price=2.0)
        answers = repeated(backend, clock)
        await heard(answers.generate(PROMPT, Options(), key("k")))
        text, end = await heard(answers.generate(PROMPT, Options(timeout_s=1), key("k")))
        assert (text, end.via, end.cost_usd, len(backend.calls)) == ("So it is.", "repeated", 2.0, 1)
        for terms in (key("other"), key("k", "ben"), Terms("ann")):
            assert (await heard(answers.generate(PROMPT, Options(), terms)))[0] == "otherwise"
        clock.now += 600
        assert (await heard(answers.generate(PROMPT, Options(), key("k"))))[0] == "otherwise"

    asyncio.run(main())


def test_a_key_is_for_one_request_at_a_time() -> None:
    async def main() -> None:
        held = asyncio.Event()
        backend = Scripted((held, "yes"))
        answers = repeated(backend, Clock())
        first = asyncio.create_task(heard(answers.generate(PROMPT, Options(), key("k"))))
        await asyncio.sleep(0)
        waits = await failure_of(answers.generate(PROMPT, Options(), key("k")))
        other = await failure_of(answers.generate(asking("?"), Options(), key("k")))
        assert (type(waits), type(other)) == (Conflict, InvalidInput)
        held.set()
        await first
        other = await failure_of(answers.generate(asking("?"), Options(), key("k")))
        assert isinstance(other, InvalidInput)
        assert isinstance(await failure_of(answers.generate(PROMPT, Options(), key("k" * 201))), InvalidInput)
        assert len(backend.calls) == 1

    asyncio.run(main())


@pytest.mark.parametrize("first", [FAILS, ("So it", FAILS)])
def test_neither_errors_nor_what_broke_off_are_remembered(first: object) -> None:
    async def main() -> None:
        answers = repeated(Scripted(first, "yes"), Clock())
        assert await failure_of(answers.generate(PROMPT, Options(), key("k"))) is FAILS
        assert (await heard(answers.generate(PROMPT, Options(), key("k"))))[0] == "yes"

    asyncio.run(main())


def test_who_left_may_ask_again_and_the_private_is_asked_anew() -> None:
    async def main() -> None:
        backend = Scripted(("So ", "it is."))
        answers = repeated(backend, Clock())
        events = answers.generate(PROMPT, Options(), key("k"))
        await anext(events)
        await events.aclose()
        _, end = await heard(answers.generate(PROMPT, Options(), key("k")))
        assert end.via == ""
        for _ in range(2):
            _, end = await heard(answers.generate(PRIVATE, Options(), key("p")))
            assert end.via == ""

    asyncio.run(main())


def test_a_look_up_is_remembered_like_an_answer() -> None:
    async def main() -> None:
        answers, found = repeated(Scripted(), Clock()), Findings(cost_usd=0.5)
        query, asked = Query(text=Text.ours("Where?")), list[int]()

        def retrieve() -> Awaitable[Findings]:
            asked.append(1)
            return _soon(found)

        def look_up(query: Query, name: str) -> Awaitable[Findings]:
            return answers.look_up(query, key(name), retrieve)

        assert await look_up(query, "k") == found
        assert await look_up(query, "k") == found.model_copy(update={"via": "repeated"})
        assert len(asked) == 1
        assert await look_up(query, "") == found
        with pytest.raises(InvalidInput):
            await look_up(Query(text=Text.ours("When?")), "k")
        await heard(answers.generate(PROMPT, Options(), key("k")))  # a key of another kind of call is another key

    asyncio.run(main())


async def _soon(found: Findings) -> Findings:
    return found


def test_texts_that_only_look_alike_are_different_requests() -> None:
    def of(*words: str) -> Prompt:
        return Prompt(messages=tuple(asking(word).messages[0] for word in words))

    digests = {
        request_digest(prompt, Options()) for prompt in (of("ab"), of("a", "b"), of("a b"), of('a"], ["user", "b'))
    }
    assert len(digests) == 4
    assert isinstance(request_digest(of("\ud800"), Options()), bytes)
    assert request_digest(PROMPT, Options(), "x", "y") != request_digest(PROMPT, Options(), "xy")
