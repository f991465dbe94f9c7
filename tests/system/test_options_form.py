"""An operator's options form in a real Chromium: its script runs, its file arrives, its refusal is read."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright, expect

from stack import HERE, hub

pytestmark = pytest.mark.system

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        made = await chromium.new_page()
        made.set_default_timeout(30_000)
        yield made
        await chromium.close()


async def test_a_form_is_filled_in(tmp_path: Path, page: Page) -> None:
    async with hub(tmp_path / "data", config=HERE / "config_forms.py", environ={"TEST_FORM": "text"}) as house:
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        await page.goto(house.url)
        await page.get_by_label("Name").fill("ada")
        await page.get_by_label("Password").fill("password-of-everyone")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/hub/spawn")
        await expect(page.get_by_label("Size")).to_have_value("2")  # which is the form's own script's doing
        await page.get_by_label("Notes").set_input_files({"name": "n", "mimeType": "text/plain", "buffer": b"hi"})
        await page.get_by_role("button", name="Start").click()
        await page.wait_for_url("**/user/ada/**")
        options = (await house.model("ada"))["servers"][""]["user_options"]
        assert options == {"size": 2, "notes": {"__jupyterhub_bytes__": True, "data": "aGk="}}
        await page.goto(f"{house.url}hub/spawn/ada/lab?opt-size=9")
        await expect(page.get_by_role("alert")).to_have_text("ada may have 2 <at most>")
        await expect(page.get_by_label("Size")).to_be_visible()
        assert not [line for line in said if "Content Security Policy" in line]
