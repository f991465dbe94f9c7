"""Somebody else's server in a browser: shared with a person, with a group, by an invitation, and not any more."""

import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio

from browser import Browser
from stack import HERE, Hub, hub

pytestmark = pytest.mark.asyncio(loop_scope="module")

PASSWORD = "password-of-everyone"
LAB, SHARES, CODES = "/user/ada/lab/", "/shares/ada/lab", "/share-codes/ada/lab"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hub]:
    """Ada's server lab runs; bob is in the group crew."""
    config = HERE / "config_shares.py"
    async with hub(tmp_path_factory.mktemp("shares") / "data", config=config, scale="api=2") as made:
        for name in ("ada", "bob", "cleo"):
            await made.user(name)
        await done(made, "POST", "/groups/crew", {"users": ["bob"]})
        await done(made, "POST", "/users/ada/servers/lab")
        yield made


async def done(house: Hub, method: str, path: str, body: Any = None) -> Any:
    status, answer = await house.api(method, path, body)
    assert status < 300, answer
    return answer


async def submit(browser: Browser, **fields: str) -> tuple[int, str]:
    """The form that the browser shows, with its token."""
    form = {"_xsrf": browser.cookie("_xsrf"), **fields}
    async with browser.session.post(browser.url, data=form) as response:
        browser.url = response.url
        return response.status, await response.text()


async def enter(browser: Browser) -> str:
    """Who the server says they are; the first time they are asked whether it may know."""
    status, page = await browser.get(LAB)
    if browser.url.path == "/hub/api/oauth2/authorize":
        status, page = await submit(browser)
    assert (status, browser.url.path) == (200, LAB), page
    name: str = json.loads(page)["name"]
    return name


async def is_let_in(browser: Browser) -> bool:
    status, _ = await browser.get(LAB)
    assert status in (200, 403, 404)
    return status == 200


@pytest.mark.parametrize("holder", [{"user": "bob"}, {"group": "crew"}], ids=["a person", "a group"])
async def test_a_shared_server_is_open_until_it_is_taken_back(house: Hub, holder: dict[str, str]) -> None:
    async with Browser(house.url) as browser:
        await browser.login("bob", PASSWORD)
        assert not await is_let_in(browser)
        await done(house, "POST", SHARES, holder)
        assert await enter(browser) == "bob"
        assert await is_let_in(browser)
        await done(house, "PATCH", SHARES, holder)
        assert not await is_let_in(browser)
        await done(house, "POST", SHARES, holder)
        assert await is_let_in(browser)
        await done(house, "DELETE", SHARES)
        assert not await is_let_in(browser)


async def test_a_share_of_a_group_ends_with_the_membership(house: Hub) -> None:
    await done(house, "POST", SHARES, {"group": "crew"})
    async with Browser(house.url) as browser:
        await browser.login("bob", PASSWORD)
        await enter(browser)
        await done(house, "DELETE", "/groups/crew/users", {"users": ["bob"]})
        assert not await is_let_in(browser)
        await done(house, "POST", "/groups/crew/users", {"users": ["bob"]})
        assert await is_let_in(browser)
    await done(house, "DELETE", SHARES)


async def test_an_invitation_leads_a_stranger_through_the_login_to_the_server(house: Hub) -> None:
    made = await done(house, "POST", CODES)
    async with Browser(house.url) as browser:
        status, _ = await browser.get(made["accept_url"])
        assert (status, browser.url.path) == (200, "/hub/login")
        status, page = await submit(browser, username="cleo", password=PASSWORD)
        assert (status, browser.url.path) == (200, "/hub/accept-share"), page
        assert "ada&#39;s server lab" in page
        status, page = await submit(browser, code=made["code"])
        assert (status, browser.url.path) == (200, "/hub/api/oauth2/authorize"), page
        status, page = await submit(browser)
        assert (status, browser.url.path) == (200, LAB), page
        assert json.loads(page)["name"] == "cleo"
        await done(house, "DELETE", f"{CODES}?code={quote(made['code'])}")
        assert await is_let_in(browser)
        await done(house, "DELETE", SHARES)
        assert not await is_let_in(browser)
    for path in (house.data / "log").glob("*.log"):
        assert made["code"] not in path.read_text(errors="replace"), path.name
