"""`c.Hubbub.cull` in an api: which servers a sweep stops, which it leaves alone, and what their owners are told."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from hubbub.domain.group import CreateGroup
from hubbub.domain.member import AddMember
from hubbub.domain.proxy import JoinProxy, LoseProxy
from hubbub.domain.route import AddRoute
from hubbub.domain.server_messages import (
    ClaimAttempt,
    LoseAttempt,
    ReportExit,
    ReportResponded,
    ReportStarted,
    StartServer,
)
from hubbub.eventlog import Context
from hubbub.views import GROUPS, MEMBERS, PROXIES, ROUTES, SERVERS
from hubbub.watch_messages import Activity, Sweep
from hubbub.web.request import GATE
from hubbub_api import keys
from hubbub_api.culling import Culling
from hubbub_api.sweeps import Sweeps

BY_TEST = Context.of("test")
LATER = datetime.now(UTC) + timedelta(days=1)
HOUR = 3600

IDLE = [{"cull": {"idle": HOUR, "warn": 600}}]


def ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


class Rig:
    """An api that sweeps. Its proxy has said all, and it has listened for long, unless a test says otherwise."""

    def __init__(self, house) -> None:
        self.house = house
        app = house.client.app
        self.options, self.bus = app[GATE].options, app[keys.BUS]
        self.activities = app[keys.ACTIVITIES]
        self.culling = Culling(house.pool, house.committer, self.bus, self.options, self.activities)

    async def turn(self, *lost: str) -> int:
        # As if it had been looked at long ago.
        await self.house.pool.execute("update culls set look_at = now() - interval '1 s'")
        return await self.culling.turn(lost)

    async def runs(self, owner: str, name: str = "", *, since: float = 5 * HOUR, profile: str = "") -> str:
        start = StartServer(
            at=ago(since), pool="default", prefix=f"/user/{owner}/{name}", deadline=LATER, profile=profile
        )
        claim = ClaimAttempt(attempt=1, worker="w", host="h", token="t", deadline=LATER, reach="pool")
        started = ReportStarted(attempt=1, worker="w", url="http://127.0.0.1:1", deadline=LATER)
        responded = ReportResponded(attempt=1, worker="w", deadline=LATER)
        server: str = await self.house.server(owner, name, start, claim, started, responded)
        await self.house.route(server)
        return server

    async def says(self, subject: str, seconds: float) -> None:
        self.activities.heard(subject, at=ago(seconds))
        await self.activities.write()

    async def listens(self, seconds: float) -> None:
        await self.house.pool.execute("delete from hearing")
        await self.house.pool.execute("insert into hearing (since, at) values ($1, now())", ago(seconds))

    async def kind(self, owner: str, name: str = "") -> str:
        return str((await self.house.views.server(owner, name)).kind)

    async def last(self, type: str) -> list[dict[str, Any]]:
        rows = await self.house.pool.fetch("select data, meta from events where type = $1 order by position", type)
        return [{**msgspec.json.decode(row["data"]), "meta": msgspec.json.decode(row["meta"])} for row in rows]


@pytest.fixture
async def rig(house) -> Rig:
    for name in ("ada", "bob", "cleo"):
        await house.person(name)
    made = Rig(house)
    await made.says("proxy:p", 0)
    await made.listens(2 * HOUR)
    return made


@pytest.mark.parametrize("ours", IDLE, indirect=True)
async def test_who_is_idle_is_stopped_once_and_the_log_says_why(rig):
    busy, idle = await rig.runs("ada"), await rig.runs("bob")
    await rig.says(f"server:{busy}", 60)
    await rig.says(f"server:{idle}", HOUR + 5)
    assert await rig.turn() == 1
    assert (await rig.kind("ada"), await rig.kind("bob")) == ("Running", "Stopping")
    [stop] = await rig.last("StopRequested")
    assert (stop["reason"], stop["meta"]["actor"]) == ("idle for 1 h", "sweep")
    assert rig.bus.said == ["hub.holder.w"]
    assert await rig.turn() == 0
    exited = ReportExit(attempt=1, worker="w", status="0", deadline=LATER)
    await rig.house.committer.execute(SERVERS, idle, exited, BY_TEST.follow())
    found = await rig.house.ask("/hub/user/bob/", "bob")
    assert (found.status, "It was stopped: idle for 1 h." in await found.text()) == (424, True)


@pytest.mark.parametrize("ours", IDLE, indirect=True)
async def test_one_that_never_told_anything_counts_from_its_start(rig):
    await rig.runs("ada", since=HOUR - 5)
    await rig.runs("bob", since=HOUR + 5)
    assert await rig.turn() == 1
    assert (await rig.kind("ada"), await rig.kind("bob")) == ("Running", "Stopping")


@pytest.mark.parametrize("ours", [{"cull": {"idle": HOUR, "longest": 2 * HOUR}}], indirect=True)
async def test_the_longest_life_ends_whoever_is_there(rig):
    server = await rig.runs("ada", since=2 * HOUR + 5)
    await rig.says(f"server:{server}", 0)
    assert await rig.turn() == 1
    assert [stop["reason"] for stop in await rig.last("StopRequested")] == ["has run for 2 h"]


RULES = {
    "idle": HOUR,
    "rules": [
        {"groups": ["staff"], "idle": 0},
        {"profiles": ["gpu"], "idle": 600},
        {"servers": ["night"], "idle": 8 * HOUR},
    ],
}


@pytest.mark.parametrize("ours", [{"cull": RULES}], indirect=True)
async def test_rules_are_by_group_profile_and_name(rig):
    for owner, name, profile in (("ada", "", "gpu"), ("bob", "", "gpu"), ("cleo", "", ""), ("cleo", "night", "")):
        server = await rig.runs(owner, name, profile=profile)
        await rig.says(f"server:{server}", 1200)
    user = (await rig.house.views.user("ada")).id
    await rig.house.committer.execute(GROUPS, "g", CreateGroup(name="staff"), BY_TEST.follow())
    await rig.house.committer.execute(MEMBERS, f"g.{user}", AddMember(group="g", user=user), BY_TEST.follow())
    assert await rig.turn() == 1
    kinds = [await rig.kind(*which) for which in (("ada",), ("bob",), ("cleo",), ("cleo", "night"))]
    assert kinds == ["Running", "Stopping", "Running", "Running"]


@pytest.mark.parametrize("ours", IDLE, indirect=True)
async def test_who_was_just_heard_of_is_not_stopped_although_it_is_not_written_down(rig):
    server = await rig.runs("ada")
    rig.activities.heard(f"server:{server}")
    assert await rig.turn() == 0
    assert await rig.kind("ada") == "Running"


@pytest.mark.parametrize("ours", IDLE, indirect=True)
async def test_nobody_is_idle_whose_proxy_is_not_heard_of(rig):
    server = await rig.runs("ada")
    for silent in ("update activity set at = at - interval '5 h' where subject = 'proxy:p'", "delete from activity"):
        await rig.house.pool.execute(silent)
        assert await rig.turn() == 0
    told = await (await rig.house.ask("/hub/api/users/ada/server/end", "ada")).json()
    assert told["waits_for"] == "it is not known whether somebody is there"
    # One of two proxies is enough to have come by, even if it is given up for lost.
    await rig.house.committer.execute(PROXIES, "q", JoinProxy(proxy="q"), BY_TEST.follow())
    route = AddRoute(proxy="q", server=server, attempt=1, target="http://127.0.0.1:1")
    await rig.house.committer.execute(ROUTES, f"q.{server}", route, BY_TEST.follow())
    await rig.says("proxy:p", 0)
    await rig.says("proxy:q", 5 * HOUR)
    assert await rig.turn() == 0
    await rig.house.committer.execute(PROXIES, "q", LoseProxy(reason="silent"), BY_TEST.follow())
    assert await rig.turn() == 0
    await rig.house.pool.execute("update activity set at = at - interval '1 day' where subject = 'proxy:q'")
    assert await rig.turn() == 1  # for good, by now


@pytest.mark.parametrize("ours", IDLE, indirect=True)
async def test_nobody_is_idle_before_the_house_has_listened_for_as_long_as_servers_may_be_silent(rig):
    await rig.runs("ada")
    await rig.listens(300)
    assert await rig.turn() == 0
    await rig.house.pool.execute("update hearing set since = now() - interval '1 h', at = now() - interval '16 s'")
    assert await rig.turn() == 0  # there were no sweeps meanwhile: it begins anew
    assert await rig.house.pool.fetchval("select now() - since < interval '5 s' from hearing")
    await rig.listens(335)
    assert await rig.turn() == 1


@pytest.mark.parametrize("ours", [{"cull": {"longest": HOUR}}], indirect=True)
async def test_what_nobody_holds_or_whose_worker_is_silent_is_left_alone(rig):
    server = await rig.runs("ada")
    assert await rig.turn("w") == 0
    lost = LoseAttempt(attempt=1, worker="w", reason="silent", deadline=LATER)
    await rig.house.committer.execute(SERVERS, server, lost, BY_TEST.follow())
    assert await rig.turn() == 0
    assert await rig.kind("ada") == "Running"
    told = await (await rig.house.ask("/hub/api/users/ada/server/end", "ada")).json()
    assert (told["waits_for"], "It goes on for now" in told["message"]) == ("its worker is lost", True)


@pytest.mark.parametrize("ours", IDLE, indirect=True)
async def test_only_those_are_looked_at_of_which_it_may_be_time(rig):
    for name in ("", "a", "b"):
        server = await rig.runs("ada", name)
        await rig.says(f"server:{server}", HOUR - 30)
    assert await rig.culling.turn(()) == 0
    looks = [row[0] for row in await rig.house.pool.fetch("select look_at - now() from culls")]
    assert all(timedelta(seconds=25) < each < timedelta(seconds=35) for each in looks)
    await rig.says(f"server:{server}", 0)
    assert await rig.turn() == 0
    longest = await rig.house.pool.fetchval("select max(look_at) - now() from culls")
    assert timedelta(seconds=55) < longest <= timedelta(seconds=60)
    await rig.house.pool.execute("update servers set kind = 'Stopped' where id = $1", server)
    await rig.turn()
    assert await rig.house.pool.fetchval("select count(*) from culls") == 2


async def test_without_rules_a_sweep_does_not_even_look(rig):
    await rig.runs("ada")
    assert await rig.culling.turn(()) == 0
    assert await rig.house.pool.fetchval("select count(*) from culls") == 0


@pytest.mark.parametrize("ours", IDLE, indirect=True)
async def test_a_sweep_culls_and_what_proxies_tell_is_kept_when_it_is_answered(rig, house):
    class Nobody:
        async def keep(self) -> int:
            return 0

    server = await rig.runs("ada")
    sweeps = Sweeps(house.pool, house.committer, rig.bus, rig.options, rig.activities, Nobody())  # type: ignore[arg-type]
    told = Activity(routes={"/user/ada/": ago(60)}, told={"q": ago(5), "r": ago(-600)})
    await sweeps.activity("hub.rpc.activity.poller.p1", msgspec.json.encode(told))
    at = {row["subject"]: row["at"] for row in await house.pool.fetch("select subject, at from activity")}
    assert at[f"server:{server}"] == told.routes["/user/ada/"]
    assert at["proxy:q"] == told.told["q"]
    assert at["proxy:r"] <= datetime.now(UTC), "nobody knows what is yet to come"
    await house.pool.execute("update activity set at = at - interval '2 h' where subject = $1", f"server:{server}")
    assert (await sweeps.sweep("hub.rpc.sweep.poller.p1", msgspec.json.encode(Sweep()))).settled == 1


@pytest.mark.parametrize("ours", IDLE, indirect=True)
async def test_its_owner_is_told_when_and_why_and_can_put_it_off(rig, house):
    server = await rig.runs("ada", "lab")
    await rig.says(f"server:{server}", HOUR - 300)
    path = "/hub/api/users/ada/servers/lab"
    told = await (await house.ask(f"{path}/end", "ada")).json()
    left = datetime.fromisoformat(told["at"]) - datetime.now(UTC)
    assert timedelta(seconds=290) < left <= timedelta(seconds=300)
    assert told["message"] == "Nobody will have used it for 1 h by then."
    assert (told["keeps"], told["idle"], told["rule"], told["waits_for"]) == (True, HOUR, None, None)
    page = await (await house.ask("/hub/home", "ada")).text()
    assert "Nobody will have used it for 1 h by then." in page
    assert 'data-path="users/ada/servers/lab/keep"' in page
    assert 'data-clock="60"' in page

    assert (await house.ask(f"{path}/keep", "", "POST", await house.token("bob"))).status == 404
    kept = await (await house.ask(f"{path}/keep", "", "POST", await house.token("ada"))).json()
    assert datetime.fromisoformat(kept["at"]) - datetime.now(UTC) > timedelta(seconds=HOUR - 10)
    page = await (await house.ask("/hub/home", "ada")).text()
    assert "/keep" not in page
    assert '<p class="hint">It will be stopped on' in page


@pytest.mark.parametrize("ours", [{"cull": {"longest": 2 * HOUR, "idle": HOUR}}], indirect=True)
async def test_the_longest_life_cannot_be_put_off(rig, house):
    server = await rig.runs("ada", since=2 * HOUR - 60)
    await rig.says(f"server:{server}", 0)
    page = await (await house.ask("/hub/home", "ada")).text()
    assert "It will have run for 2 h by then, which is as long as it may." in page
    assert "/keep" not in page


@pytest.mark.parametrize("ours", IDLE, indirect=True)
async def test_a_browser_without_scripts_keeps_it_running(rig, house):
    server = await rig.runs("ada")
    await rig.says(f"server:{server}", HOUR - 60)
    fields = {"keep": "", "_xsrf": house.xsrf("ada")}
    assert (await house.ask("/hub/home", "ada", "POST", data=fields)).status == 302
    heard = await house.pool.fetchval("select now() - at from activity where subject = $1", f"server:{server}")
    assert heard < timedelta(seconds=10)
    assert await rig.kind("ada") == "Running"


@pytest.mark.parametrize("ours", IDLE, indirect=True)
async def test_administrators_see_when_and_why(rig, house):
    await house.person("root", admin=True)
    await rig.runs("ada")
    page = await (await house.ask("/hub/admin/users/ada", "root")).text()
    assert "Nobody will have used it for 1 h by then." in page


@pytest.mark.parametrize("ours", IDLE, indirect=True)
async def test_what_does_not_run_has_no_end_and_cannot_be_kept(rig, house):
    await house.server("ada", "lab")
    path = "/hub/api/users/ada/servers/lab"
    assert (await (await house.ask(f"{path}/end", "ada")).json())["at"] is None
    refused = await house.ask(f"{path}/keep", "", "POST", await house.token("ada"))
    assert refused.status == 400
    assert (await house.ask("/hub/api/users/ada/servers/none/end", "ada")).status == 404
