"""The login form of a classic authenticator: who gets in, who does not, and how often somebody may try."""

from types import SimpleNamespace
from typing import ClassVar

import pytest
from classic_author import Tutorials
from jupyterhub.auth import DummyAuthenticator
from jupyterhub.handlers.login import LoginHandler

from hubbub.config import ConfigError
from hubbub_auth import authenticators
from hubbub_auth.attempt import FAULT, TOO_MANY
from hubbub_auth.keys import HOSTED
from hubbub_auth.testing import House

OPEN = {"allow_all": True, "admin_users": {"root"}}
WRONG = "Invalid username or password"


def config(kind=Tutorials, hub=None, **section):
    return {"JupyterHub": {"authenticator_class": kind, **(hub or {})}, "Authenticator": {**OPEN, **section}}


@pytest.fixture
async def browser(house: House):
    return await house.browser(config=config())


async def test_a_login_and_a_log_out(house: House, browser):
    page = await browser.get("/hub/login?next=%2Fhub%2Ftoken")
    assert page.status == 200
    wrong = await browser.log_in("ada", "wrong")
    assert (wrong.status, WRONG in wrong.text) == (403, True)
    assert "jupyterhub-hub-login" not in browser.cookies
    answer = await browser.log_in(" Ada ", "right", "/hub/login?next=%2Fhub%2Ftoken")
    assert (answer.status, answer.location) == (302, "/hub/token")
    assert {"jupyterhub-hub-login", "jupyterhub-session-id", "_xsrf", "hubbub-device"} <= browser.cookies.keys()
    row = await (await house.pool()).fetchrow("select u.name, u.admin from sessions s join users u on u.id = s.user_id")
    assert tuple(row) == ("ada", False)
    again = await browser.get("/hub/login?next=%2Fhub%2Fhome")
    assert (again.status, again.location) == (302, "/hub/home")
    gone = await browser.get("/hub/logout")
    assert (gone.status, gone.location) == (302, "/hub/login")
    assert "jupyterhub-hub-login" not in browser.cookies
    assert await (await house.pool()).fetchval("select count(*) from sessions") == 0


async def test_the_form_survives_that_auth_is_started_again(house: House):
    browser = await house.browser(await house.auth(config()))
    page = await browser.get("/hub/login")
    browser.at(await house.auth(config()))
    fields = {"username": "root", "password": "right", "_xsrf": page.xsrf}
    assert (await browser.post("/hub/login", fields)).status == 302
    assert await (await house.pool()).fetchval("select admin from users where name = 'root'")


@pytest.mark.parametrize("redirects", [True, False])
async def test_without_a_wish_the_hub_decides_where_to_go(house: House, redirects):
    browser = await house.browser(config=config(hub={"redirect_to_server": redirects}))
    answer = await browser.log_in("ada", "right", "/hub/login?a=b")
    assert answer.location == ("/hub/?a=b" if redirects else "/hub/home?a=b")


async def test_a_form_without_its_token(browser):
    for fields in ({}, {"_xsrf": "nonsense"}):
        answer = await browser.post("/hub/login", {"username": "ada", "password": "right", **fields})
        assert (answer.status, "Login form invalid or expired" in answer.text) == (403, True)
    assert "jupyterhub-hub-login" not in browser.cookies


async def test_why_not_is_said_and_what_is_secret_is_not(browser, caplog):
    closed = await browser.log_in("ada", "closed")
    assert (closed.status, "We are closed" in closed.text) == (403, True)
    for password in ("bug", "leave"):
        broken = await browser.log_in("ada", password)
        assert (broken.status, FAULT in broken.text, "secret" in broken.text) == (500, True, False)
    assert (await browser.log_in("ada", "right")).status == 302


REFUSED = [
    ({"allow_all": False}, "ada", ["not allowed"]),
    ({"allow_all": False, "allowed_users": {"bob"}}, "ada", ["not allowed"]),
    ({"blocked_users": {"ada"}}, "ada", ["blocked"]),
    ({"username_pattern": "b.*"}, "ada", ["wrong"]),
    ({}, "a" * 256, []),
]


@pytest.mark.parametrize(("section", "name", "why"), REFUSED)
async def test_who_does_not_get_in(house: House, section, name, why):
    browser = await house.browser(config=config(**section))
    answer = await browser.log_in(name, "right")
    assert (answer.status, WRONG in answer.text) == (403, True)
    assert await (await house.pool()).fetchval("select count(*) from users") == 0
    assert [row["why"] for row in await (await house.pool()).fetch("select why from login_attempts")] == why


async def test_those_whom_the_hub_knows_may_be_let_in_and_only_as_long_as_it_does(house: House):
    known = await house.browser(config=config())
    await known.log_in("ada", "right")
    strict = {"allow_all": False, "allow_existing_users": True, "allowed_users": {"bob"}}
    one, other = [await house.auth(config(**strict)) for _ in range(2)]
    for auth in (one, other):
        browser = await house.browser(auth)
        assert (await browser.log_in("eve", "right")).status == 403
        assert (await browser.log_in("ada", "right")).status == 302
    await (await house.pool()).execute("update users set name = 'augusta' where name = 'ada'")
    for auth in (one, other):
        assert (await (await house.browser(auth)).log_in("ada", "right")).status == 403


