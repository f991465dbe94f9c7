"""Whether a login still holds: asked of the authenticator again, for apis and for auth's own pages."""

import asyncio
import json
import threading
from typing import Any

import pytest

from hubbub.testing.eventually import eventually
from hubbub_auth.authenticators import Authenticator
from hubbub_auth.freshness import SOON
from hubbub_auth.testing import House, with_

HOLDS: dict[str, Any] = {}


class Forgetful(Authenticator):
    """Says of everybody what `HOLDS` says, and counts how often it was asked."""

    async def authenticate(self, handler: Any, data: dict[str, str]) -> str:
        return data["username"]

    async def refresh_user(self, user: Any, handler: Any = None) -> Any:
        HOLDS["asked"] += 1
        if waits := HOLDS.get("waits"):
            await asyncio.to_thread(waits.wait)  # it lives on a loop of its own
        if isinstance(HOLDS["says"], Exception):
            raise HOLDS["says"]
        return HOLDS["says"]


@pytest.fixture(autouse=True)
def holds() -> dict[str, Any]:
    HOLDS.clear()
    HOLDS.update(says=True, asked=0)
    return HOLDS


def config(**options: Any) -> dict[str, Any]:
    return with_({"authenticator_class": Forgetful}, Authenticator={"allow_all": True, **options})


async def old(house: House) -> None:
    """All logins were long ago."""
    await (await house.pool()).execute("update vouched set at = at - interval '1 day'")


async def asked(browser: Any, user: str, *, force: bool = False) -> dict[str, Any]:
    answer = await browser.post("/hub/internal/refresh", json.dumps({"user": user, "force": force}))
    assert answer.status == 200
    found: dict[str, Any] = json.loads(answer.text)
    return found


async def id_of(house: House, name: str) -> str:
    return str(await (await house.pool()).fetchval("select id from users where name = $1", name))


async def test_a_login_holds_for_as_long_as_it_may(house: House, holds):
    browser = await house.browser(config=config())
    await browser.log_in("ada")
    ada = await id_of(house, "ada")
    said = await asked(browser, ada)
    assert said["fresh"] and 290 < said["seconds"] <= 300 and holds["asked"] == 0
    await old(house)
    assert await asked(browser, ada) == {"fresh": True, "seconds": 300} and holds["asked"] == 1
    assert (await asked(browser, ada))["fresh"] and holds["asked"] == 1
    assert (await asked(browser, ada, force=True))["fresh"] and holds["asked"] == 2
    assert (await asked(browser, "nobody"))["fresh"] is False


async def test_a_stale_login_is_none_on_auths_pages_and_can_be_renewed_there(house: House, holds):
    browser = await house.browser(config=config())
    await browser.log_in("ada")
    assert (await browser.get("/hub/login")).status == 302
    await old(house)
    holds["says"] = False
    form = await browser.get("/hub/login?next=/hub/home")
    assert (form.status, holds["asked"]) == (200, 1)
    before = await (await house.pool()).fetchval("select count(*) from sessions")
    answer = await browser.log_in("ada", path="/hub/login?next=/hub/home")
    assert (answer.status, answer.location) == (302, "/hub/home")
    assert (await browser.get("/hub/login")).status == 302
    # In the place of the one they had.
    assert (before, await (await house.pool()).fetchval("select count(*) from sessions")) == (1, 1)


async def test_who_was_found_wanting_before_a_start_can_log_in_at_once(house: House, holds):
    """On whichever auth: none of them takes the old login for good any more."""
    browser = await house.browser(config=config())
    other = await house.browser(config=config())
    await browser.log_in("ada")
    assert (await browser.get("/hub/login")).status == 302
    holds["says"] = False
    assert (await asked(other, await id_of(house, "ada"), force=True))["fresh"] is False
    assert (await browser.get("/hub/login")).status == 200


async def test_a_stale_login_can_be_ended(house: House, holds):
    browser = await house.browser(config=config())
    await browser.log_in("ada")
    await old(house)
    holds["says"] = False
    assert (await browser.get("/hub/logout")).status == 302
    assert await (await house.pool()).fetchval("select count(*) from sessions") == 0


async def test_an_authenticator_that_fails_logs_nobody_out_unless_it_is_strict(house: House, holds):
    browser = await house.browser(config=config())
    await browser.log_in("ada")
    ada = await id_of(house, "ada")
    await old(house)
    holds["says"] = OSError("the provider is away")
    assert (await asked(browser, ada))["fresh"] is True
    assert (await asked(browser, ada, force=True))["fresh"] is False
    assert (await browser.get("/hub/login")).status == 302
    strict = await house.browser(config=config(auth_refresh_strict=True))
    assert (await asked(strict, ada))["fresh"] is False


async def test_what_it_says_besides_is_kept(house: House, holds):
    browser = await house.browser(config=config(manage_groups=True))
    holds["says"] = {"groups": ["one"]}
    pool = await house.pool()
    await people_of(house)
    ada = await id_of(house, "ada")
    assert (await asked(browser, ada, force=True))["fresh"] is True
    assert [row["name"] for row in await pool.fetch("select name from groups")] == ["one"]


async def people_of(house: House) -> None:
    """Ada, by a login that manages no groups."""
    await (await house.browser(config=config())).log_in("ada")


async def test_one_auth_asks_for_all(house: House, holds):
    """The others go on with what they have: a refresh token may be good for one use alone."""
    one, two = await house.browser(config=config()), await house.browser(config=config())
    await one.log_in("ada")
    await old(house)
    ada, holds["waits"] = await id_of(house, "ada"), threading.Event()
    asking = asyncio.ensure_future(asked(one, ada))
    await eventually(lambda: holds["asked"] == 1)
    assert await asked(two, ada) == {"fresh": True, "seconds": SOON}
    assert holds["asked"] == 1
    waits = holds.pop("waits")
    assert (await asked(two, ada, force=True))["fresh"]  # this one has to know, and takes nobody's claim with it
    assert await (await house.pool()).fetchval("select asked_at is not null from vouched")
    waits.set()
    assert (await asking)["fresh"]
    assert (await asked(two, ada))["seconds"] > SOON
    assert holds["asked"] == 2
    assert not await (await house.pool()).fetchval("select asked_at is not null from vouched")


async def test_one_that_died_while_it_asked_holds_up_nobody(house: House, holds):
    browser = await house.browser(config=config())
    await browser.log_in("ada")
    await old(house)
    await (await house.pool()).execute("update vouched set asked_at = now() - interval '1 hour'")
    assert (await asked(browser, await id_of(house, "ada")))["fresh"]
    assert holds["asked"] == 1
