"""Arbitration as a caller sees it: what is decided, what it costs, and what a dry run says of it."""

from __future__ import annotations

import asyncio

import pytest

from edgewise.errors import CloudUnavailable, InvalidInput, OverBudget
from edgewise.types import Privacy
from router.config import RouterSettings
from router.modes import MODES
from tests.arbiters import GAIN
from tests.routers import Place, Trying, an_edge, question
from tests.sides import SURE, UNSURE, FakeCloud, Say

CASCADE = "pre_arbitration+cascade"


# --- before and after together ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("logprob", "author"), [(SURE, "edge"), (UNSURE, "cloud"), (None, "cloud")])
def test_a_draft_that_may_stay_is_written_and_judged(tried: Trying, logprob: float | None, author: str) -> None:
    async def work(place: Place) -> None:
        heard = await place.ask(question(CASCADE))
        assert [step.name for step in heard.steps] == ["weigh a draft", "judge"]
        assert heard.done.author == author
        assert len(place.edge.prompts) == 1
        assert len(place.cloud.prompts) == len(heard.retractions) == (author == "cloud")

    tried(work, an_edge(logprob))


def test_a_hopeless_draft_is_not_written(tried: Trying) -> None:
    async def work(place: Place) -> None:
        heard = await place.ask(question(CASCADE))
        assert [step.detail for step in heard.steps] == ["hopeless", "the cloud answers"]
        assert heard.done.author == "cloud"
        assert place.edge.prompts == []

    tried(work, settings=RouterSettings(edge_price=1.0))


def test_without_a_cloud_the_draft_stays(tried: Trying) -> None:
    async def work(place: Place) -> None:
        place.cloud.down = CloudUnavailable("no line")
        done = (await place.ask(question(CASCADE))).done
        assert (done.author, done.degraded, done.reason) == ("edge", True, "no line")

    tried(work, an_edge(UNSURE))


# --- wishes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["pre_arbitration", "post_arbitration+cascade", CASCADE])
def test_a_budget_is_kept_over_questions_at_once(tried: Trying, mode: str) -> None:
    """Of what an answer of the cloud may cost, there is money for every fourth."""

    async def work(place: Place) -> None:
        answers = await asyncio.gather(*(place.ask(question(mode)) for _ in range(24)))
        spent = sum(answer.done.cost_usd or 0.0 for answer in answers)
        assert 0 < spent <= 24 * 0.00004
        assert {answer.done.author for answer in answers} == {"edge", "cloud"}
        assert not any(answer.done.degraded for answer in answers)

    tried(work, an_edge(UNSURE), settings=RouterSettings(usd_per_question=0.00004, max_tokens=64))


def test_a_price_of_errors_decides(tried: Trying) -> None:
    async def asked(place: Place) -> None:
        assert (await place.ask(question("pre_arbitration"))).done.author == "cloud"

    async def not_asked(place: Place) -> None:
        assert (await place.ask(question("pre_arbitration"))).done.author == "edge"

    tried(asked, settings=RouterSettings(usd_per_error=1.0))
    tried(not_asked, settings=RouterSettings(usd_per_error=1e-9))


@pytest.mark.parametrize("wish", [{"usd_per_question": 0.01}, {"usd_per_error": 0.01}])
@pytest.mark.parametrize("mode", ["pre_arbitration", "post_arbitration+cascade", CASCADE])
def test_where_the_price_is_unknown_the_cloud_is_not_asked(tried: Trying, mode: str, wish: dict[str, float]) -> None:
    async def work(place: Place) -> None:
        done = (await place.ask(question(mode))).done
        assert (done.author, done.degraded) == ("edge", True)
        assert next(iter(wish)) in done.reason
        assert place.cloud.prompts == []

    tried(work, an_edge(UNSURE), FakeCloud(Say("No")), settings=RouterSettings.model_validate(wish))


