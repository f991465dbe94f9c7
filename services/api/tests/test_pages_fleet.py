"""The admin room's places of the fleet: what each shows, to whom, and which way out it offers."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from types import SimpleNamespace
from typing import Any

import asyncpg
import msgspec
import pytest

from hubbub.domain.house import PauseStarts, PutBanner
from hubbub.domain.proxy import JoinProxy, Mended, MoveProxy, NoteCorrections
from hubbub.domain.route import AddRoute
from hubbub.domain.server_messages import (
    ClaimAttempt,
    CreateServer,
    ForceStop,
    LoseAttempt,
    ReportResponded,
    ReportStarted,
    StartServer,
    StopServer,
)
from hubbub.domain.service import RegisterService, Spec
from hubbub.eventlog import Context
from hubbub.views import PROXIES, ROUTES, SERVERS, SERVICES
from hubbub.watch_messages import Heartbeat
from hubbub_api import drains, keys
from hubbub_api import house as house_api

PLACES = ("", "/workers", "/queue", "/routes", "/stuck", "/house")
LATER = datetime.now(UTC) + timedelta(hours=1)
BY_TEST = Context.of("test")


def start(**more: Any) -> StartServer:
    about: dict[str, Any] = {"pool": "default", "prefix": "/user/x/", "deadline": LATER, "retries": 0}
    return StartServer(at=datetime.now(UTC), **{**about, **more})


def claim(**more: Any) -> ClaimAttempt:
    return ClaimAttempt(**{"attempt": 1, "worker": "w1", "host": "h", "token": "t", "deadline": LATER, **more})


UP = (
    ReportStarted(attempt=1, worker="w1", url="http://127.0.0.1:1", deadline=LATER),
    ReportResponded(attempt=1, worker="w1", deadline=LATER),
)


async def shown(house: Any, place: str, who: str = "root") -> str:
    """The words of a page, with one space between them; `[way]` for a button and what it asks."""
    answer = await house.ask(f"/hub/admin{place}", who)
    assert answer.status == 200, await answer.text()
    text = (await answer.text()).partition('<div class="place">')[2]
    text = re.sub(r'<button[^>]*data-send="(\w+)" data-path="([^"]*)"[^>]*>', r"[\1 \2] ", text)
    return " ".join(unescape(re.sub(r"<(?!/?dialog)[^>]*>", " ", text)).split())


async def hear(house: Any, which: Any, name: str, **about: Any) -> None:
    """A heartbeat."""
    beat = Heartbeat(service="spawner-worker", name=name, pool="default", host="h", **about)
    message = SimpleNamespace(subject=f"hub.heartbeat.x.{name}", data=msgspec.json.encode(beat))
    await house.client.server.app[which].hear(message)


async def long_ago(database: Any, server: str, *, left: float) -> None:
    """It came into its state an hour ago, and has *left* seconds to leave it."""
    connection = await asyncpg.connect(database.owner_dsn)
    await connection.execute(
        "update events e set recorded_at = now() - interval '1 hour' from servers s "
        "where s.id = $1 and e.position = s.position",
        server,
    )
    await connection.execute(
        "update servers set deadline = now() + $2::interval where id = $1", server, timedelta(seconds=left)
    )
    await connection.close()


@pytest.mark.parametrize("place", PLACES)
async def test_a_place_is_for_operators(house, place):
    await house.person("root", admin=True)
    await house.person("ada")
    assert (await house.ask(f"/hub/admin{place}", "root")).status == 200
    assert (await house.ask(f"/hub/admin{place}", "ada")).status == 403
    assert (await house.ask(f"/hub/admin{place}")).headers["Location"].startswith("/hub/login")


async def test_the_overview_counts_what_there_is(house):
    await house.person("root", admin=True)
    for name, reports in (("up", (claim(), *UP)), ("starting", (claim(),)), ("waiting", ())):
        await house.server("root", name, start(), *reports)
    await hear(house, keys.COLLEAGUES, "w1")
    text = await shown(house, "")
    for words in (
        "1 People",
        "1 Running",
        "1 Starting",
        "0 Stopping",
        "1 Waiting",
        "1 Workers",
        "3 Starts in the last",
    ):
        assert words in text
    assert "1 Stuck" not in text
    await house_api.change(house.client.server.app, "test", PauseStarts(at=datetime.now(UTC), reason="a move"))
    assert "New starts are paused: a move." in await shown(house, "")


# The queue ------------------------------------------------------------------------------------


async def test_who_waits_stands_in_the_order_of_turns_with_a_way_out(house):
    await house.person("root", admin=True)
    for name in ("ada", "bob"):
        await house.person(name)
    bob = (await house.views.user("bob")).id
    await house.server("ada", "one", start(asker=bob))
    await house.server("ada", "two", start(asker=bob))
    await house.server("ada", "", start())
    text = await shown(house, "/queue")
    assert "3 waiting There is no worker in this pool." in text
    rows = re.findall(r"(\d) (ada\S*) (\S+) \S+ \S+ \S+ \d+ \w+, [\d:]+ \[DELETE (\S+)\] Cancel", text)
    assert rows == [
        ("1", "ada/one", "bob", "users/ada/servers/one"),
        ("2", "ada", "themselves", "users/ada/server"),
        ("3", "ada/two", "bob", "users/ada/servers/two"),
    ]


WATCHERS = [{"name": "watcher", "scopes": ["admin-ui"], "users": ["wim"]}]


@pytest.mark.parametrize("options", [{"load_roles": WATCHERS}], indirect=True)
async def test_an_operator_who_may_not_stop_servers_has_no_button_for_it(house, database):
    await house.person("root", admin=True)
    await house.person("wim")
    await house.settle(load_roles=WATCHERS)
    await long_ago(database, await house.server("root", "", start()), left=600)
    for place in ("/queue", "/stuck", "/routes"):
        assert "[" in await shown(house, place)
        assert "[" not in await shown(house, place, "wim")


@pytest.mark.parametrize(
    ("beats", "why"),
    [
        ({"capacity": 1, "starts": 5}, "Its workers are full: they hold 1 servers, and may hold 1."),
        ({"starts": 1}, "Its workers start 1 servers, as many as they may at once."),
        ({"starts": 5}, "A worker is about to take the next ones."),
    ],
)
async def test_what_they_wait_for_is_said(house, beats, why):
    await house.person("root", admin=True)
    await house.server("root", "held", start(), claim())
    await house.server("root", "", start())
    await hear(house, keys.COLLEAGUES, "w1", **beats)
    assert why in await shown(house, "/queue")
    await drains.drain(house.client.server.app, "test", "w1", None, "")
    assert "Its workers are being drained: none of them takes anything." in await shown(house, "/queue")


@pytest.mark.parametrize("ours", [{"queue_spawns": True}], indirect=True)
@pytest.mark.parametrize("options", [{"concurrent_spawn_limit": 1, "allow_named_servers": True}], indirect=True)
async def test_they_wait_for_the_limit(house):
    await house.person("root", admin=True)
    await house.server("root", "held", start(), claim())
    await house.server("root", "", start())
    await hear(house, keys.COLLEAGUES, "w1")
    assert "1 starts are under way, as many as there may be at once." in await shown(house, "/queue")


async def test_what_an_earlier_start_keeps_back_has_no_place(house):
    await house.person("root", admin=True)
    lost = LoseAttempt(attempt=1, worker="w1", reason="gone", deadline=LATER)
    await house.server("root", "", start(), claim(reach="pool"), lost, start())
    text = await shown(house, "/queue")
    assert "0 waiting" in text
    assert "Kept back" in text
    assert "\N{EN DASH} root themselves" in text


@pytest.mark.parametrize("query", ["offset=x", "offset=-1", f"offset={10**20}"])
@pytest.mark.parametrize("place", ["queue", "routes"])
async def test_a_part_that_there_cannot_be_is_refused(house, place, query):
    await house.person("root", admin=True)
    assert (await house.ask(f"/hub/admin/{place}?{query}", "root")).status == 400


# Routes ---------------------------------------------------------------------------------------


async def routed(house: Any, server: str, target: str = "http://127.0.0.1:1", attempt: int = 1) -> None:
    added = AddRoute(proxy="p", server=server, attempt=attempt, target=target)
    await house.committer.execute(ROUTES, f"p.{server}", added, BY_TEST.follow())


async def test_what_differs_stands_first(house):
    await house.person("root", admin=True)
    await house.committer.execute(PROXIES, "p", JoinProxy(proxy="p"), BY_TEST.follow())
    await routed(house, await house.server("root", "right", start(), claim(), *UP))
    await routed(house, await house.server("root", "elsewhere", start(), claim(), *UP), "http://127.0.0.1:9")
    await routed(house, await house.server("root", "gone", start(), claim()))
    await house.server("root", "missing", start(), claim(), *UP)
    await routed(house, "hub", house.client.server.app[keys.FORMS]._options.hub_connect_url, attempt=0)
    text = await shown(house, "/routes")
    assert "3 differ" in text
    places = [
        text.index(words) for words in ("root/elsewhere p Leads", "root/missing p Miss", "root/gone p Not wanted")
    ]
    assert places == sorted(places)
    assert places[-1] < text.index("The hub p As wanted") < text.index("root/right p As wanted")
    assert "root/elsewhere p Leads elsewhere http://127.0.0.1:1 http://127.0.0.1:9" in text
    assert "root/missing p Missing http://127.0.0.1:1 nowhere" in text
    assert "root/gone p Not wanted nowhere http://127.0.0.1:1" in text
    assert "[POST proxy] Compare now" in text

    found = await shown(house, "/routes?q=MISS&state=different")
    assert "1 to 1 of 1" in found
    assert "root/missing" in found
    assert "No route is like that." in await shown(house, "/routes?q=%25")


async def test_a_route_that_leads_to_an_earlier_attempt_is_wrong(house):
    await house.person("root", admin=True)
    await house.committer.execute(PROXIES, "p", JoinProxy(proxy="p"), BY_TEST.follow())
    await routed(house, await house.server("root", "", start(), claim(), *UP), attempt=7)
    assert "root p Leads elsewhere" in await shown(house, "/routes?q=root")


async def test_a_service_that_was_registered_has_a_route(house):
    await house.person("root", admin=True)
    await house.committer.execute(PROXIES, "p", JoinProxy(proxy="p"), BY_TEST.follow())
    spec = Spec(name="announcer", url="http://127.0.0.1:7")
    await house.committer.execute(SERVICES, "s1", RegisterService(spec=spec), BY_TEST.follow())
    assert "Service registered as s1 p Missing http://127.0.0.1:7 nowhere" in await shown(house, "/routes")


async def test_proxies_say_how_they_are(house):
    await house.person("root", admin=True)
    for command in (
        JoinProxy(proxy="p"),
        MoveProxy(proxy="p", api_url="http://192.0.2.1:8001"),
        NoteCorrections(
            proxy="p", reason="looked", count=1, routes=(Mended(server="hub", found=None, made="http://127.0.0.1:1"),)
        ),
    ):
        await house.committer.execute(PROXIES, "p", command, BY_TEST.follow())
    await hear(house, keys.PROXY_SYNCS, "late")
    text = await shown(house, "/routes")
    assert re.search(r"late Has not joined under 1 s ago where it is configured 0", text)
    assert re.search(r"p Silent since \d+ \w+, [\d:]+ not since this api began moved to http://192.0.2.1:8001 0", text)
    await hear(house, keys.PROXY_SYNCS, "p")
    assert "p Joined since" in await shown(house, "/routes")
    assert re.search(r"Corrected lately .* \(looked\)", text)


# What is stuck --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reports", "left", "said"),
    [
        ((), 600, "root Starting It has waited for a worker for 60 min. In 10 min it is given up. [DELETE"),
        ((claim(),), 600, "A worker has been starting it for 60 min. In 10 min it is given up. [DELETE"),
        ((claim(), UP[0]), 600, "It was started 60 min ago, and does not answer yet."),
        ((claim(), *UP), 600, "no proxy has a route to it. In 10 min it is stopped, unless a route is made."),
        ((claim(), *UP), 600, "[DELETE users/root/server] Stop : root [POST proxy] Compare routes"),
        ((claim(), *UP, StopServer(deadline=LATER)), 60, "nobody has seen its end. In 60 s it is taken for stopped."),
        ((claim(), *UP, StopServer(deadline=LATER)), 60, "[POST users/root/server/force-stop] Wait no longer"),
        ((claim(),), -300, "It should have been given up 5 min ago: does a poller run?"),
    ],
)
async def test_what_is_slow_says_so_and_has_a_way_out(house, database, reports, left, said):
    await house.person("root", admin=True)
    server = await house.server("root", "", start(), *reports)
    assert "Nothing is stuck." in await shown(house, "/stuck")
    await long_ago(database, server, left=left)
    assert said in await shown(house, "/stuck")
    assert "1 Stuck" in await shown(house, "")


async def test_a_running_server_with_a_route_is_not_stuck(house, database):
    await house.person("root", admin=True)
    server = await house.server("root", "", start(), claim(), *UP)
    await house.route(server)
    await long_ago(database, server, left=-100)
    assert "Nothing is stuck." in await shown(house, "/stuck")


async def test_a_server_whose_worker_is_silent_is_listed(house, monkeypatch):
    await house.person("root", admin=True)
    await house.server("root", "", start(), claim(), *UP)
    await hear(house, keys.COLLEAGUES, "w1")
    assert "Nothing is stuck." in await shown(house, "/stuck")
    monkeypatch.setattr(house.client.server.app[keys.COLLEAGUES], "_lease", -1.0)
    text = await shown(house, "/stuck")
    assert "Its worker w1 is silent. The server itself may well run on." in text
    assert "[DELETE users/root/server] Stop : root" in text


async def test_a_server_without_a_worker_says_who_may_take_it(house):
    await house.person("root", admin=True)
    lost = LoseAttempt(attempt=1, worker="w1", reason="gone", deadline=LATER)
    await house.server("root", "", start(), claim(reach="pool"), *UP, lost)
    text = await shown(house, "/stuck")
    assert "waits for another worker of the pool default to take it over." in text
    assert "it is given up as crashed." in text


async def test_what_is_left_can_be_ended_adopted_or_forgotten(house):
    await house.person("root", admin=True)
    stopped = (StopServer(deadline=LATER), ForceStop())
    server = await house.server("root", "lab", start(), claim(reach="pool"), *UP, *stopped)
    text = await shown(house, "/stuck")
    assert re.search(
        r"root/lab start 1 It was given up .* ago \(an admin would not wait\), and nobody has seen its", text
    )
    assert "It is ended as soon as there is any worker of the pool default." in text
    for way in ("POST {} Try again now", "POST {} Make it the server again", "DELETE {} Forget it"):
        method, path, title = way.format(f"orphans/{server}/1").split(" ", 2)
        assert f"[{method} {path}] {title}" in text


# Workers and the house ------------------------------------------------------------------------


async def test_a_worker_shows_what_it_holds_and_that_it_is_drained(house):
    await house.person("root", admin=True)
    await house.server("root", "", start(), claim(), *UP)
    await hear(house, keys.COLLEAGUES, "w1", machine="alpha", version="1.2.3", capacity=20)
    listed = await shown(house, "/workers")
    assert "default 1 1" in listed
    assert re.search(r"w1 default Up alpha 1\.2\.3 under 1 s ago 1 of 20", listed)
    text = await shown(house, "/workers/w1")
    assert "root Running" in text
    assert "[DELETE users/root/server] Stop root" in text
    assert "Let it take work again" not in text
    app = house.client.server.app
    await drains.drain(app, "test", "w1", datetime.now(UTC) + timedelta(minutes=15, seconds=20), "More memory.")
    text = await shown(house, "/workers/w1")
    assert re.search(r"Draining Since .* UTC it takes nothing more\. What it still has is stopped in 15 min", text)
    assert "More memory." in text
    assert "[DELETE workers/w1/drain] Let it take work again" in text
    assert (await house.ask("/hub/admin/workers/nobody", "root")).status == 404


async def test_the_banner_is_on_every_page(house):
    await house.person("root", admin=True)
    await house.person("ada")
    app = house.client.server.app
    put = PutBanner(at=datetime.now(UTC), text="Away <on> Friday", kind="warning", until=None)
    await house_api.change(app, "test", put)
    for path, who in (("/hub/home", "ada"), ("/hub/admin/house", "root")):
        text = await (await house.ask(path, who)).text()
        assert '<p class="banner warning" role="status">Away &lt;on&gt; Friday</p>' in text
    assert "[PATCH house] Take it down" in await shown(house, "/house")


async def test_a_pause_says_why(house):
    await house.person("root", admin=True)
    assert "Everybody may start servers." in await shown(house, "/house")
    await house_api.change(house.client.server.app, "test", PauseStarts(at=datetime.now(UTC), reason="a move"))
    text = await shown(house, "/house")
    assert "“a move” [PATCH house] Resume starts" in text


async def test_a_managed_service_that_waits_is_named(house):
    await house.person("root", admin=True)
    await house.committer.execute(SERVERS, "managed:x", CreateServer(user="", name="announcer"), BY_TEST.follow())
    await house.committer.execute(SERVERS, "managed:x", start(), BY_TEST.follow())
    text = await shown(house, "/queue")
    assert "Service announcer the hub" in text
    assert "[DELETE" not in text
