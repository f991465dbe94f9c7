"""Logins that have to be looked at again: when an auth is asked, who is let in, what starts and stops."""

import asyncio
from typing import Any

import pytest

from hubbub.access import Identity
from hubbub.auth_messages import Policy, Refreshed
from hubbub.domain.server_messages import ClaimAttempt, ReportResponded, ReportStarted, StartServer
from hubbub.testing.eventually import eventually
from hubbub.web import freshness
from hubbub.web.freshness import AGAIN, Freshness
from hubbub_api import keys
from hubbub_api.forward import AUTHS
from hubbub_api.testing import LATER

REFRESH = "/hub/internal/refresh"
EXPIRED = "auth has expired for ada, login again"


async def announced(house: Any, auth: Any, **policy: Any) -> None:
    await auth.announce("login", **{"refreshes": True, "refresh_age": 300, **policy})
    await eventually(lambda: house.client.app[AUTHS]._known)


def says(auth: Any, *, fresh: bool, seconds: float = 300) -> None:
    auth.says[REFRESH] = (200, {"fresh": fresh, "seconds": seconds})


async def may(house: Any, **asker: Any) -> bool:
    """Whether somebody is known by what they bring."""
    return bool((await house.ask("/hub/api/user", **asker)).status == 200)


@pytest.fixture
async def ada(house: Any) -> str:
    """Ada, and a token of hers."""
    await house.person("ada")
    return str(await house.token("ada"))


async def test_nobody_is_asked_where_there_is_nothing_to_ask(house, auth, ada):
    await announced(house, auth, refreshes=False, refresh_pre_spawn=True, refresh_pre_stop=True)
    says(auth, fresh=False)
    assert await may(house, who="ada") and await may(house, token=ada)
    assert (await house.ask("/hub/api/users/ada/server", method="DELETE", token=ada)).status == 204
    await announced(house, auth, refresh_age=0)
    await eventually(lambda: house.client.app[AUTHS].policy.refreshes)
    assert await may(house, who="ada") and await may(house, token=ada)
    assert auth.asked == []


async def test_it_is_asked_once_for_as_long_as_it_holds(house, auth, ada):
    await announced(house, auth)
    says(auth, fresh=True)
    assert all(await asyncio.gather(*(may(house, who="ada") for _ in range(5))))
    assert await may(house, token=ada) and (await house.ask("/hub/home", "ada")).status == 200
    user = await house.views.user("ada")
    assert auth.asked == [("POST", REFRESH, {"user": user.id, "force": False})]
    says(auth, fresh=True, seconds=0)
    await house.person("bob")
    for _ in range(3):
        assert await may(house, who="bob")
    assert len(auth.asked) == 4


async def test_who_comes_by_a_cookie_has_to_log_in_again(house, auth, ada):
    await announced(house, auth)
    says(auth, fresh=False)
    assert not await may(house, who="ada")
    page = await house.ask("/hub/home", "ada")
    assert (page.status, page.headers["Location"]) == (302, "/hub/login?next=%2Fhub%2Fhome")
    assert await may(house, token=ada)
    # As soon as they have done that, it counts.
    says(auth, fresh=True)
    assert await may(house, who="ada")
    asked = len(auth.asked)
    assert await may(house, who="ada") and await may(house, token=ada)
    assert len(auth.asked) == asked


async def test_tokens_go_on_and_ask_seldom(house, auth, ada):
    """Each request of a server would be a question to somebody's provider otherwise."""
    await announced(house, auth)
    says(auth, fresh=False, seconds=300)
    for _ in range(5):
        assert await may(house, token=ada)
    assert len(auth.asked) == 1


async def test_tokens_are_refused_where_it_is_strict(house, auth, ada):
    await announced(house, auth, refresh_strict=True)
    says(auth, fresh=False)
    for _ in range(2):
        assert not await may(house, token=ada)
    says(auth, fresh=True)
    assert await may(house, token=ada)


async def test_services_are_nobody_to_ask_about(house, auth):
    await announced(house, auth, refresh_strict=True)
    says(auth, fresh=False)
    assert house.client.app[AUTHS].policy.refresh_strict
    assert not await may(house, token="nobodys")
    assert auth.asked == []


async def test_what_it_says_counts_for_the_very_request(house, auth, ada):
    """A login that is renewed may take away, or give, what the request needs."""
    await announced(house, auth)

    async def becomes_admin() -> None:
        await house.pool.execute("update users set admin = true where name = 'ada'")

    says(auth, fresh=True)
    auth.before = becomes_admin
    assert (await house.ask("/hub/api/users", "ada")).status == 200


@pytest.mark.parametrize("broken", [(500, {}), (404, {})])
async def test_while_nobody_can_tell_it_holds(house, auth, ada, broken):
    await announced(house, auth, refresh_strict=True, refresh_pre_spawn=True)
    auth.says[REFRESH] = broken
    assert await may(house, who="ada") and await may(house, token=ada)
    assert len(auth.asked) == 1  # and for some seconds nobody asks again
    await auth.server.close()
    house.client.app[AUTHS]._known.clear()
    assert (await house.ask("/hub/api/users/ada/server", method="DELETE", token=ada)).status == 204


