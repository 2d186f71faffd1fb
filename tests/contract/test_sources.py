"""What a question is looked up with, what the device keeps of the cloud's information, and what an answer stands on."""

from __future__ import annotations

import pytest

from edgewise.errors import CloudUnavailable, ContextOverflow
from edgewise.types import CLOUD_INFO, Findings, Grounding, Passage, Privacy, Query, Released, Text, Turn
from router.config import RouterSettings
from tests.routers import ASKED, FERRY, TARIFF, Place, Trying, a_cloud, an_edge, question, until
from tests.sides import UNSURE, FakeCloud, FakeEdge, Say, passage

OLD = TARIFF.model_copy(update={"expires_at": "2026-01-01T00:00:00Z", "stale": True})
EARLIER = Turn(role="user", text=Text(value="Tell me of the ferry."))


def asked(queries: list[Query]) -> list[str]:
    return [query.text.value for query in queries]


# --- what is looked up ------------------------------------------------------------------------------------------------


def test_a_follow_up_is_looked_up_with_the_turn_before_it(tried: Trying) -> None:
    async def work(place: Place) -> None:
        await place.ask(question("cloud_info_edge_rag", history=(EARLIER,)))
        assert asked(place.edge.queries) == asked(place.cloud.queries) == [f"{EARLIER.text.value}\n{ASKED}"]

    tried(work)


def test_the_edge_can_turn_a_question_into_queries(tried: Trying) -> None:
    written = Say('1. ferry timetable\n- "harbour hours"\n\nQuery: ferry timetable\n3) ' + "x" * 400)

    async def work(place: Place) -> None:
        heard = await place.ask(question("edge_only+rag"))
        assert asked(place.edge.queries) == [ASKED, "ferry timetable", "harbour hours"]
        [told] = [step for step in heard.steps if step.name == "rewrite"]
        assert (told.where, told.detail) == ("edge", "ferry timetable | harbour hours")

    tried(
        work, FakeEdge(written, Say("The ferry sails at nine"), passages=(FERRY,)), None, RouterSettings(rewrite="edge")
    )


def test_the_cloud_turns_no_private_question_into_queries(tried: Trying) -> None:
    async def work(place: Place) -> None:
        heard = await place.ask(question("edge_only+rag", privacy=Privacy.PRIVATE))
        assert place.cloud.saw_nothing
        assert asked(place.edge.queries) == [ASKED]
        assert any(step.name == "rewrite" and "searched for as it is" in step.detail for step in heard.steps)
        await place.ask(question("edge_only+rag"))
        assert asked(place.edge.queries)[1:] == [ASKED, "Nobody sails before noon"]

    tried(work, settings=RouterSettings(rewrite="cloud"))


# --- what is kept -----------------------------------------------------------------------------------------------------


# As private as the question that it was found for.
KEPT = TARIFF.model_copy(update={"text": TARIFF.text.model_copy(update={"label": Privacy.UNKNOWN})})


def test_what_the_cloud_informed_of_is_kept_and_not_asked_for_again(tried: Trying) -> None:
    async def work(place: Place) -> None:
        await place.ask(question("cloud_info_edge_rag"))
        await until(lambda: place.edge.kept == (KEPT,))
        place.edge.passages = (FERRY, KEPT)
        place.cloud.queries.clear()
        heard = await place.ask(question("cloud_info_edge_rag"))
        assert place.cloud.saw_nothing
        [told] = [step for step in heard.steps if step.name == "cloud info"]
        assert (told.where, told.numbers) == ("edge", {"known": 1.0})
        assert heard.done.cost_usd == 0
        metrics = place.router.metrics.text().decode()
        for known in ("yes", "no"):
            assert f'edgewise_cloud_information_total{{known="{known}"}} 1.0' in metrics

    tried(work)


def test_what_is_not_relevant_is_not_kept(tried: Trying) -> None:
    async def work(place: Place) -> None:
        place.cloud.passages = (passage("Bread rises.", score=0.001, origin="cloud"),)
        await place.ask(question("cloud_info_edge_rag"))
        await place.router.close()
        assert place.edge.kept == ()

    tried(work)


def test_expired_information_is_renewed_where_the_cloud_is_there(tried: Trying) -> None:
    async def work(place: Place) -> None:
        await place.ask(question("cloud_info_edge_rag"))
        assert len(place.cloud.queries) == 1
        await until(lambda: place.edge.kept == (KEPT,))

    tried(work, FakeEdge(Say("A ticket costs four crowns"), passages=(OLD,)))


def test_expired_information_is_used_offline_and_called_so(tried: Trying) -> None:
    async def work(place: Place) -> None:
        place.cloud.down = CloudUnavailable("the cloud is down")
        heard = await place.ask(question("cloud_info_edge_rag"))
        assert heard.text == "A ticket costs four crowns"
        assert heard.done.degraded
        assert "the cloud is down" in heard.done.reason
        assert "expired (2026-01-01" in heard.done.reason
        assert heard.citations[0].passages[0].stale

    tried(work, FakeEdge(Say("A ticket costs four crowns"), passages=(OLD,)))


