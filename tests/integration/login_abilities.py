"""The parts of the login suite for authenticators that can do more: ask again, manage groups and roles, remember."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from yarl import URL

from browser import Browser
from checks import rows
from leaks import arguments, files, leaks, tables
from login_suite import Door, all_cookies, identity_of, start
from stack import eventually
from wiretap import tapped


@pytest.mark.asyncio(loop_scope="class")
class Refreshing:
    """The kind's configuration has an `auth_refresh_age` of a second or so, and its `revoke` has an effect."""

    async def test_who_has_left_is_sent_to_log_in_again(self, door: Door):
        async with door.browser() as browser:
            await door.let_in(browser, "rory")
            assert await identity_of(browser) is not None
            door.kind.revoke(door.hub, door.name("rory"))

            async def is_nobody() -> bool:
                return await identity_of(browser) is None

            await eventually(is_nobody, 20, "the API knows that rory has left")
            status, where = await redirected(browser, "/hub/home")
            assert (status, where.path, where.query["next"]) == (302, "/hub/login", "/hub/home")

    async def test_who_has_not_left_stays(self, door: Door):
        """Their authenticator is asked again and again, and has nothing against them."""
        async with door.browser() as browser:
            await door.let_in(browser, "bob")
            asked = f'"user": "{await id_of(door, "bob")}"'

            async def is_asked_again() -> bool:
                assert await identity_of(browser) is not None
                lines = [line for log in (door.hub.data / "log").glob("auth-*.log") for line in log.open()]
                return sum('"auth.refreshed"' in line and asked in line for line in lines) >= 2

            await eventually(is_asked_again, 20, "bob is asked about twice")


@pytest.mark.asyncio(loop_scope="class")
class Managing:
    """The kind manages groups. It has gus in crew and staff, and `regroup` has an effect at his next login."""

    async def test_groups_are_those_of_the_last_login(self, door: Door):
        async with door.browser() as browser:
            await door.let_in(browser, "gus")
        assert await groups_of(door, "gus") == ["crew", "staff"]
        door.kind.regroup(door.hub, door.name("gus"), ["staff", "board"])
        async with door.browser() as browser:
            await door.let_in(browser, "gus")
        assert await groups_of(door, "gus") == ["board", "staff"]
        door.kind.regroup(door.hub, door.name("gus"), [])
        async with door.browser() as browser:
            await door.let_in(browser, "gus")
        assert await groups_of(door, "gus") == []


@pytest.mark.asyncio(loop_scope="class")
class Regrouping:
    """The kind's groups change while somebody is logged in, as soon as it is asked again."""

    async def test_groups_change_without_a_login(self, door: Door):
        async with door.browser() as browser:
            await door.let_in(browser, "bob")
            before = await groups_of(door, "bob")
            door.kind.regroup(door.hub, door.name("bob"), ["choir"])

            async def have_changed() -> bool:
                assert await identity_of(browser) is not None
                return await groups_of(door, "bob") == ["choir"]

            assert before != ["choir"]
            await eventually(have_changed, 20, "bob is in the choir")


@pytest.mark.asyncio(loop_scope="class")
class Granting:
    """The kind manages roles: who is in a group holds the role reader-of-<group>, which has the scope read:hub."""

    async def test_roles_are_those_of_the_last_login(self, door: Door):
        door.kind.regroup(door.hub, door.name("rita"), ["crew"])
        async with door.browser() as browser:
            await door.let_in(browser, "rita")
            identity = await identity_of(browser)
            assert identity is not None and "read:hub" in identity["scopes"]
            assert "reader-of-crew" in await roles_of(door, "rita")
            door.kind.regroup(door.hub, door.name("rita"), [])
        async with door.browser() as browser:
            await door.let_in(browser, "rita")
            identity = await identity_of(browser)
            assert identity is not None and "read:hub" not in identity["scopes"]
            assert await roles_of(door, "rita") == ["user"]


@pytest.mark.asyncio(loop_scope="class")
class Keeping:
    """The kind has `enable_auth_state`, and an auth state with `secret` in it, and perhaps other tokens."""

    async def test_the_auth_state_comes_to_the_worker_and_to_nobody_else(self, door: Door):
        async with tapped(door.hub) as tape, door.browser() as browser:
            await door.let_in(browser, "bob")
            await start(door, browser, "bob")
            cookies = all_cookies(browser)
        told = json.loads((door.hub.data / "told" / f"{door.name('bob')}.json").read_text())
        workers = {pid for name, pid in door.hub.services().items() if name.startswith("spawner-worker")}
        assert told["pid"] in workers
        secret = door.kind.secret
        given = {f"{path} of the auth state": word for path, word in words(told["state"])}
        secrets = {path: word for path, word in given.items() if is_token(path) or (secret and secret in word)}
        assert any(secret in word for word in secrets.values()), told
        secrets |= {f"cookie {name}": value for name, value in cookies.items() if name == "jupyterhub-hub-login"}
        assert tape.about("hub.rpc.claim")
        places: dict[str, bytes] = {
            "the bus": b"\n".join(tape.messages),
            **{f"table {name}": text for name, text in (await tables(door.hub)).items()},
            **{f"arguments of {pid}": text for pid, text in arguments(door.hub).items()},
            **{name: text for name, text in files(door.hub).items() if not name.startswith("file told/")},
        }
        found = leaks(secrets, places)
        assert not found, "\n".join(found)


def words(value: Any, path: str = "") -> list[tuple[str, str]]:
    """Every string in *value*, and where it is."""
    if isinstance(value, Mapping):
        return [found for name, each in value.items() for found in words(each, f"{path}.{name}")]
    if isinstance(value, list):
        return [found for number, each in enumerate(value) for found in words(each, f"{path}.{number}")]
    return [(path, value)] if isinstance(value, str) else []


def is_token(path: str) -> bool:
    """Going by its name."""
    return path.endswith("token of the auth state")


async def groups_of(door: Door, who: str) -> list[str]:
    model = await door.user(who)
    assert model is not None
    return sorted(model["groups"])


async def roles_of(door: Door, who: str) -> list[str]:
    model = await door.user(who)
    assert model is not None
    return sorted(model["roles"])


async def id_of(door: Door, who: str) -> str:
    """The one that logs have."""
    [[id]] = await rows(door.hub, f"select id from users where name = '{door.name(who)}'")
    return str(id)


async def redirected(browser: Browser, path: str) -> tuple[int, URL]:
    async with browser.session.get(browser.base.join(URL(path)), allow_redirects=False) as response:
        return response.status, URL(response.headers.get("Location", ""))
