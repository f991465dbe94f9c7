"""Sweeps with several proxies: who is too slow, or silent, is lost; nobody's server is."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from traitlets.config import Config

from hubbub.config import Options
from hubbub.domain.proxy import JoinProxy
from hubbub.domain.route import AddRoute, RemoveRoute
from hubbub.domain.server_messages import ClaimAttempt, ReportResponded, ReportStarted, StartServer
from hubbub.views import PROXIES, ROUTES, SERVERS
from hubbub.watch_messages import Sweep, Swept
from hubbub_api.keys import ACTIVITIES, BUS
from hubbub_api.sweeps import Sweeps
from hubbub_api.testing import BY_TEST

URL = "http://127.0.0.1:1"
TIMEOUT = 30.0


@pytest.fixture
def options(request: pytest.FixtureRequest) -> Options:
    """Indirectly: seconds that a server may run without a route."""
    return Options(Config({"Hubbub": {"route_timeout": getattr(request, "param", TIMEOUT)}}))


class NoServices:
    async def keep(self) -> int:
        return 0


@pytest.fixture
def sweeps(house, options: Options) -> Sweeps:
    app = house.client.app
    services: Any = NoServices()
    return Sweeps(house.pool, house.committer, app[BUS], options, app[ACTIVITIES], services)


async def swept(sweeps: Sweeps, *lost: str) -> Swept:
    return await sweeps.sweep("hub.rpc.sweep.poller.p", msgspec.json.encode(Sweep(lost_proxies=lost)))


async def joins(house, *proxies: str) -> None:
    for proxy in proxies:
        await house.committer.execute(PROXIES, proxy, JoinProxy(proxy=proxy), BY_TEST.follow())


async def routed(house, server: str, *proxies: str) -> None:
    for proxy in proxies:
        route = AddRoute(proxy=proxy, server=server, attempt=1, target=URL)
        await house.committer.execute(ROUTES, f"{proxy}.{server}", route, BY_TEST.follow())


async def runs(house, name: str, *, since: float, timeout: float = TIMEOUT) -> str:
    """Has answered *since* seconds ago."""
    if await house.views.user("ada") is None:
        await house.person("ada")
    later = datetime.now(UTC) + timedelta(hours=1)
    server: str = await house.server(
        "ada",
        name,
        StartServer(at=datetime.now(UTC), pool="default", prefix=f"/user/ada/{name}/", deadline=later),
        ClaimAttempt(attempt=1, worker="w", host="h", token="t", deadline=later),
        ReportStarted(attempt=1, worker="w", url=URL, deadline=later),
        ReportResponded(
            attempt=1, worker="w", deadline=datetime.now(UTC) + timedelta(seconds=timeout - since), version="6.1.1"
        ),
    )
    return server


async def kind(house, server: str) -> str:
    found: str = await house.pool.fetchval("select kind from servers where id = $1", server)
    return found


async def is_ready(house, server: str) -> bool:
    row = await house.views.server_by_id(server)
    assert row
    return bool(row.ready)


async def test_who_is_silent_is_lost_but_never_the_last(house, sweeps):
    await joins(house, "p1", "p2", "p3")
    assert (await swept(sweeps)).proxies == ("p1", "p2", "p3")
    assert (await swept(sweeps, "p1", "p3", "nobody")).proxies == ("p2",)
    assert (await swept(sweeps, "p2")).proxies == ("p2",)


async def test_who_is_stuck_is_lost_after_five_seconds_and_holds_up_nobody(house, sweeps):
    await joins(house, "p1", "p2", "p3")
    fresh, older = await runs(house, "fresh", since=3), await runs(house, "older", since=6)
    await routed(house, fresh, "p1")
    await routed(house, older, "p1", "p2")
    assert not await is_ready(house, older)
    assert (await swept(sweeps)).proxies == ("p1", "p2")
    assert await is_ready(house, older)
    assert not await is_ready(house, fresh)
    # Whoever is back counts when it has all routes, and not before.
    await routed(house, fresh, "p2", "p3")
    await routed(house, older, "p3")
    assert (await swept(sweeps)).proxies == ("p1", "p2")
    await joins(house, "p3")
    assert (await swept(sweeps)).proxies == ("p1", "p2", "p3")


async def test_if_none_is_any_better_none_is_lost(house, sweeps):
    """The api may have been the slow one. What nobody can reach is given up when its time is over."""
    await joins(house, "p1", "p2")
    server, late = await runs(house, "a", since=10), await runs(house, "b", since=31)
    assert (await swept(sweeps)).proxies == ("p1", "p2")
    assert (await kind(house, server), await kind(house, late)) == ("Running", "Stopping")


async def test_what_is_reached_by_one_is_not_ended_for_the_others(house, sweeps):
    """Neither if a proxy joins without its route, nor if it loses that just when the sweep looks."""
    old = await runs(house, "old", since=3600)
    await joins(house, "p1")
    await routed(house, old, "p1")
    await joins(house, "p2")
    stuck, sweeps._stuck = sweeps._stuck, none
    await swept(sweeps)
    assert await kind(house, old) == "Running"
    sweeps._stuck = stuck
    assert (await swept(sweeps)).proxies == ("p1",)
    assert await is_ready(house, old)


async def none() -> list[str]:
    """It had not joined then."""
    return []


async def test_what_was_overdue_is_looked_at_again(house, sweeps, monkeypatch):
    """Its route has come since it was found."""
    server = await runs(house, "a", since=31)
    await joins(house, "p1")
    [row] = await house.pool.fetch("select id, state from servers where id = $1", server)
    await routed(house, server, "p1")
    assert await sweeps._give_up(server, SERVERS.decode_state(row["state"])) == 0
    assert await kind(house, server) == "Running"
    await house.committer.execute(ROUTES, f"p1.{server}", RemoveRoute(), BY_TEST.follow())
    assert await sweeps._give_up(server, SERVERS.decode_state(row["state"])) == 1
    assert await kind(house, server) == "Stopping"


@pytest.mark.parametrize("options", [2.0], indirect=True)
async def test_with_less_patience_than_five_seconds_a_proxy_is_lost_before_a_server(house, sweeps):
    await joins(house, "p1", "p2")
    server = await runs(house, "a", since=1, timeout=2.0)
    late = await runs(house, "b", since=3, timeout=2.0)
    await routed(house, server, "p1")
    assert (await swept(sweeps)).proxies == ("p1", "p2")
    await routed(house, late, "p1")
    late = await runs(house, "c", since=3, timeout=2.0)
    await routed(house, late, "p1")
    assert (await swept(sweeps)).proxies == ("p1",)
    assert await kind(house, late) == "Running"