def test_a_device_that_cannot_keep_anything_still_answers(tried: Trying) -> None:
    class Full(FakeEdge):
        async def keep(self, passages: tuple[Passage, ...], collection: str = CLOUD_INFO) -> None:
            raise ContextOverflow("the disk is full")

    async def work(place: Place) -> None:
        heard = await place.ask(question("cloud_info_edge_rag"))
        assert heard.done.grounding is Grounding.GROUNDED
        await place.router.close()

    tried(work, Full(Say("The ferry sails at nine"), passages=(FERRY,)))


def test_some_collections_are_looked_up_together_with_what_the_cloud_informed_of(tried: Trying) -> None:
    async def work(place: Place) -> None:
        await place.ask(question("edge_only+rag", collections=("notes",)))
        await place.ask(question("edge_only+rag"))
        assert [query.collections for query in place.edge.queries] == [("notes", CLOUD_INFO), ()]

    tried(work)


# --- what an answer stands on -----------------------------------------------------------------------------------------


def test_words_of_a_passage_that_answer_are_the_answer_and_are_cited(tried: Trying) -> None:
    async def work(place: Place) -> None:
        place.edge.reads = "nine"
        heard = await place.ask(question("edge_only+rag"))
        assert heard.text == "nine"
        assert (heard.done.author, heard.done.grounding) == ("edge", Grounding.GROUNDED)
        assert heard.done.confidence == pytest.approx(0.9)
        assert place.edge.prompts == []  # nothing was written
        [cited] = heard.citations[0].passages
        assert [cited.text.value[span.start : span.end] for span in cited.spans] == ["nine"]

    tried(work)


def test_an_unsupported_answer_is_asked_for_once_more_from_the_best_sentence(tried: Trying) -> None:
    async def work(place: Place) -> None:
        heard = await place.ask(question("edge_only+rag"))
        assert heard.text == "The ferry sails at nine"
        assert len(heard.retractions) == 1
        first, second = (prompt.messages[-1].content.value for prompt in place.edge.prompts)
        assert "Bread rises." in first
        assert "Bread rises." not in second

    answers = Say("Elephants wear trousers"), Say("The ferry sails at nine")
    tried(work, FakeEdge(*answers, passages=(FERRY, passage("Bread rises."))))


def test_an_answer_that_stays_unsupported_is_not_given(tried: Trying) -> None:
    async def work(place: Place) -> None:
        heard = await place.ask(question("edge_only+rag"))
        assert heard.done.grounding is Grounding.ABSTAINED
        assert "Elephants" not in heard.text

    answers = Say("Elephants wear trousers"), Say("Elephants wear trousers"), Say("Elephants", logprob=UNSURE)
    tried(work, FakeEdge(*answers, passages=(FERRY, passage("Bread rises."))))


def test_a_whole_document_is_answered_from_where_it_fits(tried: Trying) -> None:
    async def work(place: Place) -> None:
        heard = await place.ask(question("edge_only+long_context"))
        assert place.edge.queries[0].expand == "document"
        assert any(step.name == "context" and "the whole of edge.txt" in step.detail for step in heard.steps)
        assert heard.done.grounding is Grounding.GROUNDED
        await place.ask(question("edge_only+rag+long_context"))
        alone, both = (prompt.messages[-1].content.value for prompt in place.edge.prompts)
        assert (alone.count(FERRY.text.value), both.count(FERRY.text.value)) == (1, 2)

    tried(work)


def test_a_document_that_does_not_fit_is_answered_from_by_its_passages(tried: Trying) -> None:
    async def work(place: Place) -> None:
        heard = await place.ask(question("edge_only+long_context"))
        assert any(step.name == "context" and "9,000 tokens" in step.detail for step in heard.steps)
        assert [query.expand for query in place.edge.queries] == ["document", ""]
        assert heard.done.grounding is Grounding.GROUNDED

    too_long = Say("The", error=ContextOverflow("the prompt has 9,000 tokens"))
    tried(work, FakeEdge(too_long, Say("The ferry sails at nine"), passages=(FERRY,)))


def test_the_cloud_is_shown_public_passages_only(tried: Trying) -> None:
    async def work(place: Place) -> None:
        heard = await place.ask(question("cloud_only+rag"))
        assert heard.done.author == "cloud"
        [prompt] = place.cloud.prompts
        shown = prompt.messages[-1].content.value
        assert FERRY.text.value in shown
        assert "secret" not in shown

    secret, unknown = (passage(f"A secret {label}.", label=label) for label in (Privacy.PRIVATE, Privacy.UNKNOWN))
    cloud = a_cloud(Say("The ferry sails at nine"))
    edge = an_edge()
    edge.passages = (FERRY, secret, unknown)
    tried(work, edge, cloud)


def test_what_is_missing_of_the_clouds_information_is_said(tried: Trying) -> None:
    class Half(FakeCloud):
        async def retrieve(self, query: Released[Query], timeout_s: float | None = None) -> Findings:
            return (await super().retrieve(query, timeout_s)).model_copy(update={"reason": "the web was down"})

    async def work(place: Place) -> None:
        for mode in ("cloud_info_edge_rag", "auto"):
            heard = await place.ask(question(mode))
            assert heard.done.grounding is Grounding.GROUNDED
            assert heard.done.degraded
            assert "the web was down" in heard.done.reason

    tried(work, None, Half(Say("Nobody sails before noon"), passages=(TARIFF,), usd_per_mtok=1.0))
