"""An operator's options form in a real Chromium: its script runs, its file arrives, its refusal is read."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pages_rig import chromium, person
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


async def test_a_form_that_was_written_for_jupyterhubs_page_works_under_a_strict_policy(tmp_path: Path) -> None:
    config, environ = HERE / "config_forms.py", {"TEST_FORM": "scripts"}
    async with (
        hub(tmp_path / "data", config=config, environ=environ) as house,
        chromium() as browser,
        person(browser, house) as ada,
    ):
        await ada.login("ada", "password-of-everyone")
        await ada.go("hub/spawn")
        await expect(ada.page.get_by_text("ready", exact=True)).to_be_visible()
        await ada.see("spawn-form")
        await ada.page.get_by_role("button", name="Larger").click()
        await expect(ada.page.get_by_label("Size")).to_have_value("2")
        # Whatever else finds its way into the page stays words.
        await ada.page.evaluate("""() => {
            const script = document.createElement("div");
            script.innerHTML = '<img src="x:" onerror="window.foreign = 1">';
            document.body.append(script);
        }""")
        await ada.page.wait_for_function("window.reports.length > 0")
        assert await ada.page.evaluate("window.foreign") is None
        await ada.page.evaluate("window.reports = []")
        ada.said.clear()