def test_a_promise_decides_what_stays(tried: Trying) -> None:
    """The graded answers of the arbiter are right from a trust of 0.5 on."""

    async def stays(place: Place) -> None:
        assert (await place.ask(question("post_arbitration"))).done.author == "edge"

    async def goes(place: Place) -> None:
        assert (await place.ask(question("post_arbitration"))).done.author == "cloud"

    tried(stays, settings=RouterSettings(wrong_at_most=0.3))
    tried(goes, settings=RouterSettings(wrong_at_most=0.001))


# --- the cloud as a judge ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("letter", ["A", "B"])
def test_the_cloud_judges_between_two_answers_that_disagree(tried: Trying, letter: str) -> None:
    async def work(place: Place) -> None:
        place.cloud.answers = [Say("Nobody sails before noon"), Say(letter)]
        heard = await place.ask(question("post_arbitration"))
        [judged] = [step for step in heard.steps if step.name == "judge by the cloud"]
        shown = place.cloud.prompts[1].messages[-1].content.value
        edge_first = shown.index("nine") < shown.index("Nobody")
        assert heard.done.author == ("edge" if (letter == "A") == edge_first else "cloud")
        assert judged.where == "cloud"

    tried(work, an_edge(UNSURE), settings=RouterSettings(judge=True))


@pytest.mark.parametrize("says", [Say("neither of them"), Say("A", error=CloudUnavailable("gone"))])
def test_without_a_verdict_the_cloud_s_answer_stays(tried: Trying, says: Say) -> None:
    async def work(place: Place) -> None:
        place.cloud.answers = [Say("Nobody sails before noon"), says]
        assert (await place.ask(question("post_arbitration"))).done.author == "cloud"

    tried(work, an_edge(UNSURE), settings=RouterSettings(judge=True))


# --- a dry run --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [*MODES, CASCADE, "post_arbitration+cascade", "edge_only+rag"])
def test_a_dry_run_generates_nothing_and_asks_the_cloud_nothing(tried: Trying, mode: str) -> None:
    async def work(place: Place) -> None:
        found = await place.door.explain(question(mode))
        assert found.mode == mode
        assert found.decision
        assert place.cloud.calls == 0
        assert place.edge.prompts == place.edge.scored == []
        assert await place.records() == ()
        assert found.leaves == (not mode.startswith("edge_only"))

    tried(work, settings=RouterSettings(rewrite="cloud"))


def test_a_dry_run_says_what_is_then_done(tried: Trying) -> None:
    async def work(place: Place) -> None:
        found = await place.door.explain(question("pre_arbitration"))
        assert (found.author, found.score, found.threshold) == ("cloud", GAIN, 0.5)
        assert (found.answers_before, found.expected_usd, found.expected_s) == (0, None, None)
        assert found.most_usd is not None
        done = (await place.ask(question("pre_arbitration"))).done
        assert done.author == "cloud"
        assert done.cost_usd is not None
        assert done.cost_usd <= found.most_usd
        again = await place.door.explain(question("pre_arbitration"))
        assert (again.answers_before, again.expected_usd) == (1, done.cost_usd)
        assert again.expected_s is not None
        [record] = await place.records()
        assert record.policy_version == found.policy_version

    tried(work)


def test_what_no_money_is_left_for_says_so(tried: Trying) -> None:
    async def work(place: Place) -> None:
        [decided] = (await place.ask(question("pre_arbitration"))).steps
        assert decided.detail == "the edge answers: the mean cost would exceed router.usd_per_question"

    tried(work, settings=RouterSettings(usd_per_question=1e-9))


def test_a_dry_run_says_what_cannot_be_promised(tried: Trying) -> None:
    async def work(place: Place) -> None:
        found = await place.door.explain(question("post_arbitration+cascade"))
        assert found.threshold is None
        assert "at most 0% wrong (router.wrong_at_most) cannot be promised" in found.decision

    tried(work, settings=RouterSettings(wrong_at_most=0.001))


