"""Who may see the page, and what a text of somebody else may do to it: nothing."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from edgewise.types import Question
from router.config import RouterSettings
from router.defanging import defanged
from tests.browser.window import Window, chromium, shown, window
from tests.routers import TOKEN, a_cloud, an_edge, question
from tests.sides import FakeEdge, Say, passage
from tests.site import site

pytestmark = pytest.mark.system

EVIL = (
    "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    "<a href=\"javascript:document.title='owned'\">x</a><style>body{display:none}</style>"
    "<iframe srcdoc=\"<script>parent.document.title='owned'</script>\"></iframe>&lt;b&gt;"
)


def test_markup_in_questions_answers_passages_and_names_is_text(tmp_path: Path) -> None:
    async def work(window: Window) -> None:
        await window.open()
        await window.ask(EVIL, "edge_only+rag")
        await window.is_in_state("done")
        await window.page.locator("#records summary").click()
        await window.page.locator("#records .waterfall").wait_for()
        [record] = await window.place.records()
        assert await window.text(".answer .draft p") == record.answer == defanged(EVIL)
        assert await window.text("#answers .question") == EVIL
        assert await window.text("#records .asked") == EVIL
        assert await window.text("#records .draft p") == defanged(EVIL)
        assert await window.page.title() == "Edgewise"
        for made in ("img", "iframe", "main script", "main style", "main a"):
            assert await window.page.locator(made).count() == 0, made

    edge = FakeEdge(Say(EVIL), passages=(passage(EVIL).model_copy(update={"source": EVIL, "title": EVIL}),))
    edge.reads = EVIL
    shown(tmp_path, work, edge)


def test_the_browser_itself_would_refuse_markup_scripts_and_other_places(tmp_path: Path) -> None:
    async def work(window: Window) -> None:
        await window.open()
        refused = {
            "markup": "document.body.innerHTML = '<b>x</b>'",
            "a script": "document.createElement('script').textContent = 'document.title = 1'",
            "another place": "await fetch('http://127.0.0.1:1/')",
        }
        for what, script in refused.items():
            tried = f"async () => {{ try {{ {script}; return 'done' }} catch (error) {{ return error.name }} }}"
            assert await window.page.evaluate(tried) != "done", what
        inline = "() => { const s = document.createElement('style'); s.textContent = 'body { display: none }';"
        await window.page.evaluate(inline + " document.head.append(s); }")
        assert await window.page.locator("#question").is_visible()
        assert len(window.faults) >= 3
        window.faults.clear()  # these were ours

    shown(tmp_path, work)


def test_the_token_is_taken_from_the_address_and_never_travels_in_one(tmp_path: Path) -> None:
    async def work(window: Window) -> None:
        asked: list[str] = []
        window.page.on("request", lambda request: asked.append(request.url))
        await window.open()
        assert window.page.url == window.address
        await window.page.reload()
        await window.page.locator("#question").wait_for()
        assert len(asked) > 10
        assert not any(TOKEN in url or TOKEN.replace(" ", "%20") in url for url in asked)
        other = await window.context.new_page()
        await other.goto(window.address)
        await other.locator("#token").wait_for()

    shown(tmp_path, work)


def test_a_wrong_token_shows_nothing_and_the_right_one_opens(tmp_path: Path) -> None:
    async def work(window: Window) -> None:
        await window.place.ask(question("edge_only", text="A secret?"))
        await window.page.goto(window.address)
        await window.page.locator("#token").wait_for()
        assert "edgewise status --page" in await window.text("#door")
        assert not await window.page.locator("#wrong-token").is_visible()
        assert "secret" not in await window.page.content()
        await window.screenshot("door")
        for given in ("wrong", TOKEN):
            await window.page.locator("#token").fill(given)
            await window.page.keyboard.press("Enter")
            await window.page.locator("#wrong-token" if given == "wrong" else "#question").wait_for()
        await window.page.locator("#records", has_text="A secret?").wait_for()

    shown(tmp_path, work)


def test_a_token_that_was_renewed_brings_the_form_back(tmp_path: Path) -> None:
    async def work(window: Window) -> None:
        await window.open()
        await window.page.evaluate("sessionStorage.setItem('edgewise-token', 'old')")
        await window.ask("Who may ask?", "edge_only")
        await window.page.locator("#wrong-token").wait_for()
        assert window.place.edge.calls == 0
        await window.page.goto(f"{window.address}#token={TOKEN}")
        await window.page.locator("#question").wait_for()

    shown(tmp_path, work)


def test_without_authentication_no_token_is_asked(tmp_path: Path) -> None:
    async def main() -> None:
        async with AsyncExitStack() as exits:
            browser = await exits.enter_async_context(chromium())
            opened = await exits.enter_async_context(site(tmp_path, an_edge(), a_cloud(), RouterSettings(), token=""))
            found = await exits.enter_async_context(window(opened, browser))
            await found.page.goto(found.address)
            await found.page.locator("#question").wait_for()
            await found.ask("Who may ask?", "edge_only")
            await found.is_in_state("done")

    asyncio.run(main())


def test_texts_of_many_kinds_come_back_as_they_are(tmp_path: Path) -> None:
    text = "a\n\nb\tc  d\u2028e\u2029f\x85g \u202edrow\u202c 日本 🛶 \\n data: x\n\nevent: done\ndata: {}"

    async def work(window: Window) -> None:
        window.place.edge.answers = [Say(text)]
        await window.open()
        await window.ask("Say it", "edge_only")
        await window.is_in_state("done")
        heard = await window.place.ask(Question(text="Say it", mode="edge_only"))
        assert await window.page.locator(".answer .draft p").evaluate("e => e.textContent") == heard.text == text

    shown(tmp_path, work)
