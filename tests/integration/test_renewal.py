"""An authenticator that changes its mind, on a whole hub: logins that are looked at again, users it does not have."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from browser import Browser
from burst import start
from checks import five_checks
from stack import HERE, MANY, Hub, eventually, hub

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the authenticator's lists of people are."""
    return tmp_path_factory.mktemp("renewal")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def it(ledger: Path) -> AsyncIterator[Hub]:
    async with hub(ledger / "data", config=HERE / "config_renewal.py", scale=MANY) as made:
        yield made


async def model(it: Hub, name: str) -> dict[str, Any]:
    status, found = await it.api("GET", f"/users/{name}")
    assert status == 200, found
    return dict(found)


async def test_pages_of_the_authenticator_are_found(it: Hub):
    async with Browser(it.url) as browser:
        assert await browser.get("/hub/ledger") == (200, "the ledger's own page")
        assert (await browser.get("/hub/ledger/x"))[0] == 404


async def test_what_a_login_said_is_shown_and_what_it_says_later_counts(it: Hub, ledger: Path):
    async with Browser(it.url) as browser:
        assert (await browser.login("ada", "x"))[0] == 200
        shown = await model(it, "ada")
        assert (shown["user_info"], shown["groups"]) == ({"display_name": "Ada"}, ["of-login"])
        assert (await it.api("POST", "/users/ada/server"))[0] == 201
        assert (await model(it, "ada"))["groups"] == ["of-refresh"]
        ledger.joinpath("stale").write_text("ada")
        assert (await it.api("DELETE", "/users/ada/server"))[0] == 204
        headers = browser.xsrf()
        async with browser.session.post(f"{it.url}hub/api/users/ada/server", json={}, headers=headers) as refused:
            assert refused.status == 403
            assert (await refused.json())["message"] == "auth has expired for ada, login again"
        assert (await browser.login("ada", "x"))[0] == 200
        ledger.joinpath("stale").unlink()


async def test_servers_end_with_the_login(it: Hub):
    async with Browser(it.url) as browser:
        assert (await browser.login("bob", "x"))[0] == 200
        await start(it, "bob")
        await browser.get("/hub/logout")

    async def has_none() -> bool:
        return (await model(it, "bob"))["servers"] == {}

    await eventually(has_none, 20, "bob's server stopped")


async def test_whom_it_does_not_have_is_neither_made_nor_kept(it: Hub, ledger: Path):
    await it.user("gus")
    await start(it, "gus")
    ledger.joinpath("gone").write_text("eve gus")
    status, said = await it.api("POST", "/users", {"usernames": ["eve", "ida"]})
    assert (status, said["message"]) == (400, "Failed to create user eve: eve has no account")
    assert (await it.api("GET", "/users/ida"))[0] == 404
    it.kill("auth-1")  # the next one greets everybody

    async def is_gone() -> bool:
        return (await it.api("GET", "/users/gus"))[0] == 404

    await eventually(is_gone, 40, "gus was deleted")
    assert not [process for process in it.workloads() if process.environ()["JUPYTERHUB_USER"] == "gus"]
    assert (await it.api("GET", "/users/bob"))[0] == 200
    await five_checks(it)
