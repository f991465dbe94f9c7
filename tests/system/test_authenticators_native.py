"""jupyterhub-nativeauthenticator, unmodified: sign-up, approval, login, new passwords.

With JupyterHub 6 itself nobody can log in by it. Its page that says no has the status 200.
"""

import pytest

from browser import Browser
from login_suite import CAST, RIGHT, Door, Kind, LoginSuite, identity_of

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="class")]

NEW = "password-that-is-new"

#: Those who may log in according to the configuration need no approval.
APPROVED_BY_HAND = ("zed", "late")


async def sign_up(browser: Browser, name: str, password: str) -> str:
    status, page = await browser.get("/hub/signup")
    assert status == 200, page
    fields = {"username": name, "signup_password": password, "signup_password_confirmation": password}
    status, page = await browser.send(page, fields)
    assert status == 200, page
    return page


async def everybody_signs_up(door: Door) -> None:
    async with door.browser() as browser:
        for who in CAST:
            await sign_up(browser, door.name(who), RIGHT)
    async with door.browser() as browser:
        await door.let_in(browser, "boss")
        for who in APPROVED_BY_HAND:
            status, page = await browser.get(f"/hub/authorize/{who}")
            assert (status, who in page) == (200, True), page


async def is_refused(door: Door, browser: Browser, who: str, password: str) -> bool:
    await door.enter(browser, who, password)
    return await identity_of(browser) is None


class TestNative(LoginSuite):
    @pytest.fixture(scope="class")
    @classmethod
    def kind(cls) -> Kind:
        return Kind(config="c.JupyterHub.authenticator_class = 'native'\n", prepare=everybody_signs_up, refused=(200,))

    async def test_who_has_signed_up_waits_for_an_administrator(self, door: Door):
        name = "olga"
        assert (await door.hub.api("POST", f"/users/{name}"))[0] == 201
        async with door.browser() as browser:
            assert "sent to the admin" in await sign_up(browser, name, RIGHT)
            assert await is_refused(door, browser, name, RIGHT)
            async with door.browser() as boss:
                await door.let_in(boss, "boss")
                status, page = await boss.get("/hub/authorize")
                assert (status, name in page) == (200, True), page
                await boss.get(f"/hub/authorize/{name}")
            await door.let_in(browser, name)

    async def test_only_administrators_approve(self, door: Door):
        async with door.browser() as browser:
            await door.let_in(browser, "ada")
            assert (await browser.get("/hub/authorize"))[0] in (403, 404)
            assert (await browser.get("/hub/authorize/zed"))[0] in (403, 404)
        async with door.browser() as browser:
            assert (await browser.get("/hub/authorize"))[0] == 403

    async def test_a_name_is_taken_once(self, door: Door):
        async with door.browser() as browser:
            assert "already in use" in await sign_up(browser, "ada", "another-password")
            await door.let_in(browser, "ada")

    async def test_a_password_is_changed_by_its_owner(self, door: Door):
        async with door.browser() as browser:
            await door.let_in(browser, "gus")
            status, page = await browser.get("/hub/change-password")
            assert status == 200, page
            fields = {"old_password": RIGHT, "new_password": NEW, "new_password_confirmation": NEW}
            status, page = await browser.send(page, fields)
            assert (status, "Your password has been changed" in page) == (200, True), page
        async with door.browser() as browser:
            assert await is_refused(door, browser, "gus", RIGHT)
            status, page = await door.enter(browser, "gus", NEW)
            assert (status, browser.url.path) == (200, "/hub/home"), page

    async def test_a_password_is_changed_by_an_administrator(self, door: Door):
        async with door.browser() as boss:
            await door.let_in(boss, "boss")
            status, page = await boss.get("/hub/change-password/rory")
            assert status == 200, page
            status, page = await boss.send(page, {"new_password": NEW, "new_password_confirmation": NEW})
            assert status == 200, page
        async with door.browser() as browser:
            status, page = await door.enter(browser, "rory", NEW)
            assert (status, browser.url.path) == (200, "/hub/home"), page

    async def test_who_is_deleted_has_no_password_any_more(self, door: Door):
        async with door.browser() as browser:
            await door.let_in(browser, "bob")
            assert (await door.hub.api("DELETE", "/users/bob"))[0] == 204
            assert await identity_of(browser) is None
            assert await is_refused(door, browser, "bob", RIGHT)
            assert "already in use" not in await sign_up(browser, "bob", NEW)
