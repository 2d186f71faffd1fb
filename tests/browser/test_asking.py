"""A question asked on the page: tokens, retractions, citations, steps, endings, and stopping."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgewise.errors import CloudUnavailable, EdgeUnavailable
from edgewise.types import Passage, Span
from tests.browser.window import Window, shown
from tests.routers import ASKED, a_cloud, an_edge, an_edge_that_hangs, until
from tests.sides import UNSURE, FakeEdge, Say, passage

pytestmark = pytest.mark.system

SAID = ".answer .text > .draft p"


def test_tokens_are_shown_as_they_come_and_escape_cancels(tmp_path: Path) -> None:
    async def work(window: Window) -> None:
        await window.open()
        await window.ask(ASKED, "edge_only")
        await window.place.edge.hanging.wait()
        await window.is_in_state("writing")
        assert (await window.text(SAID)).strip() == "The"
        assert await window.page.locator(".answer .text").get_attribute("aria-busy") == "true"
        await window.page.keyboard.press("Escape")
        await window.is_in_state("stopped")
        await until(lambda: window.place.edge.cut_short == 1)
        assert [record.error for record in await window.place.records(1)] == ["CANCELLED"]
        assert await window.page.locator("#send").is_enabled()

    shown(tmp_path, work, an_edge_that_hangs())


def test_the_stop_button_stops_and_another_question_can_be_asked(tmp_path: Path) -> None:
    async def work(window: Window) -> None:
        await window.open()
        assert await window.page.locator("#stop").is_disabled()
        await window.ask(ASKED, "edge_only")
        await window.is_in_state("writing")
        await window.page.locator("#stop").click()
        await window.is_in_state("stopped")
        window.place.edge.answers = [Say("At nine")]
        await window.ask(ASKED, "edge_only")
        await window.is_in_state("done")
        assert await window.text(SAID) == "At nine"

    shown(tmp_path, work, an_edge_that_hangs())


def test_a_draft_that_is_taken_back_is_struck_and_folded_away_with_its_reason(tmp_path: Path) -> None:
    async def work(window: Window) -> None:
        await window.open()
        await window.ask(ASKED, "post_arbitration")
        await window.is_in_state("done")
        folded = window.page.locator("details.retracted")
        assert await folded.get_attribute("open") is None
        assert "taken back: the cloud's answer is preferred" in await folded.locator("summary").inner_text()
        assert not await folded.locator("del").is_visible()
        await folded.locator("summary").click()
        assert await folded.locator("del").inner_text() == "The ferry sails at nine"
        line = "e => getComputedStyle(e).textDecorationLine"
        assert await folded.locator("del").evaluate(line) == "line-through"
        assert await window.page.locator(SAID).all_inner_texts() == ["Nobody sails before noon"]
        facts = await window.text(".answer .facts")
        [record] = await window.place.records()
        assert record.retractions == 1
        for words in ("cloud", "its own knowledge", "notional", "$0.0000"):
            assert words in facts

    shown(tmp_path, work, an_edge(UNSURE))


def test_citations_open_to_the_passage_with_the_cited_characters_marked(tmp_path: Path) -> None:
    async def work(window: Window) -> None:
        await window.open()
        await window.ask(ASKED, "cloud_info_edge_rag")
        await window.is_in_state("done")
        [record] = await window.place.records()
        [cited] = record.citations
        summary = window.page.locator(".answer .passages summary")
        assert "on this device" in await summary.inner_text()
        await summary.focus()
        await window.page.keyboard.press("Enter")
        assert await window.text(".answer .passages blockquote") == cited.text.value
        wanted = [cited.text.value[span.start : span.end] for span in cited.spans]
        assert await window.page.locator(".answer .passages mark").all_inner_texts() == wanted

    edge = an_edge()
    edge.passages = (passage("⛴🌊 Hours. The ferry sails at nine. It rests on Mondays."),)
    shown(tmp_path, work, edge)


@pytest.mark.parametrize(
    ("spans", "marked"),
    [
        ([(0, 2)], ["⛴🌊"]),
        ([(3, 5), (0, 1)], ["⛴", "Hi"]),
        ([(0, 4), (3, 6)], ["⛴🌊 H", "i!"]),
        ([(3, 99)], ["Hi!"]),
        ([(50, 99), (2, 2)], []),
        ([], []),
    ],
)
def test_spans_count_code_points_and_may_be_anything(
    tmp_path: Path, spans: list[tuple[int, int]], marked: list[str]
) -> None:
    given: Passage = passage("⛴🌊 Hi!").model_copy(
        update={"spans": tuple(Span(start=start, end=end) for start, end in spans)}
    )

    async def work(window: Window) -> None:
        await window.open()
        script = """async (given) => {
            const { passages } = await import("/passages.js");
            const found = passages([given]).querySelector("blockquote");
            return [found.textContent, [...found.querySelectorAll("mark")].map((mark) => mark.textContent)];
        }"""
        assert await window.page.evaluate(script, given.model_dump(mode="json")) == ["⛴🌊 Hi!", marked]

    shown(tmp_path, work)


def test_steps_are_told_in_order_with_their_numbers(tmp_path: Path) -> None:
    async def work(window: Window) -> None:
        await window.open()
        await window.ask(ASKED, "agent")
        await window.is_in_state("done")
        [record] = await window.place.records()
        steps = window.page.locator(".answer .steps li")
        assert await steps.locator("> div > b").all_inner_texts() == [step.name for step in record.steps]
        assert len(record.steps) > 2
        for place, step in enumerate(record.steps):
            for name in step.numbers:
                assert name in await steps.nth(place).inner_text()

    shown(tmp_path, work)


def test_an_unknown_cost_is_never_written_as_nothing(tmp_path: Path) -> None:
    async def work(window: Window) -> None:
        await window.open()
        await window.ask(ASKED, "cloud_only")
        await window.is_in_state("done")
        await window.page.locator("#records details").wait_for()
        cost = window.page.locator(".answer .facts div", has=window.page.locator("dt", has_text="cost"))
        assert (await cost.locator("dd").inner_text()).strip() == "unknown"
        assert "unknown" in await window.text("#spend")
        assert "$" not in await window.text("#spend .value")
        assert "unknown" in await window.text("#records .line")

    cloud = a_cloud()
    cloud.usd_per_mtok = None
    shown(tmp_path, work, cloud=cloud)


def test_a_degraded_answer_says_why(tmp_path: Path) -> None:
    async def work(window: Window) -> None:
        window.place.cloud.down = CloudUnavailable("the line is dead")
        await window.open()
        await window.ask(ASKED, "post_arbitration")
        await window.is_in_state("done")
        assert "Degraded: the line is dead" in await window.text(".answer .caveat")

    shown(tmp_path, work)


def test_a_failure_says_what_to_do_and_the_page_goes_on(tmp_path: Path) -> None:
    async def work(window: Window) -> None:
        await window.open()
        await window.page.locator("[name=privacy]").select_option("PRIVATE")
        await window.ask(ASKED, "cloud_only")
        await window.is_in_state("failed")
        assert "Withheld" in await window.text(".answer .failure")
        assert "edge_only" in await window.text(".answer .failure")
        assert window.place.cloud.saw_nothing
        window.place.edge.answers = [Say("The ferry sails", after=1, error=EdgeUnavailable("the edge node is gone"))]
        await window.page.locator("[name=privacy]").select_option("PUBLIC")
        await window.ask(ASKED, "edge_only")
        await window.is_in_state("failed")
        assert await window.text(".answer .failure") == "EdgeUnavailable the edge node is gone"
        assert (await window.text(SAID)).strip() == "The"

    shown(tmp_path, work)


def test_what_is_chosen_is_asked_with_the_question(tmp_path: Path) -> None:
    async def work(window: Window) -> None:
        await window.open()
        await window.page.locator("[name=privacy]").select_option("PUBLIC")
        await window.page.locator("[name=limit]").fill("0")
        await window.ask(ASKED, "cloud_only")
        await window.is_in_state("failed")
        assert "OverBudget" in await window.text(".answer .failure")
        await window.page.locator("[name=limit]").fill("")
        await window.page.locator("#follow-up").check()
        for _ in range(2):
            await window.ask(ASKED, "edge_only")
            await window.is_in_state("done")
        [second, first, refused] = await window.place.records()
        assert (refused.error, refused.privacy) == ("RESOURCE_EXHAUSTED", "PUBLIC")
        assert first.conversation_id == second.conversation_id != ""
        assert len(window.place.edge.prompts[1].messages) > len(window.place.edge.prompts[0].messages)

    shown(tmp_path, work)


def test_an_empty_question_is_not_asked(tmp_path: Path) -> None:
    async def work(window: Window) -> None:
        await window.open()
        await window.ask("  \n ", "edge_only")
        await window.page.keyboard.press("Control+Enter")
        assert not await window.page.locator("#answers").is_visible()
        assert window.place.edge.calls == 0

    shown(tmp_path, work)


def test_the_router_goes_away_in_the_middle(tmp_path: Path) -> None:
    async def work(window: Window) -> None:
        await window.open()
        await window.ask(ASKED, "edge_only")
        await window.is_in_state("writing")
        window.site.vanish()
        await window.is_in_state("failed")
        assert "went away before the answer was final" in await window.text(".answer .failure")
        assert (await window.text(SAID)).strip() == "The", "what was said stays"
        await window.page.locator("#notices", has_text="does not answer").wait_for()
        await window.ask(ASKED, "edge_only")
        await window.is_in_state("failed")

    shown(tmp_path, work, an_edge_that_hangs())


def test_grading_by_click_lands_in_the_log(tmp_path: Path) -> None:
    async def work(window: Window) -> None:
        await window.open()
        await window.ask(ASKED, "edge_only")
        await window.is_in_state("done")
        buttons = window.page.locator(".answer .grading button")
        await buttons.filter(has_text="partly").click()
        await window.page.locator("#records .mark", has_text="partly").wait_for()
        await buttons.filter(has_text="wrong").click()
        await window.page.locator("#records .mark", has_text="wrong").wait_for()
        [record] = await window.place.records()
        assert [(grade.grader, grade.score) for grade in record.grades] == [("page", 0.5), ("page", 0)]
        pressed = window.page.locator(".answer .grading button[aria-pressed=true]")
        await pressed.filter(has_text="wrong").wait_for()  # the list may hear of the grade before
        assert await pressed.all_inner_texts() == ["wrong"]

    shown(tmp_path, work, FakeEdge(Say("At nine")))
