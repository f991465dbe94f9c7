"""Logins are counted where they are decided, whichever way somebody comes in."""

from typing import Any

from classic_author import Tutorials
from openid_round import CALLBACK, log_in, of_double

from hubbub.counting import LOGINS
from hubbub_auth.keys import COUNTS
from hubbub_auth.testing import PASSWORD, Browser, House


def counted(browser: Browser) -> dict[str, int]:
    """Since it was asked last."""
    counts = browser._server.app[COUNTS]
    part = counts.part()
    counts.told(part)
    return {each.labels[0]: sum(each.counts) for each in part.sums if each.name == LOGINS.name}


async def test_by_the_form(browser: Browser):
    await browser.get("/hub/login")
    assert counted(browser) == {}
    await browser.log_in("ada", "wrong")
    await browser.log_in("a/b", PASSWORD)
    await browser.post("/hub/login", {"username": "ada", "password": PASSWORD, "_xsrf": "forged"})  # is no try
    assert counted(browser) == {"failure": 2}
    await browser.log_in("ada")
    assert counted(browser) == {"success": 1}
    await browser.get("/hub/login")  # logged in already
    await browser.get("/hub/logout")
    assert counted(browser) == {}


async def test_at_a_provider(house: House, double: Any):
    browser = await house.browser(config=of_double(double))
    await log_in(browser)
    assert counted(browser) == {"success": 1}
    await browser.get(f"{CALLBACK}?code=1&state=nobodys")
    assert counted(browser) == {"failure": 1}


async def test_at_a_page_of_another_package(house: House):
    hub, section = {"authenticator_class": Tutorials}, {"allow_all": True}
    browser = await house.browser(config={"JupyterHub": hub, "Authenticator": section})
    await browser.log_in("ada", "wrong")
    assert counted(browser) == {"failure": 1}
    await browser.log_in("ada", "right")
    assert counted(browser) == {"success": 1}


async def test_credentials_of_a_request_are_no_login(browser: Browser):
    for password in (PASSWORD, "wrong"):
        await browser.send("POST", "/hub/internal/credentials", json={"auth": {"username": "a", "password": password}})
    assert counted(browser) == {}
