"""Logins in a real Chromium: forms, a provider and back, sign-up and approval, sessions, log-out."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect
from rigs.chromium import Window, windows

from login_suite import RIGHT
from oidc_provider import known, provider
from stack import HERE, Hub, hub

pytestmark = pytest.mark.system

# A busy machine takes its time.
expect.set_options(timeout=30_000)


@pytest.fixture
async def complaints() -> AsyncIterator[list[str]]:
    """What Chromium says of our pages; nothing, in the end."""
    said: list[str] = []
    yield said
    assert said == []


@pytest.fixture
async def window(complaints: list[str]) -> AsyncIterator[Window]:
    async with windows(complaints) as made:
        yield made


def config(folder: Path, lines: str) -> Path:
    file = folder / "config.py"
    file.write_text(f"load_subconfig({str(HERE / 'config_logins.py')!r})\n{lines}")
    return file


async def log_in(page: Page, house: Hub, name: str) -> None:
    await page.goto(house.url)
    await page.get_by_label(re.compile("^(Name|Username)")).fill(name)
    await page.get_by_label(re.compile("^Password")).first.fill(RIGHT)
    await page.keyboard.press("Enter")


async def test_sign_up_approval_sessions_and_log_out(tmp_path: Path, window: Window) -> None:
    lines = 'c.JupyterHub.authenticator_class = "hubbub-passwords"\nc.PasswordAuthenticator.enable_signup = True\n'
    async with hub(tmp_path / "data", config=config(tmp_path, lines), scale="auth=2") as house:
        boss, ada, elsewhere = await window(), await window(), await window()
        status, said = await house.command("password", "boss")
        assert status == 0, said
        await boss.goto(said.strip().splitlines()[-1])
        await boss.get_by_label("New password", exact=True).fill(RIGHT)
        await boss.get_by_label("New password, once more").fill(RIGHT)
        await boss.keyboard.press("Enter")
        await expect(boss.get_by_role("heading", level=1)).to_be_visible()

        await ada.goto(house.url)
        await ada.get_by_role("link", name="Sign up").click()
        await ada.get_by_label("Name").fill("ada")
        await ada.get_by_label("Password", exact=True).fill(RIGHT)
        await ada.get_by_label("Password, once more").fill(RIGHT)
        await ada.get_by_role("button", name="Sign up").click()
        await expect(ada.get_by_role("status")).to_contain_text("waits for approval")

        await log_in(boss, house, "boss")
        await boss.wait_for_url(re.compile("/hub/(home|spawn)"))
        await boss.goto(f"{house.url}hub/accounts")
        await boss.get_by_role("button", name="Approve: ada").click()
        await expect(boss.locator("#accounts")).to_contain_text("ada")

        for page in (ada, elsewhere):
            await log_in(page, house, "ada")
            await page.wait_for_url(re.compile("/hub/(home|spawn)|/user/ada/"))
        await ada.goto(f"{house.url}hub/sessions")
        await expect(ada.locator("#sessions > li")).to_have_count(2)
        await ada.get_by_role("button", name="Log out everywhere else").click()
        await expect(ada.locator("#sessions > li")).to_have_count(1)
        await elsewhere.goto(f"{house.url}hub/home")
        await expect(elsewhere).to_have_url(re.compile("/hub/login"))

        await ada.get_by_role("link", name=re.compile("log out", re.IGNORECASE)).first.click()
        await expect(ada).to_have_url(re.compile("/hub/log(in|out)"))
        await ada.goto(f"{house.url}hub/home")
        await expect(ada).to_have_url(re.compile("/hub/login"))


async def test_to_a_provider_and_back(tmp_path: Path, window: Window) -> None:
    async with provider() as made:
        known(made, ("ada", "zed"))
        lines = f"""
c.JupyterHub.authenticator_class = "hubbub-oidc"
c.OIDCAuthenticator.issuer = {made.issuer!r}
c.OIDCAuthenticator.client_id = "hub"
c.OIDCAuthenticator.client_secret = "secret-of-the-hub-at-the-provider"
c.OIDCAuthenticator.login_service = "the Observatory"
"""
        async with hub(tmp_path / "data", config=config(tmp_path, lines), scale="auth=2") as house:
            ada, zed = await window(), await window()
            await ada.goto(house.url)
            await ada.get_by_role("link", name="Log in with the Observatory").click()
            await ada.get_by_placeholder("sub").fill("ada")
            await ada.get_by_role("button", name="Authorize").click()
            # Nobody is asked whether it was the other site's wish that their server starts.
            await ada.wait_for_url("**/user/ada/")
            await expect(ada.locator("body")).to_contain_text('"name": "ada"')

            await zed.goto(house.url)
            await zed.get_by_role("link", name="Log in with the Observatory").click()
            await zed.get_by_placeholder("sub").fill("zed")
            await zed.get_by_role("button", name="Authorize").click()
            await expect(zed).to_have_url(re.compile(f"^{re.escape(house.url)}hub/"))
            await zed.goto(f"{house.url}hub/home")
            await expect(zed).to_have_url(re.compile("/hub/login"))


async def test_the_pages_of_somebody_elses_authenticator(tmp_path: Path, window: Window) -> None:
    """JupyterHub's own templates, scripts and styles."""
    lines = 'c.JupyterHub.authenticator_class = "native"\n'
    async with hub(tmp_path / "data", config=config(tmp_path, lines), scale="auth=2") as house:
        boss, olga = await window(), await window()
        for page, name in ((boss, "boss"), (olga, "olga")):
            await page.goto(f"{house.url}hub/signup")
            await page.get_by_label("Username").fill(name)
            await page.locator("#password_input").fill(RIGHT)
            await page.locator("#password_confirmation_input").fill(RIGHT)
            await page.keyboard.press("Enter")
            await expect(page.get_by_role("alert").first).to_be_visible()
        await log_in(boss, house, "boss")
        await boss.wait_for_url(re.compile("/hub/(home|spawn)|/user/boss/"))
        await boss.goto(f"{house.url}hub/authorize")
        await boss.locator('a[href$="authorize/olga"]').click()
        await expect(boss.get_by_role("row", name=re.compile("olga"))).to_be_visible()
        await house.user("olga")
        await log_in(olga, house, "olga")
        await olga.wait_for_url(re.compile("/hub/(home|spawn)|/user/olga/"))
        await olga.goto(f"{house.url}hub/logout")
        await olga.goto(f"{house.url}hub/home")
        await expect(olga).to_have_url(re.compile("/hub/login"))
