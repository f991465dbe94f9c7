"""The admin room's pages of people in a browser: found, started, stopped and changed, one by one and many at once."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from pages_rig import Person, chromium, person
from playwright.async_api import Browser, Locator, Route, expect

from stack import HERE, Hub, hub

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="module")]

PASSWORD = "password-of-everyone"
CROWD = [f"guest-{number:02}" for number in range(60)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hub]:
    folder: Path = tmp_path_factory.mktemp("people")
    async with hub(folder / "data", config=HERE / "config_people.py") as made:
        assert (await made.api("POST", "/users", {"usernames": CROWD}))[0] == 201
        yield made


def row(someone: Person, name: str) -> Locator:
    return someone.page.locator("tr", has=someone.page.get_by_role("rowheader", name=re.compile(rf"^{name}\b")))


async def operator(someone: Person, place: str) -> None:
    await someone.login("admin", PASSWORD)
    await someone.go(f"hub/admin{place}")


async def test_an_operator_finds_people_and_acts_for_one(browser: Browser, house: Hub) -> None:
    async with person(browser, house) as admin:
        await operator(admin, "/users")
        page = admin.page
        await expect(page.get_by_text("1 to 50 of 63")).to_be_visible()
        await page.get_by_role("link", name="Next").click()
        await expect(page.get_by_text("51 to 63 of 63")).to_be_visible()
        await page.get_by_label("Search").fill("ada")
        await expect(page.get_by_text("1 to 1 of 1")).to_be_visible()
        assert page.url.endswith("?search=ada")

        ada = row(admin, "ada")
        await ada.get_by_role("button", name="Start").click()
        await expect(ada.get_by_text("Running")).to_be_visible()
        await expect(ada.get_by_role("link", name="Open")).to_have_attribute("href", "/user/ada/")
        await ada.get_by_role("button", name="Stop").click()
        await expect(ada.get_by_text("Stopped")).to_be_visible()

        # What others do is seen without anything being pressed.
        await page.get_by_label("Search").fill("b")
        assert (await house.api("PUT", "/users/bob/servers/lab", {"display_name": "Thesis"}))[0] == 201
        assert (await house.api("POST", "/users/bob/servers/lab"))[0] == 201
        bob = row(admin, "bob")
        await expect(bob.locator('[data-name="bob, Thesis"]')).to_contain_text("Running")
        assert (await house.api("DELETE", "/users/bob/servers/lab"))[0] == 204
        await expect(bob.get_by_text("1 stopped named server")).to_be_visible()
        await bob.get_by_text("1 stopped named server").click()
        await bob.get_by_role("button", name="Delete bob, Thesis").click()
        await page.get_by_role("button", name="Delete", exact=True).last.click()
        await expect(bob.locator(".server-line")).to_have_count(1)
        await admin.untroubled()


async def test_many_are_started_and_stopped_and_what_fails_is_named(browser: Browser, house: Hub) -> None:
    async with person(browser, house) as admin:
        await operator(admin, "/users?search=guest-0")
        admin.expects |= {500}
        page = admin.page
        await house.api("PATCH", "/users/guest-01/server", {"user_options": {"fail": 3}})
        dialog, now = page.locator("#batch"), page.locator("#batch-now")
        await page.get_by_label("Choose guest-00").check()
        await page.get_by_label("Choose guest-01").check()
        await page.get_by_label("Search").fill("guest-1")
        await page.get_by_label("Choose guest-10").check()
        await expect(page.get_by_text("3 people chosen, 2 of them not on this page")).to_be_visible()
        await page.locator("[data-batch=start]").click()
        await expect(dialog.get_by_role("heading")).to_have_text("Start the default servers of 3 people?")
        await dialog.get_by_role("button", name="Start").click()
        await expect(now).to_have_text("2 started, or on their way, 1 failed.")
        await dialog.get_by_text("1 failed", exact=True).click()
        await expect(dialog.locator("li")).to_contain_text("guest-01: ")
        await admin.see("people-batch")
        await dialog.get_by_role("button", name="Close").click()

        await page.get_by_label("Search").fill("guest")
        await page.get_by_label("Who has").select_option("failed")
        await expect(row(admin, "guest-01").locator(".why")).to_be_visible()
        await page.get_by_label("Who has").select_option("active")
        await expect(page.get_by_text("1 to 2 of 2")).to_be_visible()
        await page.get_by_label("Order").select_option("-name")
        await expect(page.get_by_role("rowheader").first).to_contain_text("guest-10")
        await admin.see("people", whole=True)
        await page.get_by_role("button", name="Stop all…").click()
        await expect(dialog.get_by_role("heading")).to_have_text("Stop all servers of 2 people?")
        await dialog.get_by_role("button", name="Stop").click()
        await expect(now).to_have_text("2 stopped, or on their way.")
        await dialog.get_by_role("button", name="Close").click()
        await expect(page.get_by_text("Nobody like that.")).to_be_visible()


async def test_many_are_deleted_until_somebody_calls_it_off(browser: Browser, house: Hub) -> None:
    async with person(browser, house) as admin:
        await operator(admin, "/users?search=guest")
        page, dialog = admin.page, admin.page.locator("#batch")
        await page.get_by_role("button", name="Choose all 60 found").click()
        await expect(page.get_by_text("60 people chosen, 10 of them not on this page")).to_be_visible()
        await page.get_by_label("Choose guest-00").uncheck()
        # What is under way is held up, so that there is a moment to call it off in.
        held: list[Route] = []

        async def hold(route: Route) -> None:
            held.append(route)

        await page.route("**/api/users/guest-*", hold)
        await page.locator("[data-batch=delete]").click()
        await expect(dialog).to_contain_text("Delete 59 people?")
        await dialog.get_by_role("button", name="Delete").click()
        await expect(page.locator("#batch-now")).to_have_text("0 of 59")
        await dialog.get_by_role("button", name="Cancel").click()
        await expect(page.locator("#batch-now")).to_have_text("What is under way is finished first.")
        for route in held:
            await route.continue_()
        await expect(page.locator("#batch-now")).to_have_text("4 deleted, 55 left as they were.")
        await dialog.get_by_role("button", name="Close").click()
        await expect(page.get_by_text("1 to 50 of 56")).to_be_visible()
        await expect(page.locator("#picked")).to_contain_text("55 people chosen")


async def test_people_are_added_and_changed(browser: Browser, house: Hub) -> None:
    async with person(browser, house) as admin:
        await operator(admin, "/users")
        admin.expects |= {400}
        page = admin.page
        await page.get_by_role("button", name="Add people").click()
        await page.get_by_label("Names, one a line").fill("zoe\nno / name\n")
        await page.get_by_role("button", name="Add", exact=True).click()
        await expect(page.locator("#add-problem")).to_contain_text("no / name")
        await admin.see("people-add")
        await page.get_by_label("Names, one a line").fill("zoe\nzed")
        await page.get_by_role("button", name="Add", exact=True).click()
        await expect(page.locator("#add")).to_be_hidden()
        await page.get_by_label("Search").fill("ze")
        await row(admin, "zed").get_by_role("button", name="Edit").click()
        await page.get_by_label("Name", exact=True).fill("zeno")
        await page.get_by_role("checkbox", name="Administrator", exact=True).check()
        await page.get_by_role("button", name="Save").click()
        await expect(row(admin, "zeno")).to_contain_text("Admin")
        await row(admin, "zeno").get_by_role("button", name="Delete").click()
        await expect(page.locator("#forget")).to_contain_text("Delete zeno?")
        await page.locator("#forget").get_by_role("button", name="Delete").click()
        await expect(page.get_by_text("Nobody like that.")).to_be_visible()
        await page.get_by_role("button", name="Shut down the hub…").click()
        await expect(page.get_by_text("All servers are stopped, too")).to_be_visible()
        await admin.see("people-shutdown")


async def test_a_persons_page_has_all_that_is_known_of_them(browser: Browser, house: Hub) -> None:
    async with person(browser, house) as admin, person(browser, house) as ada:
        await ada.login("ada", PASSWORD)
        await operator(admin, "/users/ada")
        page = admin.page
        await page.get_by_label("New named server").fill("lab")
        await page.get_by_role("button", name="Add", exact=True).click()
        lab = page.locator("#servers li", has_text="lab")
        await lab.get_by_role("button", name="Start").click()
        await expect(lab.get_by_text("Running")).to_be_visible()
        await page.locator("#roles summary").first.click()
        await admin.see("person", whole=True)
        await lab.get_by_role("button", name="Stop").click()
        await lab.get_by_role("button", name="Delete").click()
        await page.locator("#remove").get_by_role("button", name="Delete").click()
        await expect(lab).to_have_count(0)
        await page.get_by_role("button", name="End all").click()
        await page.locator("#end").get_by_role("button", name="End all").click()
        await expect(page.locator("#sessions")).to_contain_text("Nowhere.")
        await ada.go("hub/home")
        assert "/hub/login" in ada.page.url
        admin.expects |= {404}  # the page may look again before it goes to its new address
        await page.get_by_role("button", name="Edit").click()
        await page.get_by_label("Name", exact=True).fill("adele")
        await page.get_by_role("button", name="Save").click()
        await page.wait_for_url("**/hub/admin/users/adele")
        await page.get_by_role("link", name="class").click()
        await expect(row(admin, "adele")).to_be_visible()


async def test_groups_roles_and_services(browser: Browser, house: Hub) -> None:
    async with person(browser, house) as admin:
        await operator(admin, "/groups")
        admin.expects |= {400}
        page = admin.page
        await page.get_by_role("button", name="Add a group").click()
        await page.get_by_label("Name", exact=True).fill("guests")
        await page.get_by_label("Members, one a line").fill("guest-50\nguest-51")
        await page.get_by_role("button", name="Add", exact=True).click()
        await expect(row(admin, "guests")).to_contain_text("2")
        await admin.see("groups", whole=True)
        await page.get_by_role("link", name="guests").click()
        await page.get_by_label("Add people, one a line").fill("nobody-at-all")
        await page.get_by_role("button", name="Add", exact=True).click()
        await expect(page.locator("#add-problem")).to_contain_text("No such user: nobody-at-all")
        await page.get_by_label("Add people, one a line").fill("guest-52")
        await page.get_by_role("button", name="Add", exact=True).click()
        await row(admin, "guest-52").get_by_role("button", name="Remove").click()
        await expect(row(admin, "guest-52")).to_have_count(0)
        await page.get_by_label("JSON").fill('{"year": ')
        await page.get_by_role("button", name="Save").click()
        await expect(page.locator("#json-problem")).to_contain_text("This is not JSON")
        await admin.see("group", whole=True)
        await page.get_by_label("JSON").fill('{"year": 2}')
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_text("Saved.")).to_be_visible()
        await page.reload()
        await expect(page.get_by_label("JSON")).to_have_value('{\n  "year": 2\n}')
        await page.get_by_role("button", name="Delete the group").click()
        await page.locator("#remove").get_by_role("button", name="Delete").click()
        await page.wait_for_url("**/hub/admin/groups")

        await admin.go("hub/admin/roles")
        await page.get_by_label("Who may").select_option("delete:servers")
        await page.get_by_label("for others, too").check()
        await expect(row(admin, "teacher")).to_contain_text("the group class and its members")
        await expect(row(admin, "user")).to_have_count(0)
        await admin.see("roles", whole=True)
        await page.get_by_role("link", name="teacher").click()
        await expect(page.locator("#users")).to_contain_text("bob")
        await expect(page.locator("#groups")).to_contain_text("staff")
        await admin.see("role")

        await admin.go("hub/admin/services")
        clock = row(admin, "clock")
        await expect(clock).to_contain_text("Running")
        process = re.compile(r"process \d+")
        before = process.search(await clock.inner_text())
        assert before
        await clock.get_by_role("button", name="Restart").click()
        await page.locator("#restart").get_by_role("button", name="Restart").click()
        await expect(clock).to_contain_text("Running")
        await expect(clock).to_contain_text(process)
        await expect(clock).not_to_contain_text(before[0])
        await expect(row(admin, "board")).to_contain_text("Does not answer")
        await page.get_by_role("button", name="Add a service").click()
        await page.get_by_label("Name", exact=True).fill("guest")
        await page.get_by_role("button", name="Add", exact=True).click()
        await expect(row(admin, "guest")).to_contain_text("added while the hub runs")
        await admin.see("services", whole=True)
        await row(admin, "guest").get_by_role("button", name="Remove").click()
        await page.locator("#remove").get_by_role("button", name="Remove").click()
        await expect(row(admin, "guest")).to_have_count(0)
