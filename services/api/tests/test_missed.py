"""Requests that reach the hub although they are for what runs and is routed: the proxies hear of it."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from aiohttp import ClientResponse
from traitlets.config import Config

from hubbub.config import Options
from hubbub.domain.proxy import JoinProxy
from hubbub.domain.route import AddRoute
from hubbub.domain.server_messages import ClaimAttempt, ReportResponded, ReportStarted, StartServer
from hubbub.route_messages import Missed
from hubbub.testing.eventually import eventually
from hubbub.views import PROXIES, ROUTES
from hubbub_api.keys import MISSES
from hubbub_api.misses import MANY, PAUSE, PAUSE_FOR_STRANGERS, Misses
from hubbub_api.pages import missed as pages
from hubbub_api.testing import BY_TEST

LATER = datetime.now(UTC) + timedelta(hours=1)
URL = "http://127.0.0.1:1"
RUNS = (
    ClaimAttempt(attempt=1, worker="w", host="h", token="t", deadline=LATER),
    ReportStarted(attempt=1, worker="w", url=URL, deadline=LATER),
    ReportResponded(attempt=1, worker="w", deadline=LATER, version="6.1.1"),
)
WEBSOCKET = {"Connection": "Upgrade", "Upgrade": "websocket"}


class Bus:
    """`said`: which servers were missed."""

    def __init__(self) -> None:
        self.said: list[str] = []

    async def signal(self, subject: str, message: Any) -> None:
        assert subject == "hub.missed"
        self.said.append(msgspec.json.decode(msgspec.json.encode(message), type=Missed).server)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def bus() -> Bus:
    return Bus()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def misses(bus: Bus, clock: Clock) -> Misses:
    return Misses(bus, clock)  # type: ignore[arg-type]


@pytest.fixture
def options() -> Options:
    services = [{"name": "web", "url": "http://127.0.0.1:2"}, {"name": "mute"}]
    return Options(Config({"JupyterHub": {"allow_named_servers": True, "services": services}}))


@pytest.fixture
async def missed(house, misses: Misses, bus: Bus, clock: Clock) -> Callable[[], list[str]]:
    """What was said since the last time; and what comes next may be said at once."""
    house.client.app._state[MISSES] = misses

    def news() -> list[str]:
        clock.now += 10
        said, bus.said = bus.said, []
        return said

    return news


async def ready(house, owner: str, name: str = "") -> str:
    await house.person(owner)
    prefix = f"/user/{owner}/{name}/" if name else f"/user/{owner}/"
    asked = StartServer(at=datetime.now(UTC), pool="default", prefix=prefix, deadline=LATER)
    server: str = await house.server(owner, name, asked, *RUNS)
    await house.committer.execute(PROXIES, "p", JoinProxy(proxy="p"), BY_TEST.follow())
    route = AddRoute(proxy="p", server=server, attempt=1, target=URL)
    await house.committer.execute(ROUTES, f"p.{server}", route, BY_TEST.follow())
    return server


def going(answer: ClientResponse) -> tuple[int, str]:
    return answer.status, answer.headers.get("Location", "")


# Saying so ------------------------------------------------------------------------------


async def test_each_server_is_named_as_often_as_proxies_look(misses: Misses, bus: Bus, clock: Clock):
    for _ in range(50):
        misses.say("s1")
        misses.say("s2")
    await eventually(lambda: bus.said == ["s1", "s2"])
    clock.now += PAUSE
    misses.say("s1")
    await eventually(lambda: bus.said == ["s1", "s2", "s1"])


async def test_strangers_have_one_turn_together(misses: Misses, clock: Clock):
    assert misses.is_strangers_turn()
    clock.now += PAUSE_FOR_STRANGERS / 2
    assert not misses.is_strangers_turn()
    clock.now += PAUSE_FOR_STRANGERS
    assert misses.is_strangers_turn()


async def test_however_many_are_missed_few_are_remembered(misses: Misses, bus: Bus, clock: Clock):
    for number in range(3 * MANY):
        misses.say(f"s{number}")
    assert len(misses._due) == MANY
    await eventually(lambda: len(bus.said) == MANY)
    clock.now += 1
    misses.say("s1")
    assert len(misses._due) == 1


# Requests -------------------------------------------------------------------------------


async def test_a_browser_is_sent_back_and_the_proxies_are_told(house, missed):
    server = await ready(house, "ada", "lab")
    assert going(await house.ask("/hub/user/ada/lab/tree?a=1", "ada")) == (302, "/user/ada/lab/tree?a=1&redirects=1")
    assert missed() == [server]
    assert going(await house.ask("/hub/user/ada/lab/tree?redirects=1", "ada"))[1] == "/user/ada/lab/tree?redirects=2"
    assert missed() == [server]
    # Who has come back too often is told so; who is not let in is not listened to.
    assert (await house.ask("/hub/user/ada/lab/tree?redirects=4", "ada")).status == 500
    assert missed() == [server]
    await house.person("bob")
    assert (await house.ask("/hub/user/ada/lab/tree", "bob")).status == 404
    assert (await house.ask("/hub/user/ada/lab/tree")).status == 302
    assert missed() == []


async def test_programs_are_answered_as_before_and_the_proxies_are_told(house, missed):
    server = await ready(house, "ada")
    token = await house.token("ada")
    assert going(await house.ask("/hub/user/ada/api/x", token=token))[0] == 302
    assert missed() == [server]
    for method in ("POST", "PATCH", "DELETE"):
        assert (await house.ask("/hub/user/ada/api/x", token=token, method=method)).status == 424
        assert missed() == [server]
    await house.person("bob")
    assert (await house.ask("/hub/user/ada/api/x", token=await house.token("bob"), method="POST")).status == 424
    assert missed() == []


async def test_what_does_not_run_is_missed_by_nobody(house, missed):
    await house.person("ada")
    asked = StartServer(at=datetime.now(UTC), pool="default", prefix="/user/ada/", deadline=LATER)
    await house.server("ada", "", asked)
    token = await house.token("ada")
    for path, method in (("/hub/user/ada/", "GET"), ("/hub/user/ada/x", "POST"), ("/user/ada/x", "POST")):
        await house.ask(path, token=token, method=method)
        assert missed() == []


@pytest.mark.parametrize(("method", "headers"), [("POST", {}), ("PUT", {}), ("DELETE", {}), ("GET", WEBSOCKET)])
async def test_what_cannot_be_led_anywhere_is_noted_at_the_address_it_comes_to(house, missed, method, headers):
    server = await ready(house, "ada", "lab")
    for path, named in (
        ("/user/ada/lab/api/x", [server]),
        ("/user/ada/l%61b/api/x", [server]),
        ("/services/web/x", ["service:web"]),
        ("/services/mute/x", []),
        ("/services/nobody/x", []),
        ("/user/nobody/x", []),
        ("/user/ada/other/x", []),
        ("/elsewhere/ada/lab", []),
    ):
        answer = await house.ask(path, method=method, headers=headers)
        if "elsewhere" not in path:
            assert answer.status == (302 if headers else 405)
        assert missed() == named, path


async def test_strangers_are_not_listened_to_all_the_time(house, bus: Bus, clock: Clock, missed):
    server = await ready(house, "ada")
    for _ in range(5):
        await house.ask("/user/ada/x", method="POST")
        clock.now += PAUSE_FOR_STRANGERS / 10
    assert bus.said == [server]


async def test_a_service_is_gone_back_to(house, missed):
    for who, path in (("", "/hub/services/web/x%20y?a=1"), ("ada", "/hub/services/web/x%20y?a=1")):
        if who:
            await house.person(who)
        assert going(await house.ask(path, who)) == (302, "/services/web/x%20y?a=1&redirects=1")
        assert missed() == ["service:web"]
    answer = await house.ask("/hub/services/web/?redirects=4")
    assert (answer.status, "There is no way to the service web" in await answer.text()) == (503, True)
    missed()
    for path in ("/hub/services/mute/", "/hub/services/nobody/", "/hub/services/"):
        assert (await house.ask(path)).status == 404
        assert missed() == []


async def test_the_second_time_comes_soon_the_others_later(monkeypatch):
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    for count in range(6):
        await pages.pause(count)
    assert slept == [pages.SOON, 4, 8, 10, 10]
