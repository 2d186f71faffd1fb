"""How soon the page can be used, and how long an event takes from the router to it: Chromium on loopback.

`python -m tests.bench.compare.page` prints both.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from pathlib import Path

from playwright.async_api import Browser

from edgewise.types import Chunk, Completion, Options, Prompt
from router.config import RouterSettings
from tests.browser.window import chromium, window
from tests.routers import ASKED, TOKEN, a_cloud, question
from tests.sides import FakeEdge, Say
from tests.site import Site, site

_OPENED, _RECORDS = 15, 50
_EVENTS, _PAUSE_S = 200, 0.01

# Notes when the ask box could be used with the first overview shown, in milliseconds since the navigation started.
_USABLE = """() => {
    window.usableAt = new Promise((resolve) => {
        const note = () => {
            const usable = document.activeElement?.id === "question" && document.querySelector("#modes tr")
                && document.querySelector("#mode").value;
            if (usable) resolve(performance.now());
        };
        new MutationObserver(note).observe(document, { childList: true, subtree: true, attributes: true });
        document.addEventListener("focusin", note);
    });
}"""
# Notes of each token, which is the time of its making, how much later its text was in the document.
_ADDED = """() => {
    window.added = [];
    let seen = 0;
    new MutationObserver(() => {
        const now = performance.timeOrigin + performance.now();
        const said = document.querySelector(".answer .draft p")?.textContent.trim().split(" ") ?? [];
        for (; seen < said.length; seen += 1) if (said[seen]) window.added.push(now - Number(said[seen]));
    }).observe(document.querySelector("#answers"), { childList: true, subtree: true, characterData: true });
}"""


class ClockEdge(FakeEdge):
    """Every token that it writes is the time, in milliseconds since 1970: so the router's own work is counted, too."""

    async def _say(self, prompt: Prompt, options: Options) -> AsyncGenerator[Chunk | Completion]:
        for _ in range(_EVENTS):
            await asyncio.sleep(_PAUSE_S)
            yield Chunk(text=f"{time.time() * 1000:.3f} ", logprobs=(-0.1,), entropies=(0.1,), margins=(1.0,))
        yield self._completion(prompt, _EVENTS)


def measured() -> dict[str, float]:
    """`page_interactive_ms`, the median of fresh contexts, and `event_added_ms`, the 95th percentile of events."""
    return asyncio.run(_measured())


async def _measured() -> dict[str, float]:
    async with AsyncExitStack() as exits:
        browser = await exits.enter_async_context(chromium())
        directory = Path(exits.enter_context(tempfile.TemporaryDirectory()))
        edge = FakeEdge(Say("At nine"))
        opened = await exits.enter_async_context(site(directory, edge, a_cloud(), RouterSettings()))
        for _ in range(_RECORDS):
            await opened.place.ask(question("edge_only"))
        interactive = [await _interactive(opened, browser) for _ in range(_OPENED)]
    async with AsyncExitStack() as exits:
        browser = await exits.enter_async_context(chromium())
        directory = Path(exits.enter_context(tempfile.TemporaryDirectory()))
        opened = await exits.enter_async_context(site(directory, ClockEdge(Say("")), a_cloud(), RouterSettings()))
        added = await _added(opened, browser)
    return {
        "page_interactive_ms": round(statistics.median(interactive), 1),
        "event_added_ms": round(statistics.quantiles(added, n=20)[-1], 2),
    }


async def _interactive(opened: Site, browser: Browser) -> float:
    async with window(opened, browser) as tab:
        await tab.context.add_init_script(f"({_USABLE})()")
        await tab.page.goto(f"{tab.address}#token={TOKEN}")
        return float(await tab.page.evaluate("window.usableAt"))


async def _added(opened: Site, browser: Browser) -> list[float]:
    async with window(opened, browser) as tab:
        await tab.open()
        await tab.page.evaluate(_ADDED)
        await tab.ask(ASKED, "edge_only")
        await tab.is_in_state("done")
        added: list[float] = await tab.page.evaluate("window.added")
    assert len(added) == _EVENTS, f"{len(added)} of {_EVENTS} tokens arrived"
    return added


def main() -> None:
    print(json.dumps(measured(), indent=1))


if __name__ == "__main__":
    main()
