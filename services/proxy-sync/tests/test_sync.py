"""The loop, over a real bus, against an api and a proxy that do as they are told."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import msgspec
import pytest

from hubbub.bus import Bus, connect
from hubbub.route_messages import Wanted
from hubbub.testing.nats import NatsServer
from hubbub.watch_messages import Activity, Head, Heartbeat
from hubbub_proxy_sync import activity
from hubbub_proxy_sync.proxies.fake import FakeProxy
from hubbub_proxy_sync.sync import Sync
from hubbub_proxy_sync.testing import FakeHouse, server

NAME = "proxy-sync-1"
Begin = Callable[[FakeProxy], Awaitable[Sync]]


@pytest.fixture
async def bus(nats: NatsServer) -> AsyncIterator[Bus]:
    async with connect(nats.url("proxy-sync"), NAME) as bus:
        yield bus


@pytest.fixture
async def begin(bus: Bus) -> AsyncIterator[Begin]:
    """Runs a Sync for a proxy until the end of the test."""
    async with AsyncExitStack() as ends:

        async def run(proxy: FakeProxy) -> Sync:
            sync = Sync(bus, proxy, NAME)
            await sync.listen()
            for work in (sync.run(), proxy.watch(sync.refill), sync.follow_reconnects()):
                ends.callback(asyncio.ensure_future(work).cancel)
            return sync

        yield run


async def test_the_first_reconcile_makes_the_proxy_right_and_joins(house: FakeHouse, begin: Begin) -> None:
    house.wanted |= {name: server(name) for name in ("ada", "bob", "cleo")}
    proxy = FakeProxy()
    await proxy.add_route("/user/bob/", "http://127.0.0.1:1", {"server_id": "bob", "attempt": 1})
    await proxy.add_route("/user/zoe/", "http://127.0.0.1:2", {"server_id": "zoe", "attempt": 3})
    await begin(proxy)
    await house.until(lambda: house.joined > 0)
    assert {"/", "/extra/", "/user/ada/", "/user/bob/", "/user/cleo/"} == proxy.routes.keys()
    assert {"http://127.0.0.1:4000"} == {proxy.routes[f"/user/{name}/"]["target"] for name in ("ada", "bob", "cleo")}
    told = {report.server: (report.attempt, report.target) for report in house.told}
    here = (1, "http://127.0.0.1:4000")
    hub = (0, "http://127.0.0.1:8081")
    assert {"hub": hub, "ada": here, "bob": here, "cleo": here, "zoe": (3, None)} == told


async def test_a_server_that_responds_is_routed_and_one_that_stops_is_not(house: FakeHouse, begin: Begin) -> None:
    proxy = FakeProxy()
    await begin(proxy)
    await house.until(lambda: house.joined > 0)
    house.wanted["ada"] = server("ada")
    await house.happens("ServerResponded", "ada")
    await house.until(lambda: house.told_of("ada") == ["http://127.0.0.1:4000"])
    assert proxy.routes["/user/ada/"]["data"] == {"user": "ada", "server_name": "", "server_id": "ada", "attempt": 1}
    del house.wanted["ada"]
    await house.happens("StopRequested", "ada")
    await house.until(lambda: len(house.told_of("ada")) == 2)
    assert "/user/ada/" not in proxy.routes
    assert [house.asked[0], house.asked[-1]] == [None, ("ada",)]
    assert [report.reason for report in house.told if report.server == "ada"] == ["missing", "not wanted"]
    assert {"a" * 32} == {report.traceparent[3:35] for report in house.told if report.server == "ada"}


async def test_a_server_that_moves_is_routed_to_where_it_is(house: FakeHouse, begin: Begin) -> None:
    house.wanted |= {"ada": server("ada"), "bob": server("bob")}
    proxy = FakeProxy()
    await begin(proxy)
    await house.until(lambda: house.joined > 0)
    house.wanted["ada"] = server("ada", port=5000)
    await house.happens("ServerMoved", "ada")
    await house.until(lambda: len(house.told_of("ada")) == 2)
    assert house.told_of("ada") == ["http://127.0.0.1:4000", "http://127.0.0.1:5000"]
    assert [report.reason for report in house.told if report.server == "ada"][-1] == "wrong target"
    assert proxy.routes["/user/ada/"]["target"] == "http://127.0.0.1:5000"
    assert (house.asked[-1], house.told_of("bob")) == (("ada",), ["http://127.0.0.1:4000"])


async def test_events_that_nobody_is_routed_by_ask_nothing(house: FakeHouse, begin: Begin) -> None:
    await begin(FakeProxy())
    await house.until(lambda: house.joined > 0)
    asked = len(house.asked)
    await house.happens("ServerStarted", "ada")
    await house.happens("UserCreated", "ada", kind="user")
    await house.bus.client.publish("hub.event.server.ada", b"nonsense")
    await house.bus.client.publish("hub.heartbeat.log", b"nonsense")
    await house.happens("ServerStopped", "bob")
    await house.until(lambda: house.told_of("bob") == [None])
    assert house.asked[asked:] == [("bob",)]


async def test_a_crowd_is_asked_for_together(house: FakeHouse, begin: Begin) -> None:
    proxy = FakeProxy()
    await begin(proxy)
    await house.until(lambda: house.joined > 0)
    house.wanted |= {f"u{number}": server(f"u{number}", port=4000 + number) for number in range(50)}
    house.failing = 2
    for number in range(50):
        await house.happens("ServerResponded", f"u{number}")
    await house.until(lambda: len(house.told) == 51)
    assert len(proxy.routes) == 52
    assert len(proxy.calls) == 52


@pytest.mark.parametrize("notice", ["a later event", "the head"])
async def test_a_missed_event_is_made_up_for(house: FakeHouse, begin: Begin, notice: str) -> None:
    proxy = FakeProxy()
    await begin(proxy)
    await house.until(lambda: house.joined > 0)
    house.wanted["ada"] = server("ada")
    await house.happens("ServerResponded", "ada", unheard=True)
    if notice == "the head":
        await house.beat()
        await house.beat()
    else:
        await house.happens("UserCreated", "eve", kind="user")
    await house.until(lambda: house.told_of("ada") == ["http://127.0.0.1:4000"])
    assert "/user/ada/" in proxy.routes


async def test_the_house_may_ask_for_a_reconcile(house: FakeHouse, begin: Begin) -> None:
    proxy = FakeProxy()
    await begin(proxy)
    await house.until(lambda: house.joined == 1)
    proxy.routes.clear()
    await house.bus.signal("hub.heartbeat.log", Head(epoch="", position=0))
    await house.until(lambda: house.joined == 2)
    assert {"/", "/extra/"} == proxy.routes.keys()


async def test_a_proxy_that_returns_empty_is_filled_again(house: FakeHouse, begin: Begin) -> None:
    house.wanted |= {name: server(name) for name in ("ada", "bob")}
    proxy = FakeProxy()
    await begin(proxy)
    await house.until(lambda: house.joined == 1)
    proxy.up = False
    proxy.routes.clear()
    await house.happens("ServerResponded", "ada")
    proxy.up = True
    proxy.returned.set()
    await house.until(lambda: house.joined > 1)
    assert {"/", "/extra/", "/user/ada/", "/user/bob/"} == proxy.routes.keys()


async def test_a_proxy_that_is_down_at_first_is_filled_when_it_comes(house: FakeHouse, begin: Begin) -> None:
    proxy = FakeProxy()
    proxy.up = False
    sync = await begin(proxy)
    await house.happens("ServerResponded", "ada")
    assert not sync.joined.is_set()
    proxy.up = True
    await house.until(lambda: house.joined > 0)


async def test_one_route_that_is_refused_keeps_none_of_the_others_away(house: FakeHouse, begin: Begin) -> None:
    house.wanted |= {name: server(name) for name in ("ada", "bob")}
    house.wanted["dots"] = Wanted(server="dots", attempt=1, spec="/user/../", target="http://127.0.0.1:6")
    proxy = FakeProxy()
    proxy.refuses = {"/user/ada/"}
    await begin(proxy)
    await house.until(lambda: house.told_of("bob") == ["http://127.0.0.1:4000"])
    assert (house.joined, house.told_of("ada")) == (0, [])
    proxy.refuses = set()
    await house.until(lambda: house.joined > 0)
    assert house.told_of("ada") == ["http://127.0.0.1:4000"]


async def test_after_the_bus_was_away_everything_is_told_again(
    house: FakeHouse, begin: Begin, nats: NatsServer
) -> None:
    house.wanted["ada"] = server("ada")
    sync = await begin(FakeProxy())
    await sync.joined.wait()
    nats.kill()
    house.wanted["bob"] = server("bob")
    await asyncio.to_thread(nats.start)
    await house.until(lambda: house.joined > 1)
    assert [len(house.told_of(name)) for name in ("ada", "bob")] == [2, 1]


async def test_a_proxy_given_up_for_lost_joins_again(house: FakeHouse, begin: Begin) -> None:
    house.wanted["ada"] = server("ada")
    await begin(FakeProxy())
    await house.until(lambda: house.joined == 1)
    await house.happens("ProxyLost", "another", kind="proxy")
    await house.happens("ProxyLost", NAME, kind="proxy")
    await house.until(lambda: house.joined == 2)
    assert len(house.told_of("ada")) == 2


async def test_a_route_that_somebody_removed_is_noticed_and_news_of_the_others_told(
    house: FakeHouse, begin: Begin, bus: Bus
) -> None:
    house.wanted |= {name: server(name) for name in ("ada", "bob")}
    proxy, heard = FakeProxy(), asyncio.Queue[dict[str, object]]()
    sync = await begin(proxy)
    await house.until(lambda: house.joined == 1)
    del proxy.routes["/user/bob/"]
    proxy.routes["/user/ada/"]["data"]["last_activity"] = "2026-01-02T03:04:05.678Z"
    proxy.routes["/"]["data"]["last_activity"] = "2026-01-02T03:04:05.678Z"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bus, "signal", lambda subject, message: heard.put({subject: message}))
        tasks = [
            asyncio.create_task(activity.report(bus, sync, every=0.01)),
            asyncio.create_task(activity.beat(bus, proxy, NAME, lease=0.1)),
        ]
        signals = [await heard.get(), await heard.get()]
        [task.cancel() for task in tasks]
    await house.until(lambda: house.joined == 2)
    assert "/user/bob/" in proxy.routes
    expected = {"/user/ada/": "2026-01-02T03:04:05.678000Z"}
    sent = [message for signal in signals for message in signal.values()]
    assert [expected] == [json.loads(msgspec.json.encode(m))["routes"] for m in sent if isinstance(m, Activity)]
    assert [m.name for m in sent if isinstance(m, Heartbeat)] == [NAME]


async def test_a_service_that_comes_is_routed_and_one_that_goes_is_not(house: FakeHouse, begin: Begin) -> None:
    proxy = FakeProxy()
    await begin(proxy)
    await house.until(lambda: house.joined > 0)
    lab = Wanted(
        server="service:7", attempt=0, spec="/services/lab/", target="http://127.0.0.1:5", data={"service": "lab"}
    )
    house.wanted["service:7"] = lab
    await house.happens("ServiceRegistered", "7", kind="service")
    await house.until(lambda: house.told_of("service:7") == ["http://127.0.0.1:5"])
    assert proxy.routes["/services/lab/"]["data"]["service"] == "lab"
    del house.wanted["service:7"]
    await house.happens("ServiceRemoved", "7", kind="service")
    await house.until(lambda: house.told_of("service:7") == ["http://127.0.0.1:5", None])
    assert "/services/lab/" not in proxy.routes
    assert house.asked[-2:] == [("service:7",), ("service:7",)]
