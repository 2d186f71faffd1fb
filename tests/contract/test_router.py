"""One suite for the router, in this process and over gRPC: what each mode asks, shows, keeps and writes down."""

from __future__ import annotations

import asyncio
from typing import Literal

import pytest

from edgewise.errors import (
    BrokenOff,
    CloudUnavailable,
    EdgewiseError,
    OverBudget,
    Overloaded,
    Withheld,
)
from edgewise.types import CostBasis, Event, Grounding, Privacy
from router.config import RouterSettings
from router.modes import MODES
from router.tools import TOOLS
from tests.routers import (
    ASKED,
    FERRY,
    TARIFF,
    VARIANTS,
    Heard,
    Place,
    Trying,
    a_cloud,
    an_edge,
    collect,
    question,
    until,
)
from tests.sides import SURE, UNSURE, Say

TO_CLOUD = RouterSettings(gain_threshold=0)
NO_CLOUD = CloudUnavailable("no cloud is there; start one")


@pytest.mark.parametrize("mode", VARIANTS)
@pytest.mark.parametrize("hold", [False, True])
@pytest.mark.parametrize("logprob", [SURE, UNSURE])
def test_every_mode_answers_and_its_record_says_what_happened(
    tried: Trying, mode: str, hold: bool, logprob: float
) -> None:
    async def work(place: Place) -> None:
        heard = await place.ask(question(mode, hold=hold))
        done = heard.done
        record = await place.record(done.record_id)
        assert heard.text == record.answer != ""
        assert (record.mode_asked, record.mode, record.error) == (mode, done.mode, "")
        assert record.question == ASKED
        assert not done.degraded
        last = heard.tokens[-1]
        assert (last.answer_id, last.author) == (done.answer_id, done.author)
        assert [list(record.steps), list(record.citations)] == [
            heard.steps, [found for event in heard.citations for found in event.passages],
        ]  # fmt: skip
        check_numbers(record.model_dump(), place, heard)

    tried(work, an_edge(logprob))


def check_numbers(record: dict[str, object], place: Place, heard: Heard) -> None:
    """What was counted is what the sides did, and times are in order."""
    done, edge, cloud = heard.done, place.edge, place.cloud
    assert len(record["calls"]) == edge.calls + cloud.calls  # type: ignore[arg-type]  # a tuple of keys
    assert record["cloud_calls"] == len(cloud.prompts) + len(cloud.queries)
    assert record["cloud_generates"] == len(cloud.prompts)
    assert record["retractions"] == (len(heard.retractions) or record["retractions"])
    assert done.usage.edge.completion_tokens == edge.tokens
    assert done.usage.cloud.completion_tokens == cloud.tokens
    both = done.usage.cloud.prompt_tokens + done.usage.cloud.completion_tokens
    assert done.cost_usd == pytest.approx(both / 1e6)
    assert done.cost_basis is (CostBasis.NOTIONAL if cloud.prompts else None)
    assert record["flops"]
    assert done.first_shown_s is not None
    assert done.first_kept_s is not None
    assert 0 <= done.first_shown_s <= done.first_kept_s <= done.total_s
    assert (done.first_shown_s, done.first_kept_s, done.total_s) == (
        record["first_shown_s"], record["first_kept_s"], record["total_s"],
    )  # fmt: skip
    assert record["policy_version"]
    assert record["prompt_version"]
    assert record["propensity"] == 1.0
    assert str(record["model_hash"]).startswith("hash-of-")


def test_every_mode_is_listed_and_one_is_the_default(tried: Trying) -> None:
    async def work(place: Place) -> None:
        modes = await place.client.modes() if place.client else place.router.modes()
        assert [mode.name for mode in modes] == list(MODES)
        assert [mode.name for mode in modes if mode.is_default] == ["agent"]
        assert all(mode.summary for mode in modes)
        heard = await place.ask(question(""))
        assert (await place.record(heard.done.record_id)).mode_asked == "agent"

    tried(work, settings=RouterSettings(default_mode="agent"))


