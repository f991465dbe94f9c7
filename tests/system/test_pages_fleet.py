"""The admin room's fleet in a browser: an operator looks at it and acts; people see what concerns them."""

import os
import signal
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
    folder: Path = tmp_path_factory.mktemp("fleet")
    # An answer comes at once; a worker that is silent is missed soon, but not given up before somebody has looked.
    environ = {"TEST_SLOW_SPAWN": "0", "HUBBUB_LEASE_SECONDS": "5"}
    async with hub(folder / "data", config=HERE / "config_pools.py", environ=environ) as made:
        yield made


async def _start(house: Hub, name: str, **options: object) -> None:
    await house.user(name)
    status, body = await house.api("POST", f"/users/{name}/server", options or None)
    assert status in (201, 202), (status, body)


async def _stop(house: Hub, *names: str) -> None:
    for name in names:
        status, body = await house.api("DELETE", f"/users/{name}/server")
        assert status in (202, 204), (status, body)


async def _operator(someone: Person, place: str) -> None:
    await someone.login("admin", PASSWORD)
    await someone.go(f"hub/admin{place}")


async def test_the_overview_says_how_it_is_and_how_it_has_gone(browser: Browser, house: Hub) -> None:
    await _start(house, "ada")
    await house.ready("ada")
    await house.user("bob")
    assert (await house.api("POST", "/users/bob/server", {"fail": 3}))[0] == 202
    async with person(browser, house) as admin:
        await _operator(admin, "")
        figures = admin.page.locator("#now li")
        await expect(figures.filter(has_text="Running")).to_contain_text("1")
        await expect(figures.filter(has_text="Failed in the last hour")).to_contain_text("1")
        servers = admin.page.locator('[data-picture="servers"]')
        await expect(servers.locator(".sum")).to_contain_text("Running: 1 at last")
        await expect(servers.locator("canvas")).to_be_visible()
        await expect(admin.page.locator('[data-picture="failures"] .sum')).to_contain_text("Exited: 1")
        await servers.get_by_text("As a table").click()
        await expect(servers.locator("details tbody tr").first).to_contain_text("1")
        await admin.see("fleet-overview", whole=True)
        await admin.page.get_by_role("link", name="Last 30 days").click()
        await expect(admin.page.get_by_role("link", name="Last 30 days")).to_have_attribute("aria-current", "true")
        await expect(admin.page.locator('[data-picture="starts"] .sum')).to_contain_text("Ready: 1; Failed: 1")

        await _start(house, "cyd")  # seen without a reload
        await expect(figures.filter(has_text="Running")).to_contain_text("2")
    await _stop(house, "ada", "cyd")


async def test_who_waits_is_seen_and_what_for(browser: Browser, house: Hub) -> None:
    for name in ("dan", "eve", "fay"):
        await house.user(name)
    async with person(browser, house) as admin:
        await _operator(admin, "/queue")
        await expect(admin.page.get_by_text("Nobody waits for a server.")).to_be_visible()
        await admin.see("fleet-queue-empty")
        for name in ("dan", "eve"):
            assert (await house.api("POST", f"/users/{name}/server", {"delay": 300}))[0] == 202
        assert (await house.api("POST", "/users/fay/server", {"delay": 300}))[0] == 202
        fay = admin.page.get_by_role("row").filter(has_text="fay")
        await expect(fay).to_contain_text("test")  # the service that has asked for it
        await expect(admin.page.get_by_text("2 starts are under way, as many as there may be at once.")).to_be_visible()
        await admin.see("fleet-queue")
        await fay.get_by_role("button", name="Cancel").click()
        await expect(fay).to_have_count(0)

    await _stop(house, "dan", "eve")


async def test_a_server_whose_worker_is_away_has_a_way_out(browser: Browser, house: Hub) -> None:
    await _start(house, "kim")
    await house.ready("kim")
    worker = house.pid("spawner-worker-1")
    async with person(browser, house) as admin:
        await _operator(admin, "/stuck")
        await expect(admin.page.get_by_text("Nothing is stuck.")).to_be_visible()
        os.kill(worker, signal.SIGSTOP)
        try:
            kim = admin.page.get_by_role("listitem").filter(has_text="kim")
            await expect(kim).to_contain_text("Its worker spawner-worker-1 is silent.")
            await admin.see("fleet-stuck")
            await kim.get_by_role("button", name="Stop").click()
            await kim.get_by_role("button", name="Wait no longer").click()
            await expect(admin.page.get_by_role("dialog")).to_contain_text("Wait no longer for kim?")
            await admin.page.get_by_role("dialog").get_by_role("button", name="Wait no longer").click()
            left = admin.page.locator("#left").get_by_role("listitem").filter(has_text="kim")
            await expect(left).to_contain_text("an admin would not wait")
            await admin.see("fleet-left")
        finally:
            os.kill(worker, signal.SIGCONT)
        await expect(admin.page.get_by_text("Nothing is left of earlier starts.")).to_be_visible()


