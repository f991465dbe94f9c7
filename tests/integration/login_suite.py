"""What an authenticator of any make has to do under a whole hub with two auths: the suite that all of them pass.

A kind of authenticator is tested by a class derived from `LoginSuite`, with a class-scoped fixture `kind`, and from
those in login_abilities.py if it can do more. Everything goes through the public address.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
from yarl import URL

from browser import Browser
from checks import five_checks, rows
from stack import HERE, Hub, eventually, hub

#: Whom every kind knows, each by a password. By config_logins.py eve is blocked, boss is an administrator, ghopper's
#: name in the hub is grace; zed and late are not among the allowed.
CAST = ("ada", "bob", "ghopper", "eve", "zed", "late", "boss", "rory", "rita", "gus")

RIGHT, WRONG = "password-of-everyone", "not-the-password"

LOGIN_COOKIE = "jupyterhub-hub-login"

#: Who is not let in, and by which password they try.
REFUSED = {
    "a wrong password": ("ada", WRONG),
    "somebody unknown": ("nobody", RIGHT),
    "somebody who is not allowed": ("zed", RIGHT),
    "somebody who is blocked": ("eve", RIGHT),
}


async def to_the_form(browser: Browser, path: str) -> str:
    """The page with the form to which somebody comes who wants to see *path* and is not logged in."""
    status, page = await browser.get(path)
    assert status == 200, page
    return page


async def by_form(browser: Browser, page: str, name: str, password: str) -> tuple[int, str]:
    """Fill in the form in *page* and send it."""
    return await browser.send(page, {"username": name, "password": password})


@dataclass(frozen=True, kw_only=True)
class Kind:
    """An authenticator, and how people log in by it.

    `config`: lines of the operator's file after those of config_logins.py. `begin`: the way from an address to the
    page where somebody says who they are, wherever that is; `finish`: says it there. `passwords`: of those who have
    another than the rest. `prefix`: before all names. `refused`: the statuses of a page that says no. `prepare`: what
    people do before the first of them logs in.
    `secret`: what is part of everybody's auth state. `revoke`, `regroup`: tells the place where people are known
    that one of them has left it, or is in these groups.
    """

    config: str
    begin: Callable[[Browser, str], Awaitable[str]] = to_the_form
    finish: Callable[[Browser, str, str, str], Awaitable[tuple[int, str]]] = by_form
    passwords: Mapping[str, str] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    prefix: str = ""
    refused: tuple[int, ...] = (403,)
    prepare: Callable[["Door"], Awaitable[None]] | None = None
    secret: str = ""
    revoke: Callable[[Hub, str], Any] = lambda *_: None
    regroup: Callable[[Hub, str, list[str]], Any] = lambda *_: None


class Door:
    """A hub, and the kind of authenticator that people log in by. Who is somebody of the cast."""

    def __init__(self, hub: Hub, kind: Kind) -> None:
        self.hub = hub
        self.kind = kind

    def name(self, who: str) -> str:
        return f"{self.kind.prefix}{who}"

    def browser(self) -> Browser:
        return Browser(self.hub.url)

    def password(self, who: str) -> str:
        return self.kind.passwords.get(who, RIGHT)

    async def enter(self, browser: Browser, who: str, password: str = "", path: str = "/hub/home") -> tuple[int, str]:
        """The whole way in; the status and text of the page where it ends."""
        page = await self.kind.begin(browser, path)
        return await self.kind.finish(browser, page, self.name(who), password or self.password(who))

    async def let_in(self, browser: Browser, who: str, path: str = "/hub/home") -> None:
        status, page = await self.enter(browser, who, path=path)
        assert (status, browser.url.raw_path_qs) == (200, path), (page, self.hub.logs())

    async def user(self, who: str) -> dict[str, Any] | None:
        """The user's model; None if there is no such user."""
        status, model = await self.hub.api("GET", f"/users/{self.name(who)}")
        assert status in (200, 404), model
        return model if status == 200 else None

    async def sessions(self, who: str) -> int:
        """How many there are."""
        of = f"user_id = (select id from users where name = '{self.name(who)}')"
        [[count]] = await rows(self.hub, f"select count(*) from sessions where {of}")
        return int(count)

    async def guesses(self) -> int:
        """How many there have been, of anybody."""
        [[count]] = await rows(self.hub, "select count(*) from login_attempts")
        return int(count)

    async def restart_all_auths(self) -> None:
        """Kill them all; returns when their successors are there."""
        before = await self._auths()
        for name in ("auth-1", "auth-2"):
            self.hub.kill(name)

        async def are_back() -> bool:
            return len(await self._auths() - before) == 2

        await eventually(are_back, 30, "two new auths")

    async def _auths(self) -> set[str]:
        """The addresses where the last ones said that they are."""
        found = await rows(self.hub, "select about from instances where service = 'auth'")
        return {json.loads(row["about"])["url"] for row in found}


