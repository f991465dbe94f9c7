"""Logging in and out as an api sees it: what is counted, and whose servers are stopped."""

from typing import Any

import pytest

from hubbub.domain.server_messages import ClaimAttempt, ReportResponded, ReportStarted, StartServer
from hubbub.domain.session import CloseSession
from hubbub.testing.eventually import eventually
from hubbub.views import SESSIONS
from hubbub.web import cookies
from hubbub_api import keys
from hubbub_api.forward import AUTHS
from hubbub_api.metrics import METRICS
from hubbub_api.testing import BY_TEST, LATER

OFF = pytest.mark.parametrize("options", [{}], indirect=True)
ON = pytest.mark.parametrize("options", [{"shutdown_on_logout": True, "allow_named_servers": True}], indirect=True)


@pytest.fixture
async def announced(house: Any, auth: Any) -> None:
    await auth.announce("login", "logout", "oauth_callback")
    await eventually(lambda: house.client.app[AUTHS]._known)


# What is counted ---------------------------------------------------------------------------


async def counts(house: Any) -> dict[str, float]:
    found = {}
    for line in (await house.client.app[METRICS].text(house.client.app)).decode().splitlines():
        name, _, value = line.rpartition(" ")
        if name.startswith("jupyterhub_logout_duration_seconds_count"):
            found[name.removeprefix("jupyterhub_").replace("_duration_seconds_count", "")] = float(value)
    return found


async def test_logouts_are_counted(house, auth, announced):
    assert await counts(house) == {"logout": 0.0}
    for status, number in ((302, 1.0), (500, 1.0), (200, 2.0)):
        auth.says["/hub/logout"] = (status, {})
        assert (await house.ask("/hub/logout")).status == status
        assert await counts(house) == {"logout": number}


# Whose servers are stopped ---------------------------------------------------------------------


def up(path: str, *, until: int = 4) -> tuple[Any, ...]:
    return (
        StartServer(at=LATER, pool="default", prefix=path, deadline=LATER),
        ClaimAttempt(attempt=1, worker="w", host="h", token=path, deadline=LATER),
        ReportStarted(attempt=1, worker="w", url="http://127.0.0.1:1", deadline=LATER),
        ReportResponded(attempt=1, worker="w", deadline=LATER),
    )[:until]


async def kinds(house: Any) -> dict[str, str]:
    rows = await house.pool.fetch(
        "select u.name || '/' || s.name, kind from servers s join users u on u.id = s.user_id"
    )
    return dict(map(tuple, rows))


@pytest.fixture
async def running(house: Any, auth: Any, announced: None) -> dict[str, str]:
    """Ada and bob with servers, and an auth that ends the session of whoever logs out."""
    for name in ("ada", "bob"):
        await house.person(name)
        server = await house.server(name, "", *up(f"/user/{name}/"))
        await house.route(server)
    routed = await house.server("ada", "two", *up("/user/ada/two/"))
    await house.route(routed)
    await house.server("ada", "new", *up("/user/ada/new/", until=2))
    await house.server("ada", "old")

    async def end() -> None:
        for row in await house.pool.fetch(
            "select x.id from sessions x join users u on u.id = x.user_id and u.name = 'ada'"
        ):
            await house.committer.execute(SESSIONS, row["id"], CloseSession(), BY_TEST.follow())

    auth.says["/hub/logout"] = (302, {})
    auth.before = end
    return await kinds(house)


STAYS = {"ada/": "Running", "ada/two": "Running", "ada/new": "Spawning", "ada/old": "Stopped", "bob/": "Running"}


@ON
async def test_servers_of_who_logs_out_are_stopped(house, auth, running):
    assert running == STAYS
    assert (await house.ask("/hub/logout", "ada")).status == 302
    assert await kinds(house) == STAYS | {"ada/": "Stopping", "ada/two": "Stopping"}
    assert house.client.app[keys.BUS].said == ["hub.holder.w"] * 2
    ada = (await house.views.user("ada")).id
    actors = await house.pool.fetch("select meta::json ->> 'actor' from events where type = 'StopRequested'")
    assert [row[0] for row in actors] == [f"user:{ada}"] * 2


@ON
async def test_it_takes_somebody_who_really_logs_out(house, auth, running):
    for headers in ({}, {"Cookie": f"{cookies.LOGIN}=forged"}):
        assert (await house.ask("/hub/logout", headers=headers)).status == 302
    # Another site has sent them here: they are logged out, and no more.
    assert (await house.ask("/hub/logout", "ada", headers={"Sec-Fetch-Site": "cross-site"})).status == 302
    assert (await house.ask("/hub/logout", "ada")).status == 302  # with a session that is over
    assert await kinds(house) == STAYS


@pytest.mark.parametrize(
    "options",
    [{"shutdown_on_logout": True, "allow_named_servers": True, "subdomain_host": "https://hub.test:8443"}],
    indirect=True,
)
@pytest.mark.parametrize(
    ("referer", "stops"),
    [
        ("", False),
        ("https://mallory.hub.test:8443/", False),
        ("https://hub.test:8443/", False),
        ("https://evil.test/ada.hub.test/", False),
        ("https://ada.hub.test:8443/user/ada/logout", True),
    ],
)
async def test_a_neighbour_stops_no_servers_but_ones_own_host_does(house, auth, running, referer, stops):
    headers = {"Host": "hub.test:8443", "Sec-Fetch-Site": "same-site", "Referer": referer}
    assert (await house.ask("/hub/logout", "ada", headers=headers)).status == 302
    assert await kinds(house) == STAYS | ({"ada/": "Stopping", "ada/two": "Stopping"} if stops else {})


@ON
async def test_nothing_is_stopped_for_a_session_that_goes_on(house, auth, running):
    auth.before = None
    assert (await house.ask("/hub/logout", "ada")).status == 302
    auth.says["/hub/logout"] = (503, {})
    assert (await house.ask("/hub/logout", "ada")).status == 503
    assert await kinds(house) == STAYS


@ON
async def test_a_stale_login_is_logged_out_all_the_same(house, auth, running):
    await auth.announce("login", "logout", refreshes=True, refresh_age=300, refresh_pre_stop=True)
    await eventually(lambda: house.client.app[AUTHS].policy.refreshes)
    auth.says["/hub/internal/refresh"] = (200, {"fresh": False})
    assert (await house.ask("/hub/logout", "ada")).status == 302
    assert (await kinds(house))["ada/"] == "Stopping"
    assert [said["force"] for said in auth.asked_at("/hub/internal/refresh")] == [True]


@OFF
async def test_without_the_option_they_run_on(house, auth, announced):
    await house.person("ada")
    await house.server("ada", "", *up("/user/ada/"))
    assert (await house.ask("/hub/logout", "ada")).status == 200
    assert await kinds(house) == {"ada/": "Running"}