async def test_what_proxies_have_stands_beside_what_they_should(browser: Browser, house: Hub) -> None:
    await _start(house, "gil")
    await house.ready("gil")
    async with person(browser, house) as admin:
        await _operator(admin, "/routes")
        await expect(admin.page.locator("#routes").get_by_role("row").filter(has_text="gil")).to_contain_text(
            "As wanted"
        )
        await expect(admin.page.locator("#proxies").get_by_role("row").nth(1)).to_contain_text("Joined")
        await admin.page.get_by_role("button", name="Compare now").click()
        await expect(admin.page.locator("#verdict")).to_contain_text("are as wanted")
        await admin.page.get_by_label("Search").fill("nobody-like-that")
        await expect(admin.page.get_by_text("No route is like that.")).to_be_visible()
        await admin.page.get_by_label("Search").fill("gil")
        await expect(admin.page.locator("#routes tbody tr")).to_have_count(1)
        await admin.see("fleet-routes")
    await _stop(house, "gil")


async def test_starts_are_paused_and_people_are_told(browser: Browser, house: Hub) -> None:
    async with person(browser, house) as admin, person(browser, house) as hal:
        await hal.login("hal", PASSWORD)
        await _operator(admin, "/house")
        await admin.see("fleet-house")
        await admin.page.get_by_label("Why they are paused").fill("The storage is being moved.")
        await admin.page.get_by_role("button", name="Pause starts").click()
        await expect(admin.page.locator("#starts")).to_contain_text("The storage is being moved.")
        hal.expects = {503}
        await hal.go("hub/spawn")
        await expect(hal.page.locator("main")).to_contain_text("The storage is being moved.")
        await admin.see("fleet-house-paused")
        await admin.page.get_by_role("button", name="Resume starts").click()
        await expect(admin.page.locator("#starts")).to_contain_text("Everybody may start servers.")
        await hal.go("hub/spawn")
        await hal.page.wait_for_url("**/user/hal/**")
    await _stop(house, "hal")


async def test_a_banner_is_seen_by_everybody_without_a_reload(browser: Browser, house: Hub) -> None:
    async with person(browser, house) as admin, person(browser, house) as ida:
        await ida.login("ida", PASSWORD)
        await _operator(admin, "/house")
        await admin.page.get_by_label("Text").fill("On Friday the hub is away for an hour.")
        await admin.page.get_by_label("Kind").select_option("warning")
        await expect(admin.page.locator("#preview")).to_have_text("On Friday the hub is away for an hour.")
        await admin.page.get_by_role("button", name="Put it up").click()
        for someone in (admin, ida):
            await expect(someone.page.locator("#banners")).to_contain_text("On Friday the hub is away for an hour.")
        await ida.see("home-with-banner")
        await admin.see("fleet-house-banner", whole=True)
        await admin.page.get_by_role("button", name="Take it down").click()
        for someone in (admin, ida):
            await expect(someone.page.locator("#banners")).to_be_empty()


async def test_a_worker_is_emptied_with_notice(browser: Browser, house: Hub) -> None:
    async with person(browser, house) as admin, person(browser, house) as joy:
        await joy.login("joy", PASSWORD)
        await _start(house, "joy")
        await house.ready("joy")
        await _operator(admin, "/workers")
        await expect(admin.page.locator("#pools")).to_contain_text("default")
        await admin.see("fleet-workers")
        # Whichever has it.
        await admin.page.locator("#workers").get_by_role("row").filter(has_text="default").get_by_role("link").click()
        await expect(admin.page.get_by_role("row").filter(has_text="joy")).to_contain_text("Running")
        await admin.page.get_by_label("What it has may run on").select_option("15 minutes")
        await admin.page.get_by_label("Tell those").fill("This machine gets more memory.")
        await admin.page.get_by_role("button", name="Drain it").click()
        await expect(admin.page.locator("#facts")).to_contain_text("Draining")
        await admin.see("fleet-worker-draining", whole=True)
        await joy.go("hub/home")
        await expect(joy.page.locator("main")).to_contain_text("This machine gets more memory.")
        await joy.see("home-draining")
        await admin.page.get_by_role("row").filter(has_text="joy").get_by_role("button", name="Stop").click()
        await expect(admin.page.locator("#facts")).to_contain_text("can be taken away")
        await admin.page.get_by_role("button", name="Let it take work again").click()
        await expect(admin.page.locator("#facts")).to_contain_text("Up")