async def identity_of(browser: Browser) -> dict[str, Any] | None:
    """What the API says of the browser's user, if there is one."""
    place = browser.base.join(URL("/hub/api/user"))
    async with browser.session.get(place, headers=browser.xsrf()) as response:
        assert response.status in (200, 403), await response.text()
        found: dict[str, Any] | None = await response.json() if response.status == 200 else None
        return found


@pytest.mark.asyncio(loop_scope="class")
class LoginSuite:
    @pytest_asyncio.fixture(scope="class", loop_scope="class")
    @classmethod
    async def door(cls, kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Door]:
        folder = tmp_path_factory.mktemp("logins")
        config = folder / "config.py"
        config.write_text(f"load_subconfig({str(HERE / 'config_logins.py')!r})\n{kind.config}")
        environ = {"TEST_PREFIX": kind.prefix, **kind.environ}
        async with hub(folder / "data", config=config, scale="auth=2", environ=environ) as made:
            door = Door(made, kind)
            if kind.prepare:
                await kind.prepare(door)
            yield door

    async def test_the_right_credentials_lead_to_where_somebody_wanted_to_go(self, door: Door):
        async with door.browser() as browser:
            assert await identity_of(browser) is None
            await door.let_in(browser, "ada", path="/hub/home?from=elsewhere&now=1")
            identity = await identity_of(browser)
            assert identity is not None
            assert (identity["name"], identity["admin"]) == (door.name("ada"), False)
            assert "admin:users" not in identity["scopes"]

    @pytest.mark.parametrize("what", REFUSED)
    async def test_who_is_refused_leaves_no_trace(self, door: Door, what: str):
        """No session, no cookie to be remembered by, and no new user. What a form has sent counts as a guess."""
        who, password = REFUSED[what]
        before, guesses = await door.sessions(who), await door.guesses()
        async with door.browser() as browser:
            status, page = await door.enter(browser, who, password if password == WRONG else "")
            assert status in door.kind.refused, (page, door.hub.logs())
            assert not browser.cookie(LOGIN_COOKIE)
            assert await identity_of(browser) is None
        assert await door.sessions(who) == before
        if door.kind.finish is by_form:
            assert await door.guesses() == guesses + 1
        if who != "ada":
            assert await door.user(who) is None

    async def test_an_administrator_is_one(self, door: Door):
        async with door.browser() as browser:
            await door.let_in(browser, "boss")
            identity = await identity_of(browser)
            assert identity is not None and identity["admin"] is True
            assert "admin:users" in identity["scopes"]

    async def test_somebody_has_the_name_that_the_hub_gives_them(self, door: Door):
        async with door.browser() as browser:
            await door.let_in(browser, "ghopper")
            identity = await identity_of(browser)
            assert identity is not None and identity["name"] == door.name("grace")
        assert await door.user("ghopper") is None

    async def test_whom_an_administrator_has_made_is_allowed(self, door: Door):
        await door.hub.user(door.name("late"))
        async with door.browser() as browser:
            await door.let_in(browser, "late")

    async def test_a_login_goes_on_when_all_auths_have_been_killed(self, door: Door):
        async with door.browser() as browser:
            page = await door.kind.begin(browser, "/hub/home")
            await door.restart_all_auths()
            status, page = await door.kind.finish(browser, page, door.name("ada"), door.password("ada"))
            assert (status, browser.url.path) == (200, "/hub/home"), (page, door.hub.logs())

    async def test_somebodys_server_opens_and_is_closed_when_they_log_out(self, door: Door):
        """A log-out ends one session, with what was given out in it; those of other browsers stay."""
        server = f"/user/{door.name('ada')}/"
        async with door.browser() as browser, door.browser() as other, door.browser() as thief:
            await door.let_in(browser, "ada")
            await door.let_in(other, "ada")
            await start(door, browser, "ada")
            status, page = await browser.get(server)
            assert (status, browser.url.path) == (200, server), page
            assert json.loads(page)["name"] == door.name("ada")
            thief.session.cookie_jar.update_cookies(all_cookies(browser), browser.base)
            assert await identity_of(thief) is not None
            sessions = await door.sessions("ada")

            await browser.get("/hub/logout")
            assert not browser.cookie(LOGIN_COOKIE)
            assert not browser.cookie("jupyterhub-session-id", "/")
            assert await identity_of(browser) is None
            assert await identity_of(thief) is None
            assert await door.sessions("ada") == sessions - 1
            for left in (browser, thief):
                await left.get(server)
                assert not left.url.path.startswith(server)
            assert await identity_of(other) is not None
            status, page = await other.get(server)
            assert (status, other.url.path) == (200, server), page

    async def test_everything_is_as_the_log_has_it(self, door: Door):
        await five_checks(door.hub)


async def start(door: Door, browser: Browser, who: str) -> None:
    """By the button on the page; returns when the server is ready."""
    name = door.name(who)
    status, page = await browser.get(f"/hub/spawn/{name}")
    assert status == 200, page
    await eventually(lambda: door.hub.is_ready(name), 30, "the server is ready")


def all_cookies(browser: Browser) -> dict[str, str]:
    return {cookie.key: cookie.value for cookie in browser.session.cookie_jar}
