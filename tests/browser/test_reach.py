"""The page for everybody: by keyboard alone, on a phone, in light and dark, and as pictures to look at."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from edgewise.types import Grade
from router.config import RouterSettings
from tests.browser.window import DESKTOP, PHONE, Window, chromium, shown, window
from tests.routers import ASKED, a_cloud, an_edge, an_edge_that_hangs, question
from tests.sides import UNSURE, FakeCloud, Say, passage
from tests.site import site

pytestmark = pytest.mark.system

# The elements that the Tab key should come to, in the order of the document; of radio buttons, the chosen one.
REACHABLE = """() => {
    const all = document.querySelectorAll("a[href], button, select, textarea, input, summary, [tabindex='0']");
    return [...all].filter((e) => e.checkVisibility({ visibilityProperty: true }) && !e.disabled
        && (e.type !== "radio" || e.checked)).map((e) => (e.dataset.tab = [...all].indexOf(e)));
}"""
FOCUSED = """() => {
    const e = document.activeElement;
    const shown = e.type === "radio" ? e.nextElementSibling : e.id === "question" ? e.form : e;
    const style = getComputedStyle(shown);
    const accent = getComputedStyle(document.querySelector("#send")).backgroundColor;
    return [e.dataset.tab ?? "", style.outlineStyle !== "none" || style.borderTopColor === accent];
}"""
# Texts with less contrast to what is behind them than WCAG 2.1 AA asks for (1.4.3).
FAINT = """() => {
    const parse = (c) => c.match(/[\\d.]+/g).map(Number);
    const linear = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
    const behind = (e) => {
        for (; e; e = e.parentElement) {
            const c = parse(getComputedStyle(e).backgroundColor);
            if (c.length < 4 || c[3] > 0) return c;
        }
    };
    return [...document.body.querySelectorAll("*")].filter((e) =>
        e.checkVisibility() && !e.closest(":disabled, .unseen, :has(> :disabled)") &&
        [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())
    ).flatMap((e) => {
        const style = getComputedStyle(e);
        const [a, b] = [light(parse(style.color)), light(behind(e))];
        const size = parseFloat(style.fontSize);
        const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        return ratio < (large ? 3 : 4.5) ? [`${e.tagName}.${e.className} ${e.textContent.slice(0, 40)} ${ratio}`] : [];
    });
}"""


async def fill(window: Window) -> None:
    """Records of every mode, an answer beside another one, and one record opened."""
    for place, mode in enumerate(("edge_only", "cloud_only", "agent", "post_arbitration", "pre_arbitration", "auto")):
        heard = await window.place.ask(question(mode, text=f"When does the ferry of line {place + 1} sail in winter?"))
        await window.place.router.grade(
            Grade(record_id=heard.done.record_id, grader="g", score=(0.5, 1, 1, 0, 1, 0.5)[place])
        )
    await window.open()
    await window.ask(ASKED, "post_arbitration", "cloud_info_edge_rag")
    await window.is_in_state("done", 1)
    await window.page.locator(".answer .passages summary").click()
    rows = window.page.locator("#records details")
    await rows.nth(7).wait_for()
    await rows.nth(1).locator("summary").click()
    await rows.nth(1).locator(".waterfall").wait_for()


def the_cloud() -> FakeCloud:
    return a_cloud(
        Say("Nobody sails before noon on a Sunday; on other days the first ferry leaves at nine.", delay_s=0.2)
    )


async def is_narrow(window: Window) -> bool:
    wide = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    return bool(await window.page.evaluate(wide))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_it_fits_and_can_be_read_and_is_photographed(tmp_path: Path, size: tuple[int, int], scheme: str) -> None:
    async def work(window: Window) -> None:
        await fill(window)
        assert await is_narrow(window)
        assert await window.page.evaluate(FAINT) == []
        await window.screenshot(f"{'phone' if size == PHONE else 'desktop'}-{scheme}")

    shown(tmp_path, work, an_edge(UNSURE), the_cloud(), size=size, scheme=scheme)


def test_a_phone_scrolls_in_no_other_direction_whatever_is_said(tmp_path: Path) -> None:
    word = "unbreakable" * 40

    async def work(window: Window) -> None:
        await window.open()
        await window.ask(word, "edge_only+rag", "cloud_only")
        await window.is_in_state("done", 1)
        await window.page.locator("#records details").nth(1).wait_for()
        await window.page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
        await window.page.locator("#records .waterfall").first.wait_for()
        assert await is_narrow(window)
        boxes = [await card.bounding_box() for card in await window.page.locator(".answer").all()]
        first, second = (box for box in boxes if box is not None)
        assert second["y"] >= first["y"] + first["height"], "one column"

    edge = an_edge(knows=False)
    edge.answers = [Say(word)]
    edge.passages = (passage(word).model_copy(update={"source": word, "title": word}),)
    edge.reads = word
    shown(tmp_path, work, edge, a_cloud(Say(word)), size=PHONE)


def test_everything_is_reached_with_the_tab_key_in_order_and_shows_it(tmp_path: Path) -> None:
    async def work(window: Window) -> None:
        await fill(window)
        wanted = [str(place) for place in await window.page.evaluate(REACHABLE)]
        assert len(wanted) > 30
        await window.page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
        await window.page.locator("body").focus()
        reached: list[str] = []
        unseen: list[str] = []
        for _ in (*wanted, "once out of the page"):
            await window.page.keyboard.press("Tab")
            name, visible = await window.page.evaluate(FOCUSED)
            if name:
                reached.append(name)
                unseen += [] if visible else [name]
        assert sorted(reached, key=int) == sorted(wanted, key=int)
        start = reached.index(wanted[0])
        assert reached[start:] + reached[:start] == wanted
        assert unseen == []

    shown(tmp_path, work, an_edge(UNSURE), the_cloud())


def test_a_question_is_asked_graded_and_looked_up_without_a_mouse(tmp_path: Path) -> None:
    async def work(window: Window) -> None:
        await window.open()
        keys = window.page.keyboard
        assert await window.page.evaluate("document.activeElement.id") == "question"
        await keys.type(ASKED)
        await keys.press("Tab")
        await keys.type("edge_only")
        await keys.press("Shift+Tab")
        await keys.press("Control+Enter")
        await window.is_in_state("done")
        assert await window.page.evaluate("document.activeElement.id") == "question"
        while await window.page.evaluate("document.activeElement.textContent") != "right":
            await keys.press("Tab")
        await keys.press("Space")
        await window.page.locator("#records .mark", has_text="right").wait_for()
        [record] = await window.place.records()
        assert (record.mode_asked, [grade.score for grade in record.grades]) == ("edge_only", [1])
        while await window.page.evaluate("document.activeElement.parentElement.className") != "record":
            await keys.press("Tab")
        await keys.press("Enter")
        await window.page.locator("#records .waterfall").wait_for()

    shown(tmp_path, work)


def test_colours_follow_the_system_until_one_is_chosen_which_is_kept(tmp_path: Path) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"

    async def work(window: Window) -> None:
        await window.open()
        light = await window.page.evaluate(ground)
        await window.page.emulate_media(color_scheme="dark")
        dark = await window.page.evaluate(ground)
        assert light != dark
        await window.page.locator(".theme label", has_text="Light").click()
        assert await window.page.evaluate(ground) == light
        await window.page.reload()
        await window.page.locator("#question").wait_for()
        assert await window.page.evaluate(ground) == light
        await window.page.locator(".theme label", has_text="Auto").click()
        assert await window.page.evaluate(ground) == dark

    shown(tmp_path, work)


def test_nothing_moves_for_who_wants_no_motion(tmp_path: Path) -> None:
    async def work(window: Window) -> None:
        await window.open()
        await window.ask(ASKED, "edge_only")
        await window.is_in_state("writing")
        moving = "document.getAnimations().filter((one) => one.playState === 'running').length"
        assert await window.page.evaluate(moving) == 0
        await window.page.emulate_media(reduced_motion="no-preference")
        assert await window.page.evaluate(moving) == 1

    shown(tmp_path, work, an_edge_that_hangs())


def test_two_windows_look_at_one_router(tmp_path: Path) -> None:
    async def main() -> None:
        async with AsyncExitStack() as exits:
            browser = await exits.enter_async_context(chromium())
            opened = await exits.enter_async_context(site(tmp_path, an_edge(), a_cloud(), RouterSettings()))
            one = await exits.enter_async_context(window(opened, browser))
            other = await exits.enter_async_context(window(opened, browser, PHONE, "dark"))
            await one.open()
            await other.open()
            await one.ask(ASKED, "edge_only")
            await one.is_in_state("done")
            await other.page.locator("#records details", has_text=ASKED).wait_for()

    asyncio.run(main())
