"""What the page shows beside answers: the sides, notices, the table of modes, money, records and their stages."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgewise.types import Grade, SideStatus
from router.config import RouterSettings
from tests.browser.window import Window, shown
from tests.routers import a_cloud, an_edge, database_gone, question, until
from tests.sides import FakeCloud, FakeEdge, Say

pytestmark = pytest.mark.system


class ToldEdge(FakeEdge):
    said = SideStatus(ready=True, model="small")

    async def status(self) -> SideStatus:
        return self.said


class ToldCloud(FakeCloud):
    said = SideStatus(ready=True, model="large")

    async def status(self) -> SideStatus:
        return self.said


async def look_again(window: Window) -> None:
    await window.page.evaluate("document.dispatchEvent(new CustomEvent('answered'))")


def test_it_says_when_a_side_is_not_what_one_expects(tmp_path: Path) -> None:
    edge, cloud = ToldEdge(Say("x")), ToldCloud(Say("y"))

    async def work(window: Window) -> None:
        await window.open()
        assert await window.text("#notices") == ""
        assert "private ones never" in await window.text("#sides")
        for told, words in (
            (SideStatus(ready=True, model="m", label="stand-in: tiny, 4 bit"), "not a large model (stand-in: tiny"),
            (SideStatus(ready=False, label="none", reason="set cloud.backend"), "There is no cloud"),
            (SideStatus(ready=False, reason="the key was refused"), "The cloud cannot be used now. The key was"),
        ):
            cloud.said = told
            await look_again(window)
            await window.page.locator("#notices", has_text=words).wait_for()
        cloud.said = ToldCloud.said
        edge.said = SideStatus(ready=True, model="small", restarts=2, reason="killed by SIGSEGV")
        await look_again(window)
        await window.page.locator("#notices", has_text="ended 2 times and was started again").wait_for()
        edge.said = SideStatus(ready=False, restarts=3, reason="killed by SIGSEGV")
        await look_again(window)
        await window.page.locator("#notices", has_text="cannot answer now").wait_for()
        assert await window.page.locator("#sides .edge.away").count() == 1

    shown(tmp_path, work, edge, cloud)


def test_the_table_of_modes_has_what_was_measured(tmp_path: Path) -> None:
    async def work(window: Window) -> None:
        for mode, score in (("edge_only", 0.5), ("cloud_only", 1), ("cloud_only", None), ("edge_only+cot", None)):
            heard = await window.place.ask(question(mode))
            if score is not None:
                await window.place.router.grade(Grade(record_id=heard.done.record_id, grader="g", score=score))
        await window.open()
        rows = {row.split()[0]: row for row in await window.page.locator("#modes tr").all_inner_texts()}
        assert len(rows) == 8, "seven modes and the one variant that was asked"
        assert "0.50 of 1 graded, 0 not" in rows["edge_only"]
        assert "1.00 of 1 graded, 1 not" in rows["cloud_only"]
        assert "notional" in rows["cloud_only"]
        assert "notional" not in rows["edge_only"]
        assert "ungraded" in rows["edge_only+cot"]
        assert "no answers yet" in rows["agent"]
        chart = window.page.locator('#worth .plot[aria-label*="cloud_only: grade 1.00 for $0"]')
        await chart.locator("canvas").wait_for()

    shown(tmp_path, work)


def test_what_was_spent_is_held_against_the_budget(tmp_path: Path) -> None:
    async def work(window: Window) -> None:
        await window.place.ask(question("cloud_only"))
        await window.open()
        spend = await window.text("#spend")
        assert "of a budget of $0.001" in spend
        assert "notional" in spend
        assert await window.page.locator("#spend .bar.over").count() == 1

    shown(tmp_path, work, settings=RouterSettings(usd_per_question=0.000001))


def test_nothing_asked_yet_is_said_and_no_chart_is_drawn(tmp_path: Path) -> None:
    async def work(window: Window) -> None:
        await window.open()
        assert "Nothing has been asked yet" in await window.text("#no-records")
        assert await window.page.locator("canvas").count() == 0
        assert "no budget is set" in await window.text("#spend")

    shown(tmp_path, work)


def test_a_record_opens_to_its_stages(tmp_path: Path) -> None:
    async def work(window: Window) -> None:
        heard = await window.place.ask(question("post_arbitration"))
        calls = await window.place.router.calls(heard.done.record_id)
        await window.open()
        await window.page.locator("#records summary").focus()
        await window.page.keyboard.press("Enter")
        bars = window.page.locator("#records .call")
        await bars.first.wait_for()
        assert await bars.count() == len(calls) == 2
        for place, call in enumerate(calls):
            words = await bars.nth(place).get_attribute("aria-label") or ""
            assert words.startswith(f"{call.side} writes (fake-{call.side})")
            assert f"{call.tokens.prompt_tokens} prompt tokens" in words
            assert ("notional" in words) == (call.side == "cloud")
        await bars.last.focus()
        assert await window.text("#records .waterfall > .hint") == await bars.last.get_attribute("aria-label")
        boxes = [await bars.last.locator(part).bounding_box() for part in (".track", ".wait", ".work")]
        track, wait, work = (box for box in boxes if box is not None)
        assert wait["width"] > work["width"], "most of the time it waited for the first token"
        assert work["x"] + work["width"] <= track["x"] + track["width"] + 1
        assert heard.done.record_id in await window.text("#records .facts")

    shown(tmp_path, work, an_edge(), a_cloud(Say("Nobody sails before noon", delay_s=0.05)))


def test_older_records_come_on_demand_and_a_mode_can_be_picked(tmp_path: Path) -> None:
    async def work(window: Window) -> None:
        for place in range(14):
            await window.place.ask(question("edge_only" if place % 2 else "agent", text=f"Question {place}?"))
        await window.open()
        rows = window.page.locator("#records .asked")
        await rows.nth(11).wait_for()
        assert await rows.all_inner_texts() == [f"Question {place}?" for place in range(13, 1, -1)]
        await window.page.locator("#older").click()
        await rows.nth(13).wait_for()
        assert await rows.last.inner_text() == "Question 0?"
        await window.page.locator("#only").select_option("agent")
        await window.page.locator("#records code", has_text="edge_only").first.wait_for(state="detached")
        assert await rows.all_inner_texts() == [f"Question {place}?" for place in range(12, -1, -2)]

    shown(tmp_path, work)


def test_it_looks_again_every_few_seconds_while_it_is_seen(tmp_path: Path) -> None:
    async def work(window: Window) -> None:
        await window.page.clock.install()
        await window.open()
        await window.page.locator("#no-records").wait_for()
        await window.place.ask(question("edge_only", text="Asked elsewhere?"))
        await window.page.clock.run_for(5000)
        row = window.page.locator("#records details")
        await row.wait_for()
        await row.locator("summary").click()
        await row.locator(".waterfall").wait_for()
        await window.place.ask(question("edge_only", text="And again?"))
        await window.page.clock.run_for(5000)
        await row.nth(1).wait_for()
        assert await row.nth(1).locator(".waterfall").is_visible(), "what was opened stays open"

        asked: list[str] = []
        window.page.on("request", lambda request: asked.append(request.url))
        await window.page.evaluate("Object.defineProperty(document, 'visibilityState', {value: 'hidden'})")
        await window.page.clock.run_for(60_000)
        assert asked == []

    shown(tmp_path, work)


def test_it_says_how_many_records_wait_for_their_database(tmp_path: Path) -> None:
    async def work(window: Window) -> None:
        await window.open()
        await window.place.ask(question("edge_only", text="Before?"))
        with database_gone(tmp_path):
            await window.ask("Meanwhile?", "edge_only")
            await window.is_in_state("done")
            notice = window.page.locator("#notices", has_text="1 record or grade wait")
            await notice.wait_for()
            assert "unknown" in await window.text("#spend")
            await window.page.locator("#modes", has_text="not known now").wait_for()
            await window.screenshot("records-wait")
        await until(lambda: window.place.router.backlog.count == 0)
        await look_again(window)
        await notice.wait_for(state="detached")
        await window.page.locator("#records .asked", has_text="Meanwhile?").wait_for()

    shown(tmp_path, work)
