"""Every call that was made is written down with what it cost, and none is made that the money does not allow."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import aclosing, suppress
from itertools import count

import pytest

from cloud.client import NoCloud
from edgewise.errors import (
    CloudUnavailable,
    ContextOverflow,
    EdgeUnavailable,
    EdgewiseError,
    OverBudget,
    Withheld,
)
from edgewise.types import (
    Completion,
    CostBasis,
    Message,
    Options,
    Privacy,
    Prompt,
    Query,
    Reading,
    Sampling,
    Text,
    Tokens,
)
from router.egress import Gated
from router.meter import (
    Budgeted,
    Ledger,
    Metered,
    MeteredEdge,
    PlainSide,
    SideCall,
    content_key,
    generation_asked,
    read_asked,
    unpacked,
)
from tests.boundaries import ALLOWING
from tests.sides import SURE, FakeCloud, FakeEdge, Say, passage

PROMPT = Prompt(messages=(Message(role="user", content=Text.ours("one two three four")),), version="v1")
PRIVATE = Prompt(messages=(Message(role="user", content=Text(value="secret", label=Privacy.PRIVATE)),))
QUERY = Query(text=Text.ours("what"))
OPTIONS = Options(sampling=Sampling(max_tokens=10))


def ticking() -> Ledger:
    """Time passes by one second whenever somebody looks at the clock."""
    ticks = count()
    return Ledger(lambda: float(next(ticks)))


async def drained(side: PlainSide, prompt: Prompt = PROMPT, options: Options = OPTIONS) -> Completion:
    async with aclosing(side.generate(prompt, options)) as parts:
        found = [part async for part in parts]
    assert isinstance(found[-1], Completion)
    return found[-1]


def test_a_generation_is_written_down_whole() -> None:
    async def main() -> None:
        ledger = ticking()
        end = await drained(MeteredEdge(FakeEdge(Say("a b")), ledger))
        [call] = ledger.calls
        assert (call.side, call.kind, call.response, call.error) == ("edge", "generate", "a b", "")
        assert call.logprobs == (SURE, SURE)
        assert (call.model, call.model_hash, call.tokens, call.flops) == (
            end.model, end.model_hash, end.tokens, end.flops,
        )  # fmt: skip
        assert call.prompt_version == "v1"
        assert Prompt.model_validate_json(call.request) == PROMPT
        assert call.first_s is not None
        assert call.started_s < call.first_s < call.ended_s

    asyncio.run(main())


@pytest.mark.parametrize(
    ("error", "code"), [(EdgeUnavailable("gone"), "UNAVAILABLE"), (RuntimeError("a fault of ours"), "INTERNAL")]
)
@pytest.mark.parametrize("after", [0, 1])
def test_a_failed_generation_is_written_down_with_its_error(error: Exception, code: str, after: int) -> None:
    async def main() -> None:
        ledger = ticking()
        with pytest.raises(type(error)):
            await drained(MeteredEdge(FakeEdge(Say("a b", after=after, error=error)), ledger))
        [call] = ledger.calls
        assert (call.error, call.response) == (code, "a " * after)
        assert (call.first_s is None) is (after == 0)

    asyncio.run(main())


def test_a_closed_generation_is_cancelled_and_the_side_stops() -> None:
    async def main() -> None:
        ledger, edge = ticking(), FakeEdge(Say("a b c"))
        async with aclosing(MeteredEdge(edge, ledger).generate(PROMPT, OPTIONS)) as parts:
            await anext(parts)
        assert ledger.calls[0].error == "CANCELLED"
        assert edge.cut_short == 1

    asyncio.run(main())


async def cancelled(work: Coroutine[object, object, object]) -> None:
    task = asyncio.create_task(work)
    await asyncio.sleep(0.01)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def test_a_cancelled_call_of_each_kind_is_cancelled() -> None:
    async def main() -> None:
        ledger, side = ticking(), FakeEdge(Say("a b", hangs=True))
        side.stuck = True
        edge = MeteredEdge(side, ledger)
        await cancelled(drained(edge))
        await cancelled(edge.retrieve(QUERY))
        await cancelled(edge.score(PROMPT, ("a",)))
        assert [(call.kind, call.error) for call in ledger.calls] == [
            ("generate", "CANCELLED"),
            ("retrieve", "CANCELLED"),
            ("score", "CANCELLED"),
        ]

    asyncio.run(main())


@pytest.mark.parametrize("error", [EdgeUnavailable("gone"), None])
def test_lookups_and_scores_are_written_down_failed_or_not(error: EdgewiseError | None) -> None:
    async def main() -> None:
        ledger, side = ticking(), FakeEdge(Say("a"))
        side.down = error
        edge = MeteredEdge(side, ledger)
        for work in (edge.retrieve(QUERY), edge.score(PROMPT, ("a", "b"))):
            if error is None:
                await work
            else:
                with pytest.raises(EdgeUnavailable):
                    await work
        code = "UNAVAILABLE" if error else ""
        assert [(call.kind, call.error) for call in ledger.calls] == [("retrieve", code), ("score", code)]
        assert ledger.calls[1].tokens == (Tokens() if error else Tokens(prompt_tokens=1))

    asyncio.run(main())


def test_readings_and_embeddings_are_written_down_so_that_they_can_be_replayed() -> None:
    async def main() -> None:
        ledger, side = ticking(), FakeEdge(Say("a"), passages=(passage("one two"),))
        side.reads = "two"
        edge = MeteredEdge(side, ledger)
        reading = await edge.read(Text.ours("what"), side.passages)
        vectors = await edge.embed(("one", "aeiou"))
        first, second = ledger.calls
        assert Reading.model_validate_json(first.response) == reading
        assert unpacked(second.response) == vectors
        assert first.key == content_key("edge", "read", read_asked(Text.ours("what"), side.passages))
        assert (ledger.usage.edge, ledger.flops, ledger.cost_usd) == (Tokens(), 0.0, 0.0)

    asyncio.run(main())


def test_a_failed_call_says_which_error_it_was() -> None:
    async def main() -> None:
        ledger, side = ticking(), FakeEdge(Say("a b", error=ContextOverflow("too long"), after=1))
        with pytest.raises(ContextOverflow):
            await drained(MeteredEdge(side, ledger))
        [call] = ledger.calls
        assert (call.error, call.reason, call.response) == ("INVALID_ARGUMENT", "ContextOverflow", "a ")

    asyncio.run(main())


def test_what_never_left_is_no_call() -> None:
    async def main() -> None:
        ledger, cloud = ticking(), FakeCloud(Say("a"), usd_per_mtok=1.0)
        side = Metered("cloud", Budgeted(Gated(cloud, ALLOWING), 0.0), ledger)
        with pytest.raises(OverBudget):
            await drained(side)
        side = Metered("cloud", Gated(cloud, ALLOWING), ledger)
        with pytest.raises(Withheld):
            await drained(side, PRIVATE)
        with pytest.raises(Withheld):
            await side.retrieve(Query(text=Text(value="secret", label=Privacy.PRIVATE)))
        assert ledger.calls == []
        assert cloud.saw_nothing
        assert ledger.cost_usd == 0.0

    asyncio.run(main())


def key_of(author_answers: str, prompt: Prompt, options: Options) -> str:
    async def main() -> str:
        ledger = ticking()
        await drained(MeteredEdge(FakeEdge(Say(author_answers)), ledger), prompt, options)
        return ledger.calls[0].key

    return asyncio.run(main())


def test_other_requests_have_other_keys() -> None:
    others = [OPTIONS.model_copy(update={name: "x"}) for name in ("grammar", "adapter", "response_schema", "cache_key")]
    assert len({generation_asked(PROMPT, other) for other in others}) == 4
    assert read_asked(Text.ours("a"), (passage("b\x1fc"),)) != read_asked(Text.ours("a\x1fb"), (passage("c"),))


def test_a_key_depends_on_the_request_and_not_on_the_answer() -> None:
    hotter = Options(sampling=Sampling(max_tokens=10, temperature=1.0))
    elsewhere = Options(sampling=Sampling(max_tokens=10), cache_key="elsewhere", question_id="7")
    key = key_of("a", PROMPT, OPTIONS)
    assert key == key_of("b", PROMPT, OPTIONS) == key_of("a", PROMPT, elsewhere)
    assert len({key, key_of("a", PRIVATE, OPTIONS), key_of("a", PROMPT, hotter)}) == 3


def call(**given: object) -> SideCall:
    plain: dict[str, object] = {
        "key": "k", "side": "cloud", "kind": "generate", "request": "{}", "started_s": 0.0, "first_s": 1.0,
        "ended_s": 2.0,
    }  # fmt: skip
    return SideCall.model_validate(plain | given)


def ledger_of(*calls: SideCall) -> Ledger:
    ledger = ticking()
    ledger.calls.extend(calls)
    return ledger


@pytest.mark.parametrize(
    ("calls", "cost"),
    [
        ((), 0.0),
        ((call(cost_usd=0.5),), 0.5),
        ((call(cost_usd=0.5), call(cost_usd=0.25)), 0.75),
        ((call(cost_usd=0.5), call(cost_usd=None)), None),
        ((call(cost_usd=None, error="UNAVAILABLE", first_s=None),), 0.0),  # it never started
        ((call(cost_usd=None, error="UNAVAILABLE", reason="Unanswered", first_s=None),), None),
        ((call(cost_usd=None, error="UNAVAILABLE"),), None),  # it broke off: somebody may be billed
        ((call(side="edge", cost_usd=None),), 0.0),  # no rate was given for the edge
        ((call(side="edge", cost_usd=0.1), call(cost_usd=0.5)), 0.6),
    ],
)
def test_the_cost_is_known_or_none(calls: tuple[SideCall, ...], cost: float | None) -> None:
    assert ledger_of(*calls).cost_usd == (None if cost is None else pytest.approx(cost))


def test_the_basis_of_a_sum_is_the_weakest_of_the_cloud() -> None:
    billed, made_up, recorded = (call(cost_usd=1.0, cost_basis=basis) for basis in CostBasis)
    assert ledger_of().cost_basis is None
    assert ledger_of(billed).cost_basis is CostBasis.BILLED
    assert ledger_of(billed, made_up).cost_basis is CostBasis.NOTIONAL
    assert ledger_of(billed, recorded, made_up).cost_basis is CostBasis.SIMULATED


def test_flops_are_a_sum_or_none_and_usage_is_by_side() -> None:
    some = Tokens(prompt_tokens=2, completion_tokens=1)
    mine, other = call(side="edge", tokens=some, flops=3.0), call(tokens=some, flops=4.0)
    unknown, unused = call(tokens=some), call(tokens=Tokens())
    assert ledger_of(mine, other, unused, call(kind="retrieve")).flops == 7.0
    assert ledger_of(mine, unknown).flops is None
    usage = ledger_of(mine, other, other).usage
    assert (usage.edge, usage.cloud) == (some, some + some)


# 18 bytes of prompt are 9 tokens at the worst, and 10 tokens may be answered: 19 at a dollar each million.
WORST = 19e-6


def budgeted(limit: float | None, *answers: Say, price: float | None = 1.0) -> tuple[Budgeted, FakeCloud]:
    cloud = FakeCloud(*(answers or (Say("a b"),)), usd_per_mtok=price)
    return Budgeted(Gated(cloud, ALLOWING), limit), cloud


def test_a_call_needs_its_worst_case_and_pays_its_cost() -> None:
    async def main() -> None:
        side, cloud = budgeted(WORST + 7e-6)
        for _ in range(2):  # each costs 4 + 2 tokens, so that the worst case fits once more
            await drained(side)
        with pytest.raises(OverBudget, match="max_cost_usd"):
            await drained(side)
        assert len(cloud.prompts) == 2

    asyncio.run(main())


def test_what_concurrent_calls_have_reserved_is_not_there() -> None:
    async def main() -> None:
        side, cloud = budgeted(1.5 * WORST, Say("a b", delay_s=0.01))
        results = await asyncio.gather(*(drained(side) for _ in range(4)), return_exceptions=True)
        assert sum(isinstance(result, OverBudget) for result in results) == 3
        assert len(cloud.prompts) == 1

    asyncio.run(main())


def test_a_call_that_failed_keeps_its_reservation() -> None:
    async def main() -> None:
        side, cloud = budgeted(1.5 * WORST, Say("a", after=1, error=CloudUnavailable("broke off")), Say("a"))
        with pytest.raises(CloudUnavailable):
            await drained(side)
        with pytest.raises(OverBudget):
            await drained(side)
        assert len(cloud.prompts) == 1

    asyncio.run(main())


def test_without_a_price_no_limit_can_be_kept() -> None:
    async def main() -> None:
        side, cloud = budgeted(1000.0, price=None)
        with pytest.raises(OverBudget, match="unknown"):
            await drained(side)
        assert cloud.saw_nothing
        unlimited, _ = budgeted(None, price=None)
        assert (await drained(unlimited)).cost_usd is None

    asyncio.run(main())


def looking_up(limit: float | None, usd_per_fetch: float | None) -> tuple[Budgeted, FakeCloud]:
    cloud = FakeCloud(Say("a"), usd_per_fetch=usd_per_fetch)
    return Budgeted(Gated(cloud, ALLOWING), limit), cloud


def test_a_look_up_is_reserved_before_it_is_paid() -> None:
    async def main() -> None:
        side, cloud = looking_up(0.025, 0.01)
        await side.retrieve(QUERY)
        await side.retrieve(QUERY)
        with pytest.raises(OverBudget, match=r"this look-up in the cloud may cost \$0\.010000, and \$0\.005000"):
            await side.retrieve(QUERY)
        assert len(cloud.queries) == 2

    asyncio.run(main())


def test_look_ups_and_generations_share_the_money() -> None:
    async def main() -> None:
        cloud = FakeCloud(Say("a b"), usd_per_mtok=1.0, usd_per_fetch=1e-5)
        side = Budgeted(Gated(cloud, ALLOWING), WORST + 5e-6)
        await side.retrieve(QUERY)
        with pytest.raises(OverBudget, match="this cloud call may cost"):
            await drained(side)
        assert cloud.prompts == []

    asyncio.run(main())


def test_concurrent_look_ups_do_not_spend_the_same_money() -> None:
    async def main() -> None:
        side, cloud = looking_up(0.015, 0.01)
        cloud.stuck = True
        first = asyncio.create_task(side.retrieve(QUERY))
        await cloud.hanging.wait()
        with pytest.raises(OverBudget):
            await side.retrieve(QUERY)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        cloud.stuck = False
        with pytest.raises(OverBudget):  # nobody knows what the cancelled one has cost
            await side.retrieve(QUERY)

    asyncio.run(main())


def test_a_free_look_up_needs_no_money_and_one_without_a_price_no_limit() -> None:
    async def main() -> None:
        free, _ = looking_up(0.0, 0.0)
        assert (await free.retrieve(QUERY)).cost_usd == 0.0
        unknown, cloud = looking_up(1000.0, None)
        with pytest.raises(OverBudget, match="the price of cloud information is unknown"):
            await unknown.retrieve(QUERY)
        assert cloud.saw_nothing
        unlimited, _ = looking_up(None, None)
        assert (await unlimited.retrieve(QUERY)).cost_usd is None

    asyncio.run(main())


def test_a_cloud_that_is_not_there_is_not_called_too_dear() -> None:
    async def main() -> None:
        side = Budgeted(Gated(NoCloud(), ALLOWING), 1.0)
        with pytest.raises(CloudUnavailable, match="no cloud is configured"):
            await side.retrieve(QUERY)
        with pytest.raises(CloudUnavailable, match="no cloud is configured"):
            await drained(side)

    asyncio.run(main())