# --- who answers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("threshold", "author"), [(0.0, "cloud"), (1.0, "edge")])
def test_pre_arbitration_asks_one_side_only(tried: Trying, threshold: float, author: str) -> None:
    async def work(place: Place) -> None:
        done = (await place.ask(question("pre_arbitration"))).done
        assert done.author == author
        assert (len(place.cloud.prompts), len(place.edge.prompts)) == ((1, 0) if author == "cloud" else (0, 1))

    tried(work, settings=RouterSettings(gain_threshold=threshold))


def test_parallel_keeps_a_trusted_draft(tried: Trying) -> None:
    async def work(place: Place) -> None:
        heard = await place.ask(question("post_arbitration"))
        assert heard.done.author == "edge"
        assert heard.retractions == []
        assert heard.done.usage.cloud.completion_tokens > 0
        assert {token.author for token in heard.tokens} == {"edge"}

    tried(work)


def test_parallel_keeps_a_doubtful_draft_that_the_cloud_confirms(tried: Trying) -> None:
    async def work(place: Place) -> None:
        assert (await place.ask(question("post_arbitration"))).done.author == "edge"

    tried(work, an_edge(UNSURE), a_cloud(Say("It is nine, when the ferry sails")))


def test_parallel_retracts_a_doubtful_draft(tried: Trying) -> None:
    async def work(place: Place) -> None:
        heard = await place.ask(question("post_arbitration"))
        [retraction] = heard.retractions
        assert retraction.answer_id == heard.tokens[0].answer_id != heard.done.answer_id
        assert (heard.done.author, heard.text) == ("cloud", "Nobody sails before noon")
        assert heard.done.first_shown_s is not None
        assert heard.done.first_kept_s is not None
        assert heard.done.first_shown_s < heard.done.first_kept_s

    tried(work, an_edge(UNSURE))


def test_parallel_shows_the_draft_while_the_cloud_still_thinks(tried: Trying) -> None:
    async def work(place: Place) -> None:
        seen: list[Event] = []
        listening = asyncio.create_task(collect(place.events(question("post_arbitration")), seen))
        await until(lambda: len(Heard(tuple(seen)).tokens) == 5)
        await until(place.cloud.hanging.is_set)
        listening.cancel()
        await asyncio.wait({listening})

    tried(work, cloud=a_cloud(Say("never", hangs=True)))


@pytest.mark.parametrize(("logprob", "asked"), [(SURE, 0), (UNSURE, 1), (None, 1)])
def test_a_cascade_asks_the_cloud_only_below_the_threshold(tried: Trying, logprob: float | None, asked: int) -> None:
    async def work(place: Place) -> None:
        heard = await place.ask(question("post_arbitration+cascade"))
        assert len(place.cloud.prompts) == len(heard.retractions) == asked
        assert heard.done.author == ("cloud" if asked else "edge")

    tried(work, an_edge(logprob))


def test_cloud_info_informs_and_the_edge_writes(tried: Trying) -> None:
    async def work(place: Place) -> None:
        heard = await place.ask(question("cloud_info_edge_rag", collections=("my secret drawer",)))
        done = heard.done
        assert (done.author, done.grounding) == ("edge", Grounding.GROUNDED)
        assert place.cloud.prompts == []
        [query] = place.cloud.queries
        assert query.collections == ()  # the names of collections stay here
        assert place.edge.queries[0].collections == ("my secret drawer", "cloud-info")
        assert FERRY.text.value in place.edge.prompts[-1].messages[-1].content.value
        assert TARIFF.text.value in place.edge.prompts[-1].messages[-1].content.value
        # Only what the answer stands on is cited, with the words that it stands on.
        [cited] = [found for event in heard.citations for found in event.passages]
        assert [cited.text.value[span.start : span.end] for span in cited.spans] == [FERRY.text.value]

    tried(work)


def test_nothing_relevant_and_no_trust_is_an_abstention(tried: Trying) -> None:
    async def work(place: Place) -> None:
        place.cloud.passages = ()
        for mode in ("cloud_info_edge_rag", "edge_only+rag"):
            heard = await place.ask(question(mode))
            assert heard.done.grounding is Grounding.ABSTAINED
            assert heard.done.reason
            assert heard.citations == []
            assert len({token.answer_id for token in heard.tokens}) == 1  # the guess was never shown

    tried(work, an_edge(UNSURE, knows=False))


