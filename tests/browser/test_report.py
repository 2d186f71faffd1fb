"""`report.html` in a headless Chromium: its script is allowed, its filters find, paper shows what was closed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from router.compare.comparison import REPORT, report_again
from tests.bench.compare.synthetic import write_records

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking")
QUESTIONS, MODES = 60, 4

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = shutil.which("chromium")
    if found is None:
        raise FileNotFoundError("there is no `chromium`; install it with `apt-get install chromium`")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("synthetic")
    write_records(directory, QUESTIONS, MODES)
    report_again(directory)
    return directory / REPORT


@pytest.fixture
def page(browser: Browser, report: Path) -> Iterator[Page]:
    """The report, of which no error, no refusal by its policy and no request to anywhere is accepted."""
    faults: list[str] = []
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    page = context.new_page()
    page.on("console", lambda message: faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: faults.append(request.url) if request.url != report.as_uri() else None)
    page.goto(report.as_uri())
    yield page
    context.close()
    assert faults == []


def shown(page: Page) -> int:
    return page.locator("details.question:not([hidden])").count()


def test_two_answers_stand_side_by_side(page: Page) -> None:
    page.locator("[name=left]").select_option("edge_only")
    page.locator("[name=right]").select_option("pre_arbitration")
    first = page.locator("details.question").first
    first.locator("summary").click()
    cards = first.locator(".card:visible")
    assert [cards.nth(at).get_attribute("data-mode") for at in range(2)] == ["edge_only", "pre_arbitration"]
    assert cards.count() == 2
    left, right = cards.nth(0).bounding_box(), cards.nth(1).bounding_box()
    assert left is not None
    assert right is not None
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] < right["x"]
    page.locator("[name=only]").uncheck()
    assert first.locator(".card:visible").count() == MODES


def test_the_filters_find_and_say_how_many(page: Page) -> None:
    assert shown(page) == QUESTIONS
    page.locator("[name=group]").select_option("device")
    assert shown(page) == QUESTIONS // 5
    page.locator("[name=text]").fill("question 11 ")
    assert shown(page) == 1
    assert page.locator("#count").inner_text() == f"1 of the {QUESTIONS} questions on this page"
    page.locator("[name=text]").fill("")
    page.locator("[name=group]").select_option("")
    page.locator("[name=differing]").check()
    left, right = (page.locator(f"[name={name}]").input_value() for name in ("left", "right"))
    pairs = page.locator("details.question:not([hidden])").evaluate_all(
        "(all, modes) => all.map(one => modes.map(mode => one.querySelector(`[data-mode='${mode}']`).dataset.score))",
        [left, right],
    )
    assert 0 < len(pairs) < QUESTIONS
    assert all(one != other for one, other in pairs)


def test_a_phone_has_nothing_to_scroll_sideways(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_paper_shows_the_differences_in_light_colours(page: Page) -> None:
    page.emulate_media(color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(17, 21, 27)"
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator("details.on-paper[open]").count() == 1
    assert not page.locator("#controls").is_visible()
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.locator("details.question[open]").count() == 0


def test_the_page_is_complete_without_its_script(browser: Browser, report: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())
    assert shown(page) == QUESTIONS
    assert not page.locator("#controls").is_visible()
    page.locator("details.question summary").first.click()
    assert page.locator("details.question").first.locator(".card:visible").count() == MODES
    context.close()
