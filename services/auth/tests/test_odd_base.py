"""Pages of logins below a base URL of odd characters: ours, and those of another's authenticator."""

import pytest
from classic_author import ELSEWHERE, Travelled

from hubbub_auth.testing import CONFIG as DUMMY
from hubbub_auth.testing import House

HUB = "/j%C3%BC%20(lab)/hub/".replace("(", "%28").replace(")", "%29")
BASE = {"base_url": "/jü (lab)/"}


async def test_a_form_of_ours(house: House):
    browser = await house.browser(config={**DUMMY, "JupyterHub": {**DUMMY["JupyterHub"], **BASE}})
    page = await browser.get(f"{HUB}login")
    assert page.status == 200 and f"{HUB}login" in page.text
    for elsewhere in ("/hub/login", "/j~C3~BC~20~28lab~29/hub/login", "/j%C3%BC%20(lab)/x/hub/login"):
        assert (await browser.get(elsewhere)).status == 404
    gone = await browser.get(f"{HUB}logout")
    assert (gone.status, gone.location) == (302, f"{HUB}login")
    assert {f"Path={HUB}" in each for each in gone.headers.getall("Set-Cookie") if "hub-login" in each} == {True}


async def test_pages_of_anothers(house: House):
    said = {"JupyterHub": {"authenticator_class": Travelled, **BASE}, "Authenticator": {"allow_all": True}}
    browser = await house.browser(config=said)
    page = await browser.get(f"{HUB}login")
    assert (page.status, "Sign in with Elsewhere" in page.text) == (200, True)
    gone = await browser.get(f"{HUB}begin?id=1")
    assert gone.location == f"{ELSEWHERE}?back=http://{browser.host}{HUB}back"
    back = await browser.get(f"{HUB}back?id=1")
    assert (back.status, back.location) == (302, f"{HUB}?id=1")
    assert (await browser.get(f"{HUB}authenticator-static/css/style.min.css")).status == 200


@pytest.mark.parametrize("base_url", ["/jü lab/", "/a.b/"])
async def test_what_is_announced_has_no_base_url(house: House, base_url: str):
    from hubbub_auth.app import about

    auth = await house.auth({**DUMMY, "JupyterHub": {**DUMMY["JupyterHub"], "base_url": base_url}})
    assert {"login", "logout", "api/oauth2/authorize"} <= set(about(auth.app, "http://x").paths)
