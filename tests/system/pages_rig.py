"""A person in a real Chromium, and what every page has to stand up to: each look, axe-core, a silent console,
nothing that the Content-Security-Policy had to stop.
"""

import json
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, ConsoleMessage, Error, Page, Request, async_playwright, expect

from browser import password_in
from stack import Hub

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDE, PHONE = (1280, 800), (390, 780)
LOOKS = tuple((scheme, size) for size in (WIDE, PHONE) for scheme in ("light", "dark"))
AXE = Path(__file__).parents[2] / ".venv/share/hubbub/web/node_modules/axe-core/axe.min.js"

# Pages are told by the log, which takes its time on a busy machine.
expect.set_options(timeout=20_000)

_REPORTS = """
    window.reports = [];
    document.addEventListener("securitypolicyviolation", (event) =>
        window.reports.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
"""
_RUN_AXE = """
    async () => {
        const found = await axe.run(document, {resultTypes: ["violations"]});
        return found.violations.map(({id, help, nodes}) =>
            ({id, help, nodes: nodes.slice(0, 4).map(({html, failureSummary}) => `${html} ${failureSummary}`)}));
    }
"""


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        try:
            yield browser
        finally:
            await browser.close()


class Person:
    """Somebody with a browser of their own. `said`: what no page of the hub may make it say."""

    def __init__(self, page: Page, house: Hub) -> None:
        self.page = page
        self.house = house
        self.said: list[str] = []
        #: Answers that a test expects: the browser says so on its console of each that is an error (4xx, 5xx).
        self.expects: set[int] = set()
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        page.on("request", self._asked)

    def _heard(self, message: ConsoleMessage) -> None:
        ours = "/hub/" in message.location.get("url", "") or "/hub/" in self.page.url
        status = re.search(r"status of (\d+)", message.text)
        if ours and message.type in ("error", "warning") and not (status and int(status[1]) in self.expects):
            self.said.append(f"{message.type}: {message.text} ({message.location.get('url')})")

    def _asked(self, request: Request) -> None:
        if "csp-report" in request.url:
            self.said.append(f"csp report: {request.post_data}")
        if not request.url.startswith((self.house.url, "data:", "blob:")):
            self.said.append(f"elsewhere: {request.url}")

    async def go(self, path: str) -> None:
        """*path*: below the hub's address, e.g. `hub/home`."""
        await self.page.goto(f"{self.house.url}{path}")

    async def login(self, name: str, password: str = "") -> None:
        """From the front door; with the hub's own password unless told another."""
        await self.go("hub/login?next=%2Fhub%2Fhome")
        await self.page.get_by_label("Name").fill(name)
        await self.page.get_by_label("Password").fill(password or password_in(self.house.lines))
        await self.page.get_by_role("button", name=re.compile("log in|sign in", re.IGNORECASE)).click()
        await self.page.wait_for_url("**/hub/home")

    async def see(self, name: str, *, whole: bool = False) -> None:
        """The page as it is now, in every look: without any complaint. Pictures go where HUBBUB_PICTURES says.

        *whole*: the pictures show all of it, not what fits on the screen.
        """
        for scheme, (width, height) in LOOKS:
            await self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
            await self.page.set_viewport_size({"width": width, "height": height})
            look = f"{scheme} on {'a phone' if width < 500 else 'a wide screen'}"
            assert not (found := await self._axe()), f"{name}, {look}: {json.dumps(found, indent=1)}"
            across = await self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            assert across <= 0, f"{name}, {look}: {across} pixels are beyond the edge"
            if folder := os.environ.get("HUBBUB_PICTURES"):
                picture = Path(folder) / f"{name}-{scheme}-{'phone' if width < 500 else 'wide'}.png"
                await self.page.screenshot(path=str(picture), full_page=whole, animations="disabled")
        await self.page.emulate_media(color_scheme="light", reduced_motion="reduce")
        await self.page.set_viewport_size({"width": WIDE[0], "height": WIDE[1]})
        await self.untroubled()

    async def untroubled(self) -> None:
        """Nothing has been said on the console, and no policy was broken, until now."""
        try:
            self.said += await self.page.evaluate("window.reports ?? []")
        except Error as error:  # a page that goes on by itself, as that of a start does
            if "navigation" not in str(error):
                raise
            await self.page.wait_for_load_state()
            self.said += await self.page.evaluate("window.reports ?? []")
        assert not self.said, self.said

    async def _axe(self) -> list[dict[str, Any]]:
        if not await self.page.evaluate("typeof axe === 'object'"):
            await self.page.evaluate(AXE.read_text())
        found: list[dict[str, Any]] = await self.page.evaluate(_RUN_AXE)
        return found


@asynccontextmanager
async def person(browser: Browser, house: Hub) -> AsyncIterator[Person]:
    """A new one, with no cookies. What their browser has complained about fails the test at the end."""
    context = await browser.new_context(viewport={"width": WIDE[0], "height": WIDE[1]}, ignore_https_errors=True)
    try:
        page = await context.new_page()
        page.set_default_timeout(20_000)
        await page.add_init_script(_REPORTS)
        someone = Person(page, house)
        yield someone
        await someone.untroubled()
    finally:
        await context.close()
