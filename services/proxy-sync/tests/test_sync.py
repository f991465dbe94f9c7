"""The loop, over a real bus, against an api and a proxy that do as they are told."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, ClassVar

import msgspec
import pytest

from hubbub.bus import Bus, connect
from hubbub.route_messages import Wanted
from hubbub.testing.nats import NatsServer
from hubbub.watch_messages import Activity, Heartbeat
from hubbub_proxy_sync import activity, looks
from hubbub_proxy_sync.proxies.fake import FakeProxy
from hubbub_proxy_sync.proxies.proxy import Failures, Overtaken, ProxyRoute
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


async def test_who_waits_for_a_reconcile_waits_until_the_proxy_is_right(house: FakeHouse, begin: Begin) -> None:
    proxy = FakeProxy()
    sync = await begin(proxy)
    await house.until(lambda: house.joined == 1)
    proxy.routes.clear()
    await sync.compare("asked for")
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


async def test_news_of_routes_and_that_the_proxy_is_there_are_told(house: FakeHouse, begin: Begin, bus: Bus) -> None:
    house.wanted |= {name: server(name) for name in ("ada", "bob")}
    proxy, heard = FakeProxy(), asyncio.Queue[object]()
    sync = await begin(proxy)
    await house.until(lambda: house.joined == 1)
    for spec in ("/user/ada/", "/"):
        proxy.routes[spec]["data"]["last_activity"] = "2026-01-02T03:04:05.678Z"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bus, "signal", lambda _, message: heard.put(message))
        told = [
            asyncio.create_task(activity.report(bus, sync, NAME, every=0.01)),
            asyncio.create_task(activity.beat(bus, proxy, NAME, lease=60)),
        ]
        async with asyncio.timeout(10):
            sent = [await heard.get()]
            # It is told as it is from the next look on.
            while not (isinstance(sent[-1], Activity) and sent[-1].routes):
                sent.append(await heard.get())
        [task.cancel() for task in told]
    expected = {"/user/ada/": "2026-01-02T03:04:05.678000Z"}
    heard_of = [json.loads(msgspec.json.encode(m)) for m in sent if isinstance(m, Activity)]
    assert (expected, NAME) == (heard_of[-1]["routes"], heard_of[-1]["proxy"])
    assert [m.name for m in sent if isinstance(m, Heartbeat)] == [NAME]


async def test_what_was_changed_behind_our_back_is_found_put_right_and_told(house: FakeHouse, begin: Begin) -> None:
    house.wanted |= {name: server(name) for name in ("ada", "bob", "cleo")}
    proxy = FakeProxy()
    await begin(proxy)
    await house.until(lambda: house.joined == 1)
    before, calls = dict(proxy.routes), len(proxy.calls)
    del proxy.routes["/user/bob/"]
    proxy.routes["/user/cleo/"] = ProxyRoute(routespec="/user/cleo/", target="http://127.0.0.1:9", data={})
    proxy.routes["/user/zoe/"] = ProxyRoute(routespec="/user/zoe/", target="http://127.0.0.1:9", data={})
    await house.until(lambda: bool(house.corrected))
    assert before.keys() == proxy.routes.keys()
    assert proxy.routes["/user/cleo/"]["target"] == "http://127.0.0.1:4000"
    assert {("add", "/user/bob/"), ("add", "/user/cleo/"), ("delete", "/user/zoe/")} == set(proxy.calls[calls:])
    [corrected] = house.corrected
    assert (corrected.reason, corrected.count) == ("routes differ", 3)
    here = "http://127.0.0.1:4000"
    assert {("bob", None, here), ("", "http://127.0.0.1:9", here), ("", "http://127.0.0.1:9", None)} >= {
        (made.server if made.spec == "/user/bob/" else "", made.found, made.made) for made in corrected.routes
    }
    assert [len(house.told_of(name)) for name in ("ada", "bob")] == [1, 1]  # for all that the log knows it was there


async def test_what_could_not_be_put_right_is_not_told_as_if_it_had_been(house: FakeHouse, begin: Begin) -> None:
    house.wanted |= {name: server(name) for name in ("ada", "bob")}
    proxy = FakeProxy()
    await begin(proxy)
    await house.until(lambda: house.joined == 1)
    proxy.refuses = {"/user/ada/"}
    proxy.routes = {"/": proxy.routes["/"], "/extra/": proxy.routes["/extra/"]}
    await house.until(lambda: bool(house.corrected))
    proxy.refuses = set()
    await house.until(lambda: len(house.corrected) == 2)
    assert [["bob"], ["ada"]] == [[made.server for made in each.routes] for each in house.corrected]
    assert [1, 1] == [each.count for each in house.corrected]


async def test_what_happens_meanwhile_is_no_correction(house: FakeHouse, begin: Begin) -> None:
    proxy = FakeProxy()
    sync = await begin(proxy)
    await house.until(lambda: house.joined == 1)
    house.wanted["ada"] = server("ada")
    await house.happens("ServerResponded", "ada")
    sync.refill("the test")
    await house.until(lambda: house.told_of("ada") == ["http://127.0.0.1:4000"])
    assert house.corrected == []


async def test_who_comes_to_the_hub_instead_has_it_looked_at_once(
    house: FakeHouse, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looks, "LEAST", 3600.0)
    monkeypatch.setattr(looks, "MOST", 3600.0)
    house.wanted["ada"] = server("ada")
    proxy = FakeProxy()
    await begin(proxy)
    await house.until(lambda: house.joined == 1)
    del proxy.routes["/user/ada/"]
    await house.bus.client.publish("hub.missed", b"{}")
    await house.until(lambda: house.joined == 2)
    assert "/user/ada/" in proxy.routes


@pytest.mark.parametrize("error", [KeyError("theirs"), TimeoutError()])
async def test_a_class_that_fails_in_its_own_way_is_tried_again(
    house: FakeHouse, begin: Begin, error: Exception
) -> None:
    class Theirs(FakeProxy):
        failing = 1

        async def add_route(self, routespec: str, target: str, data: Mapping[str, Any]) -> None:
            if self.failing:
                self.failing -= 1
                raise error
            await super().add_route(routespec, target, data)

    await begin(Theirs())
    await house.until(lambda: house.joined == 1)


async def test_many_routes_go_to_a_proxy_that_takes_many_together(house: FakeHouse, begin: Begin) -> None:
    class Crowd(FakeProxy):
        at_once = 20
        sizes: ClassVar[list[int]] = []

        async def change_routes(self, wanted: Sequence[ProxyRoute], unwanted: Sequence[str]) -> Failures:
            self.sizes.append(len(wanted) + len(unwanted))
            return await super().change_routes(wanted, unwanted)

    house.wanted |= {f"u{number}": server(f"u{number}") for number in range(58)}
    proxy = Crowd()
    proxy.refuses = {"/user/u3/"}
    await begin(proxy)
    await house.until(lambda: len(house.told) == 58)
    assert (proxy.sizes[:3], house.joined, len(proxy.routes)) == ([20, 20, 20], 0, 59)
    proxy.refuses = set()
    await house.until(lambda: house.joined == 1)


async def test_what_others_have_changed_meanwhile_is_looked_at_anew(house: FakeHouse, begin: Begin) -> None:
    class Shared(FakeProxy):
        overtaken = 0
        at_once = 20

        async def change_routes(self, wanted: Sequence[ProxyRoute], unwanted: Sequence[str]) -> Failures:
            if self.overtaken:
                self.overtaken -= 1
                self.routes["/user/bob/"] = next(each for each in wanted if each["routespec"] == "/user/bob/")
                raise Overtaken("another was quicker")
            return await super().change_routes(wanted, unwanted)

    proxy = Shared()
    await begin(proxy)
    await house.until(lambda: house.joined == 1)
    proxy.overtaken = 1
    proxy.calls.clear()
    house.wanted |= {name: server(name) for name in ("ada", "bob")}
    house.head += 1  # one is not heard of, so that all are asked for
    await house.happens("ServerResponded", "ada")
    await house.until(lambda: bool(house.told_of("ada") and house.told_of("bob")))
    assert proxy.calls == [("add", "/user/ada/")]
    assert [house.told_of(name) for name in ("ada", "bob")] == [["http://127.0.0.1:4000"]] * 2


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
