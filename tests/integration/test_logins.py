"""Our own authenticators pass the suite, and JupyterHub's and operators' classes that need no more than JupyterHub."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from browser import Browser
from login_abilities import Granting, Keeping, Managing, Refreshing, Regrouping
from login_suite import CAST, RIGHT, Door, Kind, LoginSuite, identity_of, start
from oidc_provider import at_provider
from own_authenticators import BY_JUPYTERHUB, BY_US, People, register
from stack import HERE, hub

DUMMY = f"c.DummyAuthenticator.password = {RIGHT!r}\n"

ADMIN_PASSWORD = "password-of-administrators-" + "x" * 10
SHARED = f"""
c.SharedPasswordAuthenticator.user_password = {RIGHT!r}
c.SharedPasswordAuthenticator.admin_password = {ADMIN_PASSWORD!r}
"""


@pytest.mark.long  # no more is asked of it than of the ones beside it
class TestDummy(LoginSuite):
    @pytest.fixture(scope="class")
    @classmethod
    def kind(cls) -> Kind:
        return Kind(config=f"c.JupyterHub.authenticator_class = 'dummy'\n{DUMMY}")


class TestSharedPassword(LoginSuite):
    @pytest.fixture(scope="class")
    @classmethod
    def kind(cls) -> Kind:
        config = f"c.JupyterHub.authenticator_class = 'shared-password'\n{SHARED}"
        return Kind(config=config, passwords={"boss": ADMIN_PASSWORD})


PASSWORDS = """
c.JupyterHub.authenticator_class = "hubbub-passwords"
c.PasswordAuthenticator.enable_signup = True
"""
WAITING = r'name="account" value="([^"]+)">\s*<button [^>]*value="approve"'


async def choose(browser: Browser, page: str, **fields: str) -> None:
    status, page = await browser.send(page, {**fields, "new": RIGHT, "again": RIGHT})
    assert status == 200, page


async def everybody_signs_up(door: Door) -> None:
    """The first administrator comes in by a link that the operator has asked for, and approves of the others."""
    status, said = await door.hub.command("password", door.name("boss"))
    assert status == 0, said
    async with door.browser() as boss, door.browser() as others:
        status, page = await boss.get(said.strip().splitlines()[-1])
        assert status == 200, page
        await choose(boss, page)
        for who in CAST:
            if who != "boss":
                status, page = await others.get("/hub/signup")
                await choose(others, page, name=door.name(who))
        await door.let_in(boss, "boss", path="/hub/accounts")
        _, page = await boss.get("/hub/accounts")
        while waiting := re.search(WAITING, page):
            status, page = await boss.send(page, {"account": waiting[1], "do": "approve"})
            assert status == 200, page


class TestPasswords(LoginSuite):
    @pytest.fixture(scope="class")
    @classmethod
    def kind(cls) -> Kind:
        return Kind(config=PASSWORDS, prepare=everybody_signs_up)


OIDC = """
c.JupyterHub.authenticator_class = "hubbub-oidc"
c.OIDCAuthenticator.issuer = {issuer!r}
c.OIDCAuthenticator.client_id = "hub"
c.OIDCAuthenticator.client_secret = "secret-of-the-hub-at-the-provider"
c.Authenticator.manage_groups = True
c.Authenticator.enable_auth_state = True
c.Authenticator.auth_refresh_age = 1
"""


class TestOidc(Refreshing, Managing, Regrouping, Keeping, LoginSuite):
    @pytest_asyncio.fixture(scope="class", loop_scope="class")
    @classmethod
    async def kind(cls) -> AsyncIterator[Kind]:
        async with at_provider(OIDC) as kind:
            yield kind


async def test_null_lets_nobody_in_but_tokens(tmp_path: Path):
    config = tmp_path / "config.py"
    config.write_text(
        f"load_subconfig({str(HERE / 'config_logins.py')!r})\nc.JupyterHub.authenticator_class = 'null'\n"
    )
    async with hub(tmp_path / "data", config=config) as house, Browser(house.url) as browser:
        status, page = await browser.get("/hub/login")
        assert (status, "password" in page.lower()) == (403, False), page
        assert await identity_of(browser) is None
        await house.user("ada")
        status, body = await house.api("POST", "/users/ada/tokens")
        assert status == 201, body
        status, model = await house.api("GET", "/user", token=body["token"])
        assert (status, model["name"]) == (200, "ada")


def own(module: str, folder: Path) -> Kind:
    people = People(folder / "people.json")
    return Kind(
        config=register(module),
        environ={"TEST_REGISTER": str(people.path)},
        secret=People.token,
        revoke=lambda _, name: people.revoke(name),
        regroup=lambda _, name, groups: people.regroup(name, groups),
    )


@pytest.mark.asyncio(loop_scope="class")
class Able(Refreshing, Managing, Regrouping, Granting, Keeping):
    """What an operator's class can do."""

    async def test_its_hook_adds_to_the_environment_of_the_server(self, door: Door):
        """In the worker, which has the auth state."""
        async with door.browser() as browser:
            await door.let_in(browser, "bob")
            await start(door, browser, "bob")
        [server] = [each.environ() for each in door.hub.workloads() if each.environ()["JUPYTERHUB_USER"] == "bob"]
        assert server["UPSTREAM_TOKEN"] == f"{People.token}-of-bob"


class TestOwn(Able, LoginSuite):
    """A class that an operator derived from our Authenticator."""

    @pytest.fixture(scope="class")
    @classmethod
    def kind(cls, tmp_path_factory: pytest.TempPathFactory) -> Kind:
        return own(BY_US, tmp_path_factory.mktemp("people"))


class TestClassicDummy(LoginSuite):
    """JupyterHub's own class, as an object: its login page, its handlers."""

    @pytest.fixture(scope="class")
    @classmethod
    def kind(cls) -> Kind:
        lines = (
            "from jupyterhub.auth import DummyAuthenticator\nc.JupyterHub.authenticator_class = DummyAuthenticator\n"
        )
        return Kind(config=f"{lines}{DUMMY}")


@pytest.mark.long  # no more is asked of it than of the ones beside it
class TestClassicSharedPassword(LoginSuite):
    @pytest.fixture(scope="class")
    @classmethod
    def kind(cls) -> Kind:
        lines = """
from jupyterhub.authenticators.shared import SharedPasswordAuthenticator

c.JupyterHub.authenticator_class = SharedPasswordAuthenticator
"""
        return Kind(config=f"{lines}{SHARED}", passwords={"boss": ADMIN_PASSWORD})


class TestClassicOwn(Able, LoginSuite):
    """The same class, derived from JupyterHub's."""

    @pytest.fixture(scope="class")
    @classmethod
    def kind(cls, tmp_path_factory: pytest.TempPathFactory) -> Kind:
        return own(BY_JUPYTERHUB, tmp_path_factory.mktemp("people"))
