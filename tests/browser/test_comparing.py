"""Two modes side by side on one question: one after the other, and the better one graded by click."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.window import Window, shown
from tests.routers import ASKED, an_edge_that_hangs

pytestmark = pytest.mark.system


def test_the_second_mode_is_asked_when_the_first_has_ended(tmp_path: Path) -> None:
    async def work(window: Window) -> None:
        await window.open()
        await window.page.locator("#other").select_option("cloud_only")
        assert "one after the other" in await window.text("#keys")
        assert await window.page.locator("#follow-up").is_disabled()
        await window.ask(ASKED, "edge_only", "cloud_only")
        await window.is_in_state("writing")
        await window.is_in_state("waiting", 1)
        assert window.place.cloud.calls == 0
        await window.page.keyboard.press("Escape")
        await window.is_in_state("stopped")
        await window.is_in_state("stopped", 1)
        assert window.place.cloud.calls == 0
        assert [record.mode for record in await window.place.records(1)] == ["edge_only"]
        assert not await window.page.locator(".verdict").is_visible()

    shown(tmp_path, work, an_edge_that_hangs())


def test_the_better_one_is_graded_by_click(tmp_path: Path) -> None:
    async def work(window: Window) -> None:
        await window.open()
        await window.ask(ASKED, "edge_only", "cloud_only")
        await window.is_in_state("done", 1)
        words = await window.text(".verdict p")
        assert "longer than" in words
        assert "$0.0000" in words
        await window.page.locator(".verdict button", has_text="cloud_only is better").click()
        await window.page.locator(".verdict", has_text="kept as grades of both records").wait_for()
        [cloud, edge] = await window.place.records()
        assert (edge.mode, [grade.score for grade in edge.grades]) == ("edge_only", [0])
        assert (cloud.mode, [grade.score for grade in cloud.grades]) == ("cloud_only", [1])
        assert "edge_only" in cloud.grades[0].comment
        for place, word in enumerate(("wrong", "right")):
            card = window.page.locator(f".answer:nth-child({place + 1}) [aria-pressed=true]")
            assert await card.all_inner_texts() == [word]

    shown(tmp_path, work)


def test_a_mode_beside_itself_reuses_nothing(tmp_path: Path) -> None:
    async def work(window: Window) -> None:
        await window.open()
        await window.ask(ASKED, "cloud_info_edge_rag", "agent")
        await window.is_in_state("done", 1)
        keys = [options.cache_key for options in window.place.edge.options]
        assert all(key.startswith(("cloud_info_edge_rag/", "agent/")) for key in keys)
        assert window.place.edge.kept == ()

    shown(tmp_path, work)


def test_a_failure_of_one_does_not_keep_the_other_from_being_asked(tmp_path: Path) -> None:
    async def work(window: Window) -> None:
        await window.open()
        await window.page.locator("[name=privacy]").select_option("PRIVATE")
        await window.ask(ASKED, "cloud_only", "edge_only")
        await window.is_in_state("failed")
        await window.is_in_state("done", 1)
        assert not await window.page.locator(".verdict").is_visible()

    shown(tmp_path, work)