class Adding(Tutorials):
    """Its own `add_user` is asked for whoever is new, and may say no."""

    added: ClassVar[list[str]] = []

    async def add_user(self, user):
        super().add_user(user)
        self.added.append(user.name)
        if user.name == "eve":
            raise ValueError("not eve")


async def test_who_is_new_is_added_and_nobody_is_allowed_for_having_been(house: House):
    auth = await house.auth(config(Adding, allowed_users={"bob", "eve"}, allow_all=False, allow_existing_users=True))
    for name, status in (("bob", 302), ("bob", 302), ("eve", 500)):
        assert (await (await house.browser(auth)).log_in(name, "right")).status == status
    assert Adding.added == ["bob", "eve"]
    authenticator = auth.app[HOSTED].authenticator
    await auth.app[HOSTED].add(SimpleNamespace(name="mallory"))
    assert authenticator.allowed_users == {"bob", "eve"}
    names = await (await house.pool()).fetch("select name from users")
    assert [row["name"] for row in names] == ["bob"]


async def test_guesses_are_counted_across_auths(house: House):
    auths = [await house.auth(config()) for _ in range(2)]
    for number in range(10):
        guesser = await house.browser(auths[number % 2], address=f"198.51.100.{number}")
        assert (await guesser.log_in("ada", "wrong")).status == 403
    stranger = await house.browser(auths[0], address="198.51.100.99")
    answer = await stranger.log_in("ada", "right")
    assert (answer.status, TOO_MANY in answer.text, answer.headers["Retry-After"]) == (403, True, "300")
    assert (await stranger.log_in("bob", "right")).status == 302


async def test_credentials_in_a_request_of_an_api(browser):
    path = "/hub/internal/credentials"
    for password, status in (("right", 200), ("wrong", 403)):
        answer = await browser.post(path, None, json={"auth": {"username": "Ada", "password": password}})
        assert answer.status == status


async def test_jupyterhubs_own_class_given_as_an_object(house: House):
    sections = {"DummyAuthenticator": {"password": "open sesame"}}
    browser = await house.browser(config=config(DummyAuthenticator) | sections)
    assert (await browser.log_in("ada", "wrong")).status == 403
    assert (await browser.log_in("ada", "open sesame")).status == 302


@pytest.mark.parametrize("kind", [Tutorials, "dummy"])
async def test_a_hub_inside_of_pages_of_another_site(house: House, kind):
    shown = {"cookie_options": {"SameSite": "None", "Secure": True}}
    browser = await house.browser(config=config(kind, hub={"tornado_settings": shown}))
    page = await browser.get("/hub/login")
    (token,) = page.headers.getall("Set-Cookie")
    headers = {"Cookie": token.partition(";")[0]}
    fields = {"username": "ada", "password": "right", "_xsrf": page.xsrf}
    answer = await browser.post("/hub/login", fields, headers=headers)
    assert answer.status == 302
    for cookie in (token, *answer.headers.getall("Set-Cookie")):
        assert ("SameSite=None" in cookie, "Secure" in cookie) == (True, True), cookie


class Header(Tutorials):
    """Somebody in front of the hub has looked already."""

    auto_login = True

    async def authenticate(self, handler, data):
        return handler.request.headers.get("Remote-User")


async def test_a_login_without_a_form(house: House):
    browser = await house.browser(config=config(Header))
    assert (await browser.get("/hub/login")).status == 403
    answer = await browser.get("/hub/login?next=%2Fhub%2Ftoken", headers={"Remote-User": "ada"})
    assert (answer.status, answer.location) == (302, "/hub/token")
    out = await browser.get("/hub/logout")
    assert (out.status, "Successfully logged out" in out.text) == (200, True)


class OldPage(LoginHandler):
    def _render(self, login_error=None, username=None):
        return super()._render(login_error or "", username)


class Old(Tutorials):
    def get_handlers(self, app):
        return [("/login", OldPage)]


async def test_a_login_page_of_older_days_says_what_is_wrong(house: House):
    browser = await house.browser(config=config(Old))
    assert "We are closed" in (await browser.log_in("ada", "closed")).text
    expired = await browser.post("/hub/login", {"username": "ada", "password": "right"})
    assert "Login form invalid or expired" in expired.text
    assert (await browser.log_in("ada", "right")).status == 302


class Broken(Tutorials):
    def get_handlers(self, app):
        raise RuntimeError("no handlers today")


async def test_one_that_cannot_be_made_is_a_sentence(house: House):
    with pytest.raises(ConfigError) as error:
        await house.auth(config(Broken))
    assert str(error.value).endswith("Broken cannot be made: RuntimeError: no handlers today")
    assert "no handlers" not in authenticators.__doc__
