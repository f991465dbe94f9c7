"""jupyterhub-firstuseauthenticator, unmodified: whoever comes first has chosen the password."""

import pytest

from browser import Browser
from login_suite import RIGHT, Door, Kind, LoginSuite

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="class")]

CONFIG = """
import os

c.JupyterHub.authenticator_class = "firstuse"
c.FirstUseAuthenticator.dbm_path = os.environ["HUBBUB_DATA"] + "/passwords.dbm"
"""
NEW = "password-that-is-new"


async def change_password(browser: Browser, new: str) -> str:
    status, page = await browser.get("/hub/auth/change-password")
    assert status == 200, page
    status, page = await browser.send(page, {"password": new})
    assert status == 200, page
    return page


class TestFirstUse(LoginSuite):
    @pytest.fixture(scope="class")
    @classmethod
    def kind(cls) -> Kind:
        return Kind(config=CONFIG)

    async def test_a_password_can_be_changed(self, door: Door):
        async with door.browser() as browser:
            await door.let_in(browser, "gus")
            assert "changed successfully" in await change_password(browser, NEW)
        async with door.browser() as browser:
            assert (await door.enter(browser, "gus", RIGHT))[0] == 403
            status, page = await door.enter(browser, "gus", NEW)
            assert (status, browser.url.path) == (200, "/hub/home"), page

    async def test_a_short_one_is_refused_with_a_reason(self, door: Door):
        async with door.browser() as browser:
            status, page = await door.enter(browser, "rory", "short")
            assert (status, "Password too short" in page) == (403, True), page

    async def test_who_is_deleted_may_choose_another(self, door: Door):
        async with door.browser() as browser:
            await door.let_in(browser, "bob")
        assert (await door.hub.api("DELETE", f"/users/{door.name('bob')}"))[0] == 204
        async with door.browser() as browser:
            status, page = await door.enter(browser, "bob", NEW)
            assert (status, browser.url.path) == (200, "/hub/home"), page
