"""The page in a headless Chromium, on a real server with a real router between scripted sides."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright

from router.config import RouterSettings
from tests.routers import TOKEN, Place, a_cloud, an_edge
from tests.sides import FakeCloud, FakeEdge
from tests.site import Site, site

ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = ROOT / "build" / "page"
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
DESKTOP, PHONE = (1200, 900), (360, 740)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    found = shutil.which("chromium")
    if found is None:
        raise FileNotFoundError("there is no `chromium`; install it with `apt-get install chromium`")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=found, args=_FLAGS)
        try:
            yield browser
        finally:
            await browser.close()


@dataclass(frozen=True)
class Window:
    """One tab, and what was wrong in it: errors of scripts, refusals by the policy, requests to elsewhere."""

    site: Site
    context: BrowserContext
    page: Page
    faults: list[str] = field(default_factory=list)

    @property
    def place(self) -> Place:
        return self.site.place

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.site.port}/"

    async def open(self, token: str = TOKEN) -> None:
        """Opens the page and returns when it can be used."""
        await self.page.goto(f"{self.address}#token={token}")
        await self.page.locator("#question").wait_for()

    async def ask(self, text: str, mode: str, beside: str = "") -> None:
        """Asks, and does not wait for the answer."""
        await self.page.locator("#question").fill(text)
        await self.page.locator("#mode").select_option(mode)
        await self.page.locator("#other").select_option(beside)
        await self.page.locator("#send").click()

    async def is_in_state(self, state: str, place: int = 0) -> None:
        """Returns when an answer is waiting, asked, writing, done, failed or stopped."""
        await self.page.locator(f".answer:nth-child({place + 1})[data-state={state}]").wait_for()

    async def text(self, selector: str) -> str:
        return await self.page.locator(selector).first.inner_text()

    async def screenshot(self, name: str) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        await self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)

    def watch(self) -> None:
        self.page.on("pageerror", lambda error: self.faults.append(f"script: {error}"))
        self.page.on("console", lambda message: self.faults.extend(_refused(message)))
        self.page.on("request", lambda request: self.faults.extend(self._strayed(request.url)))

    def _strayed(self, url: str) -> list[str]:
        return [] if urlsplit(url).netloc == f"127.0.0.1:{self.site.port}" else [f"request to {url}"]


def _refused(message: ConsoleMessage) -> list[str]:
    by_policy = "Content Security Policy" in message.text or "Trusted" in message.text
    return [f"policy: {message.text}"] if by_policy else []


@asynccontextmanager
async def window(
    opened: Site, browser: Browser, size: tuple[int, int] = DESKTOP, scheme: str = "light"
) -> AsyncIterator[Window]:
    context = await browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
        has_touch=size == PHONE,
        is_mobile=size == PHONE,
    )
    try:
        context.set_default_timeout(8000)
        found = Window(opened, context, await context.new_page())
        found.watch()
        yield found
        assert found.faults == []
    finally:
        await context.close()


def shown(
    directory: Path,
    work: Callable[[Window], Awaitable[None]],
    edge: FakeEdge | None = None,
    cloud: FakeCloud | None = None,
    *,
    settings: RouterSettings = RouterSettings(),
    size: tuple[int, int] = DESKTOP,
    scheme: str = "light",
) -> None:
    """Runs some work on a window of its own; whatever it does, no script fails and nothing leaves the origin."""

    async def main() -> None:
        async with AsyncExitStack() as exits:
            browser = await exits.enter_async_context(chromium())
            opened = await exits.enter_async_context(site(directory, edge or an_edge(), cloud or a_cloud(), settings))
            await work(await exits.enter_async_context(window(opened, browser, size, scheme)))

    asyncio.run(main())
