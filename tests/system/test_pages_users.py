"""The pages of people who log in to work, as they use them: in a browser, from nothing but what is on the page."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from pages_rig import Person, chromium, person
from playwright.async_api import Browser, expect

from stack import HERE, Hub, hub

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="module")]

PASSWORD = "password-of-everyone"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hub]:
    folder: Path = tmp_path_factory.mktemp("users")
    async with hub(folder / "data", config=HERE / "config_users.py") as made:
        yield made


def state(server: str) -> str:
    """Where the page says how a server is."""
    return f'[data-name="{server}"] .state'


async def who_is_let_in(someone: Person) -> str:
    """The name that the server, which is on the page, knows them by."""
    shown = await someone.page.locator("body").inner_text()
    name: str = json.loads(shown)["name"]
    return name


async def secret_in(someone: Person, field: str) -> str:
    """What is shown once."""
    found = someone.page.get_by_label(field, exact=True)
    await expect(found).not_to_have_value("")
    return await found.input_value()


async def test_a_new_user_starts_shares_makes_a_token_and_ends_a_session(browser: Browser, house: Hub) -> None:
    async with person(browser, house) as ada, person(browser, house) as bob, person(browser, house) as elsewhere:
        await ada.login("ada", PASSWORD)
        await ada.see("users-home-at-first")
        await ada.page.get_by_role("link", name="Start Your server").click()
        await ada.page.wait_for_url("**/user/ada/**")
        assert await who_is_let_in(ada) == "ada"
        await ada.go("hub/home")
        await expect(ada.page.locator(state("Your server"))).to_have_text("Running")
        await _shares(ada, bob, house)
        await _makes_a_token(ada, house)
        await elsewhere.login("ada", PASSWORD)
        await ada.page.get_by_role("link", name="ada", exact=True).click()
        await ada.see("users-sessions", whole=True)
        await ada.page.get_by_role("button", name=re.compile("^End the session of Chrome")).click()
        await expect(ada.page.get_by_role("button", name=re.compile("^End the session"))).to_have_count(0)
        await elsewhere.go("hub/home")
        assert "/hub/login" in elsewhere.page.url


async def _shares(ada: Person, bob: Person, house: Hub) -> None:
    await ada.page.get_by_role("link", name="Share Your server").click()
    await ada.see("users-sharing-at-first", whole=True)
    await ada.page.get_by_role("button", name="Make link").click()
    link = await secret_in(ada, "Link")
    await ada.see("users-sharing-link")
    await ada.page.get_by_role("button", name="Done").click()
    await bob.page.goto(link)
    await bob.page.get_by_label("Name").fill("bob")
    await bob.page.get_by_label("Password").fill(PASSWORD)
    await bob.page.keyboard.press("Enter")
    await bob.page.wait_for_url("**/hub/accept-share**")
    await bob.see("users-accept-share")
    await bob.page.get_by_role("button", name="Accept").click()
    await bob.page.wait_for_url("**/oauth2/authorize**")
    await bob.page.get_by_role("button", name="Allow").click()
    await bob.page.wait_for_url("**/user/ada/**")
    assert await who_is_let_in(bob) == "bob"
    await expect(ada.page.locator("#given")).to_contain_text("bob")
    await expect(ada.page.locator("#codes")).to_contain_text("Used by bob")
    await ada.see("users-sharing", whole=True)
    await bob.go("hub/home")
    await expect(bob.page.get_by_role("link", name="Open ada's server")).to_be_visible()
    await bob.see("users-home-shared", whole=True)
    await ada.page.get_by_role("button", name="End sharing with bob").click()
    await ada.page.get_by_role("dialog").get_by_role("button", name="End").click()
    await expect(ada.page.locator("#given")).not_to_contain_text("bob")
    await expect(bob.page.get_by_role("heading", name="Shared with you")).to_have_count(0)


async def _makes_a_token(ada: Person, house: Hub) -> None:
    await ada.page.get_by_role("link", name="Tokens").click()
    await ada.page.get_by_label("What it is for").fill("backup")
    await ada.page.get_by_label("How long it lasts").select_option("1 week")
    await ada.page.get_by_label("What I choose").check()
    await ada.page.get_by_label("See your servers and whether they run").check()
    await ada.see("users-token-choose", whole=True)
    await ada.page.get_by_role("button", name="Make token").click()
    token = await secret_in(ada, "Token")
    await ada.see("users-token-made")
    await ada.page.get_by_role("button", name="Done").click()
    status, model = await house.api("GET", "/users/ada", token=token)
    assert (status, "" in model["servers"]) == (200, True)
    status, _ = await house.api("DELETE", "/users/ada/server", token=token)
    assert status == 403
    await expect(ada.page.locator("#tokens")).to_contain_text("backup")
    await ada.page.reload()
    await ada.see("users-tokens", whole=True)
    await ada.page.get_by_role("button", name="Revoke backup").click()
    await ada.page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    await expect(ada.page.locator("#tokens")).to_contain_text("You have none.")
    status, _ = await house.api("GET", "/users/ada", token=token)
    assert status == 403


async def test_a_server_is_started_by_keyboard_alone(browser: Browser, house: Hub) -> None:
    async with person(browser, house) as cleo:
        await cleo.go("hub/login?next=%2Fhub%2Fhome")
        keys = cleo.page.keyboard
        await cleo.page.get_by_label("Name").focus()
        await keys.type("cleo")
        await keys.press("Tab")
        await keys.type(PASSWORD)
        await keys.press("Enter")
        await cleo.page.wait_for_url("**/hub/home")
        for _ in range(20):
            await keys.press("Tab")
            if (await cleo.page.evaluate("document.activeElement.textContent")).startswith("Start"):
                break
        await keys.press("Enter")
        await cleo.page.wait_for_url("**/user/cleo/**")


async def test_named_servers_in_two_tabs(browser: Browser, house: Hub) -> None:
    async with person(browser, house) as dora, person(browser, house) as tab:
        await dora.login("dora", PASSWORD)
        await tab.login("dora", PASSWORD)
        await dora.page.get_by_label("New server").fill("Deep learning 2!")
        await expect(dora.page.locator("#add-address")).to_contain_text("/user/dora/deep-learning-2/")
        await dora.page.get_by_role("button", name="Create and start").click()
        await dora.page.wait_for_url("**/user/dora/deep-learning-2/**")
        running = expect(tab.page.locator(state("Deep learning 2!")))
        await running.to_have_text("Running")
        await dora.go("hub/home")
        await dora.see("users-home-named", whole=True)
        await dora.page.get_by_label("New server").fill("Half typ")
        await tab.page.get_by_role("button", name="Stop Deep learning 2!").click()
        await expect(dora.page.locator(state("Deep learning 2!"))).to_have_text("Stopped")
        await dora.page.get_by_role("button", name="Rename Deep learning 2!").click()
        await dora.page.get_by_label("What it is called").fill("Thesis")
        await dora.see("users-rename")
        await dora.page.get_by_role("dialog").get_by_role("button", name="Rename").click()
        await expect(tab.page.get_by_role("heading", name="Thesis")).to_be_visible()
        await tab.page.get_by_role("button", name="Delete Thesis").click()
        await tab.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        await expect(dora.page.get_by_role("heading", name="Thesis")).to_have_count(0)
        await expect(dora.page.get_by_label("New server")).to_have_value("Half typ")
        await expect(dora.page.locator("#add-address")).to_contain_text("/user/dora/half-typ/")


async def test_a_start_is_watched_called_off_and_fails(browser: Browser, house: Hub) -> None:
    async with person(browser, house) as emil:
        emil.expects = {500, 424}
        await emil.login("emil", PASSWORD)
        await emil.go("hub/spawn/emil/slow?opt-delay=60")
        await emil.page.wait_for_url("**/hub/spawn-pending/emil/slow**")
        await expect(emil.page.locator(".steps .here")).to_contain_text("Waiting for its first answer")
        await emil.page.get_by_text("What the server prints").click()
        await expect(emil.page.locator("#printed-lines")).to_contain_text("unpacking the kitchen")
        await emil.see("users-pending")
        await emil.page.get_by_role("button", name="Cancel").click()
        await emil.page.wait_for_url("**/hub/home")
        await expect(emil.page.locator(state("slow"))).to_have_text("Stopped")
        await emil.go("hub/spawn/emil/broken?opt-fail=3")
        await expect(emil.page.get_by_text("Spawn failed")).to_be_visible()
        await emil.page.get_by_text("What it printed").click()
        await expect(emil.page.locator("#printed")).to_contain_text("the stand-in was told to fail")
        await emil.see("users-failed")
        await emil.page.get_by_role("link", name="What happened").click()
        await emil.page.wait_for_url("**/hub/activity/emil/broken/1")
        await emil.go("hub/home")
        await expect(emil.page.locator(state("broken"))).to_have_text("Did not start")
        await emil.see("users-home-failed", whole=True)
        await emil.go("user/emil/slow/")
        await emil.see("users-not-running")
        await emil.go("hub/spawn/emil/choice")
        await emil.see("users-spawn-form")


async def test_what_operators_do_is_seen(browser: Browser, house: Hub) -> None:
    async with person(browser, house) as fred:
        await fred.login("fred", PASSWORD)
        await fred.page.get_by_role("link", name="Start Your server").click()
        await fred.page.wait_for_url("**/user/fred/**")
        status, workers = await house.api("GET", "/workers")
        assert status == 200
        worker = workers[0]["name"]
        await fred.go("hub/home")
        await expect(fred.page.locator(state("Your server"))).to_have_text("Running")
        body = {"seconds": 3600, "message": "The machine gets new disks."}
        status, _ = await house.api("POST", f"/workers/{worker}/drain", body)
        assert status == 200
        status, _ = await house.api("PATCH", "/house", {"paused": True, "reason": "new disks until noon."})
        assert status == 200
        # On the page that is open, without looking again.
        await expect(fred.page.get_by_text("It will be stopped on")).to_be_visible()
        await expect(fred.page.locator("#paused")).to_contain_text("new disks until noon.")
        await fred.see("users-home-paused", whole=True)
        fred.expects = {503}
        await fred.go("hub/spawn/fred/lab")
        await expect(fred.page.get_by_role("alert")).to_contain_text("new disks until noon.")
        await fred.see("users-spawn-paused")
        await house.api("PATCH", "/house", {"paused": False})
        # The only worker takes nothing more: starts wait, and are told where they stand.
        await fred.page.get_by_role("button", name="Try again").click()
        await expect(fred.page.get_by_text("place 1 of 1")).to_be_visible()
        await fred.see("users-pending-in-line")
        await house.api("DELETE", f"/workers/{worker}/drain")
        await fred.page.wait_for_url("**/user/fred/lab/**")


async def test_a_browser_without_scripts_starts_and_stops_a_server(browser: Browser, house: Hub) -> None:
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(f"{house.url}hub/login?next=%2Fhub%2Fhome")
    await page.get_by_label("Name").fill("gina")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.keyboard.press("Enter")
    await page.get_by_role("link", name="Start Your server").click()
    await page.wait_for_url("**/user/gina/**")
    await page.goto(f"{house.url}hub/home")
    await page.get_by_role("button", name="Stop Your server").click()
    await page.wait_for_url("**/hub/home")
    await expect(page.locator(state("Your server"))).to_have_text(re.compile("Stopping|Stopped"))
    await context.close()