# Before servers start and stop -------------------------------------------------------------


def up() -> tuple[Any, ...]:
    return (
        StartServer(at=LATER, pool="default", prefix="/user/ada/", deadline=LATER),
        ClaimAttempt(attempt=1, worker="w", host="h", token="t", deadline=LATER),
        ReportStarted(attempt=1, worker="w", url="http://127.0.0.1:1", deadline=LATER),
        ReportResponded(attempt=1, worker="w", deadline=LATER),
    )


async def kind(house: Any) -> str:
    return str(await house.pool.fetchval("select kind from servers"))


@pytest.fixture
async def root(house: Any) -> str:
    await house.person("root", admin=True)
    return str(await house.token("root"))


async def stop(house: Any, **asker: Any) -> tuple[int, str | None]:
    answer = await house.ask("/hub/api/users/ada/server", method="DELETE", **asker)
    return answer.status, (await answer.json())["message"] if answer.status >= 400 else None


async def start(house: Any, **asker: Any) -> tuple[int, str | None]:
    answer = await house.ask("/hub/api/users/ada/server", method="POST", json={}, **asker)
    return answer.status, (await answer.json())["message"] if answer.status >= 400 else None


QUICK = {"tornado_settings": {"slow_spawn_timeout": 0.01, "slow_stop_timeout": 0.01}}
quick = pytest.mark.parametrize("options", [QUICK], indirect=True)


@quick
async def test_it_is_asked_before_a_start_whatever_it_said_before(house, auth, ada, root):
    await announced(house, auth, refresh_age=0, refresh_pre_spawn=True)
    says(auth, fresh=False)
    xsrf = {"X-XSRFToken": house.xsrf("ada")}
    assert await start(house, who="ada", headers=xsrf) == (403, EXPIRED)
    assert await house.pool.fetchval("select count(*) from servers") == 0
    page = await house.ask("/hub/spawn", "ada")
    assert page.status == 403 and EXPIRED in await page.text()
    # A token cannot log in, nor can somebody for whom others ask.
    assert (await start(house, token=ada))[0] == 202
    assert auth.asked_at(REFRESH)[-1]["force"] is True
    assert await kind(house) == "Spawning"


@quick
async def test_a_start_by_others_is_refused_where_it_is_strict(house, auth, ada, root):
    await announced(house, auth, refresh_age=0, refresh_pre_spawn=True, refresh_strict=True)
    says(auth, fresh=False)
    assert await start(house, token=root) == (403, EXPIRED)
    assert await start(house, token=ada) == (403, EXPIRED)
    says(auth, fresh=True)
    assert (await start(house, token=root))[0] == 202
    ada_id = (await house.views.user("ada")).id
    assert {asked["user"] for asked in auth.asked_at(REFRESH)} == {ada_id}


@quick
async def test_it_is_asked_before_a_stop_but_keeps_no_admin_from_it(house, auth, ada, root):
    await house.server("ada", "", *up())
    await announced(house, auth, refresh_age=0, refresh_pre_stop=True, refresh_strict=True)
    says(auth, fresh=False)
    assert await stop(house, token=ada) == (403, EXPIRED)
    assert await stop(house, who="ada", headers={"X-XSRFToken": house.xsrf("ada")}) == (403, EXPIRED)
    assert await kind(house) == "Running"
    assert (await stop(house, token=root))[0] == 202
    assert await kind(house) == "Stopping"
    assert house.client.app[keys.BUS].said == ["hub.holder.w"]


@quick
async def test_a_token_stops_the_server_where_it_is_not_strict(house, auth, ada):
    await house.server("ada", "", *up())
    await announced(house, auth, refresh_pre_stop=True)
    says(auth, fresh=False)
    assert (await stop(house, token=ada))[0] == 202


# By itself -----------------------------------------------------------------------------------


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_it_remembers_so_many_and_for_so_long(monkeypatch):
    monkeypatch.setattr(freshness, "MOST", 3)
    clock, asked = Clock(), []

    async def ask(user: str, *, force: bool) -> Refreshed:
        asked.append(user)
        return Refreshed(fresh=not user.startswith("stale"), seconds=300)

    one = Freshness(lambda: Policy(refreshes=True, refresh_age=300), ask, clock=clock)

    def person(id: str, token: str = "t") -> Any:
        return Identity(kind="user", name=id, id=id, token_stream=token)

    for name in ("a", "b", "c"):
        assert one.is_due(person(name)) and await one.lets_in(person(name))
    clock.now = 299
    assert not any(one.is_due(person(name)) for name in ("a", "b", "c"))
    await one.lets_in(person("d"))
    assert one.is_due(person("a")) and not one.is_due(person("d"))  # the oldest is forgotten
    clock.now = 300
    assert one.is_due(person("b")) and not one.is_due(person("d"))
    assert await one.lets_in(person("stale")) and not await one.lets_in(person("stale", ""))
    assert not one.is_due(person("stale")) and one.is_due(person("stale", ""))
    clock.now = 300 + AGAIN
    assert one.is_due(person("stale"))
