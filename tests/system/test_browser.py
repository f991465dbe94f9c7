"""A person in a real Chromium: log in, press Start, watch, work in JupyterLab, log out."""

import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright, expect

from browser import password_in
from stack import Hub, hub

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

pytestmark = pytest.mark.system

# A kernel on a busy machine takes its time.
expect.set_options(timeout=30_000)


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        made = await chromium.new_page(viewport={"width": 1100, "height": 760})
        made.set_default_timeout(30_000)
        yield made
        await chromium.close()


async def picture(page: Page, name: str) -> None:
    """Screenshots go where HUBBUB_PICTURES says, for people to look at."""
    if folder := os.environ.get("HUBBUB_PICTURES"):
        await page.screenshot(path=str(Path(folder) / f"{name}.png"))


async def login(page: Page, house: Hub, name: str) -> None:
    await page.goto(house.url)
    await page.get_by_label("Name").fill(name)
    await page.get_by_label("Password").fill(password_in(house.lines))
    await picture(page, "login")
    await page.get_by_role("button", name=re.compile("log in|sign in", re.IGNORECASE)).click()


async def test_from_the_front_door_to_a_notebook_and_out_again(tmp_path: Path, page: Page) -> None:
    async with hub(tmp_path / "data", config=None) as house:
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text) if "hub/" in message.location["url"] else None)
        await login(page, house, "ada")
        await expect(page).to_have_url(re.compile("/hub/home$"))
        await picture(page, "home")
        await page.get_by_role("link", name=re.compile("^Start ")).click()
        await page.wait_for_url("**/hub/spawn-pending/ada**")
        await picture(page, "pending")
        await page.wait_for_url("**/user/ada/**")
        await page.get_by_text("Python 3 (ipykernel)").first.click()
        await expect(page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible()
        cell = page.locator(".jp-Notebook .cm-content").first
        await cell.click()
        await page.keyboard.type("print(6 * 7)")
        await page.keyboard.press("Shift+Enter")
        await expect(page.locator(".jp-OutputArea-output").first).to_contain_text("42")
        await picture(page, "lab")
        await page.goto(f"{house.url}hub/logout")
        await expect(page).to_have_url(re.compile("/hub/login"))
        await page.goto(f"{house.url}user/ada/lab")
        await expect(page).to_have_url(re.compile("/hub/login"))
        assert not [line for line in said if "Content Security Policy" in line]


async def test_cancel_and_not_running(tmp_path: Path, page: Page) -> None:
    async with hub(tmp_path / "data", config=None) as house:
        await login(page, house, "bob")
        await page.wait_for_url("**/hub/home")
        await page.get_by_role("link", name=re.compile("^Start ")).click()
        await page.wait_for_url("**/hub/spawn-pending/bob**")
        await page.get_by_role("button", name=re.compile("cancel", re.IGNORECASE)).click()
        await page.wait_for_url("**/hub/home")
        await page.goto(f"{house.url}user/bob/lab")
        await expect(page.get_by_text(re.compile("not running", re.IGNORECASE)).first).to_be_visible()
        await picture(page, "not-running")
