"""What happened, in a browser: one's own story, where the time of a start went, the hub's events, and its past."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pages_rig import Person, chromium, person
from playwright.async_api import Browser, Locator, expect

from stack import Hub, hub

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="module")]

PASSWORD = "password-of-everyone"
HOOK = 4.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hub]:
    folder: Path = tmp_path_factory.mktemp("story")
    async with hub(folder / "data", config=Path(__file__).parent / "config_story.py") as made:
        yield made


async def send(who: Person, method: str, path: str, body: Any = None) -> int:
    """To the API, from the page that they are on."""
    asked = """
        async ([method, path, body]) => {
            const {prefix, xsrf} = document.body.dataset;
            const headers = {"X-XSRFToken": xsrf, "Content-Type": "application/json"};
            const sent = body === null ? undefined : JSON.stringify(body);
            return (await fetch(`${prefix}api/${path}`, {method, headers, body: sent})).status;
        }"""
    return int(await who.page.evaluate(asked, [method, path, body]))


async def start(who: Person, path: str, **options: Any) -> int:
    return await send(who, "POST", path, {"user_options": options})


def lines(who: Person) -> Locator:
    return who.page.locator(".story li")


async def test_where_the_time_of_a_slow_start_went(browser: Browser, house: Hub) -> None:
    """Somebody wonders why that took so long, and finds the hook that did it, from the log alone."""
    async with person(browser, house) as ada:
        await ada.login("ada", PASSWORD)
        assert await start(ada, "users/ada/server", hook=HOOK) in (201, 202)
        await ada.go("hub/activity")
        await ada.page.get_by_role("link", name="Where the time went").first.click()
        await expect(ada.page.get_by_role("heading", level=1)).to_have_text("Start 1 of your server")
        await expect(ada.page.get_by_role("cell", name="goes on")).to_be_visible()
        # What it comes to is told as it happens, to the last route.
        await expect(ada.page.locator(".lead")).to_contain_text("It could be reached after")
        await expect(ada.page.locator(".lead")).to_contain_text("went into the operator's pre_spawn_hook")
        row = ada.page.get_by_role("row", name=re.compile("pre_spawn_hook"))
        took = await row.get_by_role("cell").last.inner_text()
        assert HOOK <= float(took.split()[0]) < HOOK + 10, took
        await expect(ada.page.get_by_role("row", name=re.compile("^Route in"))).to_be_visible()
        await ada.page.get_by_role("button", name="Copy").click()
        await expect(ada.page.locator("#copied")).not_to_be_empty()
        await ada.page.get_by_text("What the server has printed").click()
        await ada.see("start", whole=True)
        await ada.page.get_by_role("link", name="Activity").last.click()
        await expect(lines(ada).filter(has_text="ada's server answered")).to_be_visible()
        await ada.see("activity", whole=True)


async def test_a_failed_start_says_in_what(browser: Browser, house: Hub) -> None:
    async with person(browser, house) as bob:
        await bob.login("bob", PASSWORD)
        bob.expects = {400, 424, 500, 503}
        await start(bob, "users/bob/servers/lab", fail=True)
        await bob.go("hub/activity?kind=servers")
        await expect(lines(bob).filter(has_text="The licence server says no")).to_be_visible()
        await expect(lines(bob).filter(has_text="lab stopped")).to_be_visible()
        await start(bob, "users/bob/servers/lab")
        await expect(lines(bob).filter(has_text="lab answered")).to_be_visible()
        await bob.page.get_by_role("link", name="Where the time went").last.click()
        await expect(bob.page.get_by_text("Did not start").first).to_be_visible()
        await expect(bob.page.get_by_text("The licence server says no.").first).to_be_visible()
        await expect(bob.page.get_by_role("row", name=re.compile("pre_spawn_hook.*failed"))).to_be_visible()
        await expect(bob.page.get_by_role("heading", name="The latest starts of this server")).to_be_visible()
        await bob.see("start-failed", whole=True)


async def test_an_operator_finds_the_slow_start_of_somebody(browser: Browser, house: Hub) -> None:
    """ada has complained. Of all starts of the day hers took longest, and the page of it says why."""
    async with person(browser, house) as admin:
        await admin.login("admin", PASSWORD)
        await admin.page.get_by_role("link", name="Admin", exact=True).click()
        await admin.page.get_by_role("link", name="Starts", exact=True).click()
        first = admin.page.get_by_role("row").nth(1)
        await expect(first).to_contain_text("ada")
        await expect(first).to_contain_text("The operator's pre_spawn_hook, 4")
        await admin.see("admin-starts", whole=True)
        await admin.page.get_by_label("Only those").select_option("ill")
        await expect(admin.page.get_by_role("row").nth(1)).to_contain_text("The licence server says no")
        await admin.page.get_by_label("Only those").select_option("")
        await admin.page.get_by_role("link", name="ada", exact=True).click()
        await expect(admin.page.locator(".lead")).to_contain_text("went into the operator's pre_spawn_hook")


async def test_an_operator_sees_who_has_used_how_much(browser: Browser, house: Hub) -> None:
    async with person(browser, house) as admin:
        await admin.login("admin", PASSWORD)
        await admin.go("hub/admin/usage?range=24h")
        await expect(admin.page.get_by_role("row").filter(has_text="ada")).to_be_visible()
        await expect(admin.page.locator("#drawing canvas")).to_be_visible()
        await expect(admin.page.locator("#drawing")).to_have_attribute("aria-label", re.compile("each hour: .* in all"))
        await admin.see("admin-usage", whole=True)
        await admin.page.locator('select[name="by"]').select_option("server")
        await expect(admin.page.get_by_role("row").filter(has_text="ada/")).to_be_visible()
        await admin.page.get_by_text("As a table").click()
        await admin.see("admin-usage-table", whole=True)


async def test_ones_story_is_told_as_it_happens(browser: Browser, house: Hub) -> None:
    async with person(browser, house) as cleo, person(browser, house) as admin:
        await cleo.login("cleo", PASSWORD)
        await admin.login("admin", PASSWORD)
        await start(cleo, "users/cleo/servers/one")
        await cleo.go("hub/activity")
        await expect(lines(cleo).filter(has_text="cleo's server one answered")).to_be_visible()
        assert await send(cleo, "POST", "users/cleo/tokens", {"note": "For the backup"}) == 201
        await expect(lines(cleo).first).to_contain_text("made a token for cleo: For the backup")
        await admin.go("hub/home")
        assert await send(admin, "DELETE", "users/cleo/servers/one") in (202, 204)
        await expect(lines(cleo).filter(has_text="admin asked cleo's server one to stop")).to_contain_text("not by you")
        # What is unfolded stays so when more is told.
        first = lines(cleo).filter(has_text="For the backup")
        await first.get_by_text("Details").click()
        assert await send(cleo, "POST", "users/cleo/tokens", {"note": "Another"}) == 201
        await expect(lines(cleo).first).to_contain_text("Another")
        await expect(first.get_by_text("Position in the log")).to_be_visible()
        await cleo.page.get_by_label("Show").select_option("logins")
        await expect(lines(cleo).filter(has_text="cleo logged in")).to_be_visible()
        await expect(lines(cleo).filter(has_text="token")).to_have_count(0)
        assert "kind=logins" in cleo.page.url


async def test_an_operator_finds_what_belongs_together(browser: Browser, house: Hub) -> None:
    async with person(browser, house) as admin, person(browser, house) as dora:
        await admin.login("admin", PASSWORD)
        await admin.go("hub/admin/events")
        await dora.login("dora", PASSWORD)
        await start(dora, "users/dora/server")
        await expect(lines(admin).filter(has_text="asked for a start of dora's server")).to_be_visible()
        await admin.page.get_by_label("User", exact=True).fill("dora")
        await expect(lines(admin).filter(has_text="dora's server answered")).to_be_visible()
        await expect(lines(admin).filter(has_text="cleo")).to_have_count(0)
        asked = lines(admin).filter(has_text="asked for a start of dora's server")
        await asked.get_by_text("Details").click()
        await admin.see("admin-events", whole=True)
        await asked.get_by_role("link", name="All that belongs together").click()
        await expect(lines(admin).filter(has_text="took the start of dora's server")).to_be_visible()
        await expect(lines(admin).filter(has_text="dora's server answered")).to_be_visible()
        await expect(lines(admin).filter(has_text="leads to dora's server")).to_be_visible()
        await expect(lines(admin).first).to_contain_text("dora")
        await admin.page.go_back()
        await expect(admin.page.get_by_label("User", exact=True)).to_have_value("dora")
        await admin.page.get_by_role("link", name="Where the time went").first.click()
        await expect(admin.page.get_by_role("heading", level=1)).to_have_text("Start 1 of dora's server")


async def test_an_operator_travels_in_time(browser: Browser, house: Hub) -> None:
    async with person(browser, house) as admin, person(browser, house) as emil:
        await admin.login("admin", PASSWORD)
        await emil.login("emil", PASSWORD)
        await start(emil, "users/emil/server")
        await admin.go("hub/admin/events?user=emil&type=ServerResponded")
        await expect(lines(admin)).to_have_count(1)
        await lines(admin).first.get_by_text("Details").click()
        await admin.page.get_by_role("link", name="The hub just then").click()
        await expect(admin.page.locator(".just")).to_contain_text("emil's server answered")
        await admin.page.get_by_role("link", name="Servers").click()
        row = admin.page.get_by_role("row", name=re.compile("^emil"))
        await expect(row).to_contain_text("Running")
        await emil.go("hub/home")
        assert await send(emil, "DELETE", "users/emil/server") in (202, 204)
        await admin.page.reload()
        await expect(row).to_contain_text(re.compile("Running.*Stopp", re.DOTALL))
        await admin.see("admin-past")
        slider = admin.page.get_by_role("slider")
        was = int(await slider.input_value())
        # By keys, event by event, to the moment before it answered.
        await slider.focus()
        await admin.page.keyboard.press("ArrowLeft")
        await expect(admin.page.locator("label[for=slider]")).to_contain_text(f"As of event {was - 1} ")
        await expect(admin.page.locator("label[for=slider]")).to_contain_text("UTC")
        await expect(row).to_contain_text("Starting")
        await expect(slider).to_be_focused()
        await admin.page.get_by_role("link", name="To the beginning").click()
        await expect(admin.page.get_by_text("There were none then.")).to_be_visible()
        await admin.page.get_by_role("link", name="To the newest event").click()
        await expect(admin.page.get_by_text("Nothing yet: this is now.")).to_be_visible()
        await admin.page.get_by_role("link", name="Users").click()
        await admin.page.get_by_label("Search").fill("emi")
        await expect(admin.page.get_by_role("row", name=re.compile("^emil"))).to_be_visible()
        await expect(admin.page.get_by_role("row", name=re.compile("^dora"))).to_have_count(0)
        await admin.page.get_by_label("Date and time, UTC").fill("2001-01-01T00:00:00")
        await admin.page.get_by_role("button", name="Go there").click()
        await expect(admin.page.get_by_text("before the first event")).to_be_visible()


async def test_who_is_about_to_lose_their_server_is_told_and_can_keep_it(browser: Browser, house: Hub) -> None:
    """By a page that stands open, and is not touched."""
    async with person(browser, house) as uma:
        await uma.login("uma", PASSWORD)
        assert await start(uma, "users/uma/server") in (201, 202)
        await uma.go("hub/home")
        card = uma.page.locator("#default")
        await expect(card).to_contain_text("Nobody will have used it for 12 s by then.")
        await expect(card.get_by_role("button", name="Keep it running")).to_be_hidden()
        await expect(card.get_by_role("button", name="Keep it running")).to_be_visible()
        await uma.see("about-to-stop", whole=True)
        await card.get_by_role("button", name="Keep it running").click()
        await expect(card.get_by_role("button", name="Keep it running")).to_be_hidden()
        await expect(card.locator(".state")).to_have_text("Stopped", timeout=60_000)
        uma.expects.add(424)
        await uma.go("user/uma/")
        await expect(uma.page.locator("#server")).to_contain_text("It was stopped: idle for 12 s.")