def test_a_dry_run_counts_no_question_against_the_budget(tried: Trying) -> None:
    async def work(place: Place) -> None:
        for _ in range(50):
            await place.door.explain(question("pre_arbitration"))
        assert (await place.ask(question("pre_arbitration"))).done.author == "edge"

    tried(work, settings=RouterSettings(usd_per_question=0.00001))


def test_a_dry_run_says_why_a_question_stays(tried: Trying) -> None:
    async def work(place: Place) -> None:
        private = await place.door.explain(question("cloud_only", privacy=Privacy.PRIVATE))
        assert not private.leaves
        assert "private" in private.leaves_reason
        place.cloud.down = CloudUnavailable("no line")
        down = await place.door.explain(question("cloud_only"))
        assert (down.leaves, down.most_usd) == (False, None)
        assert "no line" in down.leaves_reason

    tried(work)


SENT = {
    "edge_only+rag": (), "cloud_only": ("the question",), "agent": ("what is looked up",),
    "cloud_only+rag": ("the question", "what is looked up", "passages of this device"),
    "cloud_info_edge_rag": ("what is looked up",), "auto": ("the question", "what is looked up"),
    "post_arbitration": ("the question", "both answers"),
}  # fmt: skip


@pytest.mark.parametrize("mode", SENT)
def test_a_dry_run_says_what_would_leave_for_whom_and_what_speaks_against_it(tried: Trying, mode: str) -> None:
    async def work(place: Place) -> None:
        place.edge.passages = ()
        plain = await place.door.explain(question(mode))
        assert [one.what.startswith(begin) for one, begin in zip(plain.outgoing, SENT[mode], strict=True)] == [
            True
        ] * len(SENT[mode])
        assert (plain.destination, plain.leaves) == ("cloud.example.com", bool(SENT[mode]))
        assert not any(one.held_because for one in plain.outgoing)
        secret = await place.door.explain(question(mode, text="Is ada@example.org hers?"))
        assert not secret.leaves
        told = secret.model_dump_json()
        assert "ada" not in told
        assert ("an e-mail address" in told) is bool(SENT[mode])
        history = ({"role": "user", "text": {"value": "My salary is 12", "label": "PRIVATE"}}, *_TALK)
        after = await place.door.explain(question(mode, text="And then?", history=history))
        assert not after.leaves
        assert all(one.held_because for one in after.outgoing if "labelled public" not in one.what)
        assert place.cloud.saw_nothing

    tried(work, settings=RouterSettings(judge=True))


_TALK = [{"role": role, "text": {"value": "Well.", "label": "UNKNOWN"}} for role in ("assistant", "user", "assistant")]


def test_a_dry_run_refuses_what_asking_refuses(tried: Trying) -> None:
    async def work(place: Place) -> None:
        for bad in (question("no_mode"), question("auto").model_copy(update={"text": " "})):
            with pytest.raises(InvalidInput):
                await place.door.explain(bad)
        with pytest.raises(OverBudget, match=r"router\.usd_per_error"):
            await place.door.explain(question("pre_arbitration"))

    tried(work, an_edge(), FakeCloud(Say("No")), RouterSettings(usd_per_error=0.1))


# --- samples ----------------------------------------------------------------------------------------------------------


def test_samples_are_drawn_when_they_are_asked_for_and_never_shown(tried: Trying) -> None:
    async def work(place: Place) -> None:
        place.edge.answers = [Say("The ferry sails at nine"), Say("At ten"), Say("At eleven")]
        heard = await place.ask(question("post_arbitration+cascade"))
        assert [options.sampling.temperature for options in place.edge.options] == [0.0, 0.7, 0.7]
        assert [options.sampling.seed for options in place.edge.options] == [None, 0, 1]
        assert heard.text == "The ferry sails at nine"
        assert heard.done.usage.edge.completion_tokens == 5 + 2 + 2

    tried(work, settings=RouterSettings(samples=2))
