"""The pages around a login, what an operator makes of them, and those that say no, in a browser."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from pages_rig import Person, chromium, person
from playwright.async_api import Browser, expect

from browser import password_in
from stack import HERE, Hub, hub

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="module")]

PASSWORD = "four words without connection"
#: A service that asks who somebody is, and for leave to see their servers.
DESK = """
c.JupyterHub.services = [{"name": "desk", "url": "http://127.0.0.1:9", "api_token": "token-of-the-desk-service",
                          "oauth_client_allowed_scopes": ["read:servers!user", "access:servers!user"]}]
c.JupyterHub.load_roles = [{"name": "user", "scopes": ["self", "access:services"]}]
"""
AUTHORIZE = (
    "hub/api/oauth2/authorize?client_id=service-desk&response_type=code"
    "&redirect_uri=%2Fservices%2Fdesk%2Foauth_callback"
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hub]:
    """With accounts that people make themselves."""
    folder: Path = tmp_path_factory.mktemp("login")
    config = folder / "jupyterhub_config.py"
    config.write_text(f"load_subconfig({str(HERE / 'config_passwords.py')!r})\nc = get_config()\n{DESK}")
    async with hub(folder / "data", config=config) as made:
        yield made


async def signed_up(someone: Person, name: str) -> None:
    await someone.go("hub/signup")
    await someone.page.get_by_label("Name").fill(name)
    await someone.page.get_by_label("Password", exact=True).fill(PASSWORD)
    await someone.page.get_by_label("once more").fill(PASSWORD)
    await someone.page.get_by_role("button", name="Sign up").click()


async def chosen(house: Hub, boss: Person, name: str) -> None:
    """An account by the link that `hubbub password` prints."""
    _, said = await house.command("password", name)
    link = re.search(r"hub/password\?link=\S+", said)
    assert link, said
    await boss.go(link[0])
    await boss.see("password-by-link")
    await boss.page.get_by_label("New password", exact=True).fill(PASSWORD)
    await boss.page.get_by_label("once more").fill(PASSWORD)
    await boss.page.get_by_role("button", name="Choose it").click()


async def test_from_signing_up_to_logging_out(browser: Browser, house: Hub) -> None:
    async with person(browser, house) as ada, person(browser, house) as root:
        await ada.go("hub/login")
        await ada.see("login")
        await ada.page.get_by_role("link", name="Sign up").click()
        await ada.see("sign-up")
        await signed_up(ada, "ada")
        await ada.see("signed-up")

        await chosen(house, root, "root")
        await root.login("root", PASSWORD)
        await root.go("hub/accounts")
        await root.see("accounts")
        await root.page.get_by_role("button", name="Approve: ada").click()
        await expect(root.page.locator("#accounts").get_by_role("heading", name="ada")).to_be_visible()

        ada.expects = {403}
        await ada.go("hub/login")
        await ada.page.get_by_label("Name").fill("ada")
        await ada.page.get_by_label("Password").fill("wrong, unfortunately")
        await ada.page.get_by_role("button", name="Log in").click()
        await expect(ada.page.get_by_role("alert")).to_contain_text("Invalid username or password")
        await ada.see("login-refused")
        await ada.login("ada", PASSWORD)
        await ada.go("hub/password")
        await ada.see("password")
        await ada.go(AUTHORIZE)
        await expect(ada.page.get_by_role("heading", name=re.compile("know who you are"))).to_be_visible()
        await ada.see("consent")
        await ada.go("hub/logout")
        await ada.see("logged-out")


async def test_pages_that_say_no_say_what_to_do(browser: Browser, house: Hub) -> None:
    async with person(browser, house) as ada:
        ada.expects = {403, 404}
        await ada.go("hub/error/503")
        await expect(ada.page.get_by_role("link", name=re.compile("home page"))).to_be_visible()
        await ada.see("error-503")
        await ada.go("hub/no/such/page")
        await ada.see("error-404")
        await ada.go("hub/api-docs")
        await ada.see("api-docs")


async def test_the_operators_html_is_everywhere_and_works(browser: Browser, tmp_path: Path) -> None:
    async with (
        hub(tmp_path / "data", config=HERE / "config_page_templates.py") as house,
        person(browser, house) as ada,
    ):
        await ada.go("hub/login?next=%2Fhub%2Fhome")
        await expect(ada.page.get_by_text("Members of physics only")).to_be_visible()
        await expect(ada.page.get_by_text("Run by physics, for all")).to_be_visible()
        await expect(ada.page.get_by_role("link", name="Help")).to_be_visible()
        await ada.see("login-own")
        await ada.login("ada", "password-of-everyone")
        await expect(ada.page.get_by_text("Run by physics, for ada")).to_be_visible()
        await expect(ada.page.get_by_text("Down on Monday")).to_be_visible()
        await expect(ada.page.get_by_role("img", name="Home")).to_be_visible()
        await ada.see("home-own")
        # Its own scripts run, too, under the policy that lets the operator's run.
        await expect(ada.page.get_by_role("heading", name="Your server", exact=True)).to_be_visible()


async def test_the_front_door_of_a_hub_without_a_configuration(browser: Browser, tmp_path: Path) -> None:
    async with hub(tmp_path / "data", config=None) as house, person(browser, house) as ada:
        await ada.go("")
        await expect(ada.page.get_by_label("Name")).to_be_focused()
        await ada.page.keyboard.type("ada")
        await ada.page.keyboard.press("Tab")
        await ada.page.keyboard.type(password_in(house.lines))
        await ada.page.keyboard.press("Enter")
        await ada.page.wait_for_url("**/hub/home")
        await ada.see("home")