def test_the_agent_uses_the_tools_that_it_chooses_and_each_step_is_told(tried: Trying) -> None:
    async def work(place: Place) -> None:
        heard = await place.ask(question("agent"))
        names = [step.name for step in heard.steps]
        assert [name for name in names if name in {"library", "search", "clock", "calculator"}] == ["library", "search"]
        assert (len(place.cloud.queries), len(place.edge.queries)) == (1, 1)
        assert heard.done.grounding is Grounding.GROUNDED

    edge = an_edge()
    edge.tools = ("library", "search")
    tried(work, edge)


@pytest.mark.parametrize(
    ("on_device", "in_cloud", "used"),
    [(True, True, ["search"]), (False, True, ["search", "library"]), (False, False, ["search", "library"])],
)
def test_an_agent_does_not_answer_from_nothing_before_it_has_looked(
    tried: Trying, *, on_device: bool, in_cloud: bool, used: list[str]
) -> None:
    async def work(place: Place) -> None:
        place.edge.tools = ()
        place.edge.passages = (FERRY,) if on_device else ()
        place.cloud.passages = (FERRY.model_copy(update={"origin": "cloud"}),) if in_cloud else ()
        heard = await place.ask(question("agent"))
        assert [step.name for step in heard.steps if step.name in TOOLS] == used
        assert heard.done.grounding is (Grounding.GROUNDED if on_device or in_cloud else Grounding.ABSTAINED)

    tried(work, an_edge(UNSURE))


def test_an_agent_stops_when_its_steps_are_used_up(tried: Trying) -> None:
    async def work(place: Place) -> None:
        heard = await place.ask(question("agent"))
        assert [step.name for step in heard.steps].count("choose tool") == 1
        assert any("agent_steps" in step.detail for step in heard.steps)

    tried(work, settings=RouterSettings(agent_steps=1))


# --- hold -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", VARIANTS)
def test_who_holds_sees_no_token_that_is_retracted_and_no_retraction(tried: Trying, mode: str) -> None:
    async def work(place: Place) -> None:
        heard = await place.ask(question(mode, hold=True))
        assert heard.retractions == []
        shown = {token.answer_id for token in heard.tokens} | {event.answer_id for event in heard.citations}
        assert shown == {heard.done.answer_id}

    edge = an_edge(UNSURE)
    edge.answers = [Say("Bananas are yellow", logprob=UNSURE)]  # which nothing supports, so that every mode retracts it
    tried(work, edge, settings=TO_CLOUD)


# --- private ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", VARIANTS)
@pytest.mark.parametrize("unknown", ["allow", "hold"])
def test_the_cloud_sees_nothing_private_in_any_mode(
    tried: Trying, mode: str, unknown: Literal["allow", "hold"]
) -> None:
    card = {"text": "May I pay with 4111 1111 1111 1111?"}
    asked = {"allow": ({"privacy": Privacy.PRIVATE}, card), "hold": ({}, card)}[unknown]

    async def work(place: Place) -> None:
        for given in asked:
            if mode.startswith("cloud_only"):
                with pytest.raises(Withheld, match="edge_only"):
                    await place.ask(question(mode, **given))
                assert (await place.records())[0].error == "FAILED_PRECONDITION"
                continue
            done = (await place.ask(question(mode, **given))).done
            assert done.author == "edge"
            assert done.degraded is not mode.startswith("edge_only")
            assert ("not sent to the cloud" in done.reason) is done.degraded
        for record in await place.records():
            assert (record.cloud_calls, record.cost_usd, record.cost_basis) == (0, 0.0, None)
        assert place.cloud.saw_nothing

    edge = an_edge(UNSURE, knows="rag" in mode)
    edge.tools = ("library", "answer") * 2
    tried(work, edge, settings=TO_CLOUD, unknown=unknown)


def test_a_public_question_may_leave_whatever_it_looks_like(tried: Trying) -> None:
    async def work(place: Place) -> None:
        given = {"text": "Is 4111 1111 1111 1111 a test number?", "privacy": Privacy.PUBLIC}
        assert (await place.ask(question("cloud_only", **given))).done.author == "cloud"

    tried(work, unknown="hold")


