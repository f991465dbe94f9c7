"""A real Chromium without a screen, in which several people have windows of their own."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from playwright.async_api import ConsoleMessage, Page, async_playwright

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]

#: Makes a window that shares no cookies with the others.
Window = Callable[[], Awaitable[Page]]


@asynccontextmanager
async def windows(complaints: list[str]) -> AsyncIterator[Window]:
    """*complaints*: what the hub's pages are forbidden to load or to run, and cannot find, is added there."""

    def hear(said: ConsoleMessage) -> None:
        place = said.location["url"]
        is_missing = "static/" in place and "Failed to load resource" in said.text
        if "/hub/" in place and (is_missing or "Content Security Policy" in said.text):
            complaints.append(f"{place}: {said.text}")

    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)

        async def window() -> Page:
            page = await (await chromium.new_context(viewport={"width": 1100, "height": 760})).new_page()
            page.set_default_timeout(30_000)
            page.on("console", hear)
            return page

        yield window
        await chromium.close()