# --- a cloud that cannot ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [CloudUnavailable, Overloaded])
@pytest.mark.parametrize("mode", [mode for mode in VARIANTS if not mode.startswith("edge_only")])
def test_without_the_cloud_every_mode_answers_from_the_edge(
    tried: Trying, mode: str, fault: type[EdgewiseError]
) -> None:
    async def work(place: Place) -> None:
        place.cloud.down = fault("no cloud is there; start one")
        for money in (None, 1.0):
            done = (await place.ask(question(mode, max_cost_usd=money))).done
            assert (done.author, done.degraded) == ("edge", True)
            assert "no cloud is there; start one" in done.reason

    edge = an_edge(UNSURE, knows="rag" in mode)
    edge.tools = ("library", "answer", "library", "answer")
    tried(work, edge, settings=TO_CLOUD)


@pytest.mark.parametrize("mode", ["cloud_only", "pre_arbitration"])
def test_nobody_takes_over_an_answer_that_broke_off(tried: Trying, mode: str) -> None:
    async def work(place: Place) -> None:
        events: list[Event] = []
        with pytest.raises(BrokenOff):
            await collect(place.events(question(mode)), events)
        assert [event.author for event in Heard(tuple(events)).tokens] == ["cloud"]
        assert place.edge.prompts == []
        [record] = await place.records()
        assert (record.error, record.answer, record.cost_usd) == ("UNAVAILABLE", "", None)

    tried(work, cloud=a_cloud(Say("Nobody sails", after=1, error=NO_CLOUD)), settings=TO_CLOUD)


@pytest.mark.parametrize("mode", ["cloud_only", "pre_arbitration"])
def test_an_answer_that_broke_off_unseen_is_the_edges_to_give(tried: Trying, mode: str) -> None:
    async def work(place: Place) -> None:
        heard = await place.ask(question(mode, hold=True))
        assert {token.author for token in heard.tokens} == {"edge"}
        assert (heard.done.author, heard.done.degraded) == ("edge", True)
        assert heard.done.cost_usd is None

    tried(work, cloud=a_cloud(Say("Nobody sails", after=1, error=NO_CLOUD)), settings=TO_CLOUD)


@pytest.mark.parametrize("mode", ["post_arbitration", "post_arbitration+cascade"])
def test_a_silent_cloud_answer_that_broke_off_costs_nobody_the_edges(tried: Trying, mode: str) -> None:
    async def work(place: Place) -> None:
        heard = await place.ask(question(mode))
        assert (heard.done.author, heard.done.degraded) == ("edge", True)
        assert heard.done.cost_usd is None  # somebody may be billed for what broke off
        assert heard.retractions == []

    tried(work, an_edge(UNSURE), a_cloud(Say("Nobody sails", after=1, error=NO_CLOUD)))


# --- money ------------------------------------------------------------------------------------------------------------


def test_no_money_is_no_cloud_answer(tried: Trying) -> None:
    async def work(place: Place) -> None:
        with pytest.raises(OverBudget, match="max_cost_usd"):
            await place.ask(question("cloud_only", max_cost_usd=0.0))
        assert (await place.records())[0].error == "RESOURCE_EXHAUSTED"
        for mode in ("pre_arbitration", "post_arbitration", "post_arbitration+cascade"):
            done = (await place.ask(question(mode, max_cost_usd=0.0))).done
            assert (done.author, done.degraded, done.cost_usd) == ("edge", True, 0.0)
        assert place.cloud.prompts == []

    tried(work, an_edge(UNSURE), settings=TO_CLOUD)


def test_enough_money_is_not_overspent(tried: Trying) -> None:
    async def work(place: Place) -> None:
        done = (await place.ask(question("cloud_only", max_cost_usd=0.01))).done
        assert done.author == "cloud"
        assert done.cost_usd is not None
        assert 0 < done.cost_usd <= 0.01

    tried(work)


def test_an_unknown_price_is_an_unknown_cost_and_no_limit_can_be_kept(tried: Trying) -> None:
    async def work(place: Place) -> None:
        place.cloud.usd_per_mtok = None
        done = (await place.ask(question("cloud_only"))).done
        assert (done.cost_usd, done.cost_basis) == (None, None)
        with pytest.raises(OverBudget, match="unknown"):
            await place.ask(question("cloud_only", max_cost_usd=100.0))

    tried(work)
