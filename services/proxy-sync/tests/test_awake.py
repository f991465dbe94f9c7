"""Who was stopped, for however short a time, hears what has happened before anything is carried out."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from hubbub.bus import connect
from hubbub.route_messages import Wanted
from hubbub.testing.nats import NatsServer
from hubbub_proxy_sync import awake
from hubbub_proxy_sync.awake import Awake
from hubbub_proxy_sync.changes import Changes, Plan
from hubbub_proxy_sync.proxies.fake import FakeProxy
from hubbub_proxy_sync.stopwatch import Stopwatch
from hubbub_proxy_sync.table import Table
from hubbub_proxy_sync.testing import server


class Slow:
    """A bus that has news for us, which are heard before it answers. `asked`: how often it was."""

    def __init__(self, *news: Callable[[], None]) -> None:
        self.connected = True
        self.asked = 0
        self.client = self
        self._news = news

    async def flush(self, _: float) -> None:
        self.asked += 1
        for each in self._news:
            each()


def awake_on(bus: Any) -> Awake:
    return Awake(bus)


def plan(made: Awake, *routes: Wanted) -> Plan:
    return Plan(wanted={route.spec: route for route in routes}, found={}, traces={}, naps=made.naps())


async def test_what_the_bus_still_has_for_us_is_heard_before_a_page_is_sent():
    dirty: dict[str, str] = {}
    bus = Slow(lambda: dirty.setdefault("ada", ""))
    proxy, made = FakeProxy(), awake_on(bus)
    changes = Changes(proxy, Table(), made, dirty, Stopwatch())
    done = await changes.make(plan(made, server("ada"), server("bob")))
    assert (proxy.routes.keys(), done.left, done.overtaken) == ({"/user/bob/"}, {"ada"}, False)


@pytest.mark.parametrize("how", ["gone", "silent"])
async def test_without_a_bus_nothing_of_a_plan_is_carried_out(monkeypatch: pytest.MonkeyPatch, how: str):
    monkeypatch.setattr(awake, "NAP", 0.2)
    bus = Slow()
    bus.connected = how != "gone"
    bus.flush = lambda _: asyncio.sleep(3600)  # type: ignore[method-assign]
    proxy, made = FakeProxy(), awake_on(bus)
    changes = Changes(proxy, Table(), made, {}, Stopwatch())
    done = await changes.make(plan(made, server("ada"), server("bob")))
    assert (proxy.calls, done.left, done.overtaken) == ([], {"ada", "bob"}, True)


async def test_news_that_were_missed_are_like_a_nap():
    made = awake_on(Slow())
    proxy, planned = FakeProxy(), plan(made, server("ada"))
    made.missed()
    done = await Changes(proxy, Table(), made, {}, Stopwatch()).make(planned)
    assert (proxy.calls, done.overtaken) == ([], True)


async def test_who_has_just_heard_the_bus_does_not_ask_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(awake, "FRESH", 3600.0)
    bus = Slow()
    made = awake_on(bus)
    made._heard -= 7200
    await made.abreast()
    await made.abreast()
    assert bus.asked == 1
    made._heard -= 7200
    await made.abreast()
    assert bus.asked == 2


async def test_who_was_stopped_while_the_answer_came_asks_once_more(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(awake, "FRESH", 0.0)
    bus = Slow()
    await awake_on(bus).abreast()
    assert bus.asked == 2


PUBLISHER = """
import asyncio, sys, nats
async def main():
    client = await nats.connect(sys.argv[1])
    for number in range(3000):
        await client.publish("hub.event.server.ada", b"x" * 200)
    await client.flush()
asyncio.run(main())
"""


async def test_of_a_real_bus_all_is_heard_that_was_sent_while_we_were_stopped(nats: NatsServer):
    heard: list[int] = []

    async def hear(_: Any) -> None:
        heard.append(1)

    async with connect(nats.url("proxy-sync"), "proxy-sync-1") as bus:
        made = Awake(bus)
        await bus.listen("hub.event.>", hear)
        await bus.arrived()
        await made.abreast()
        subprocess.run([sys.executable, "-c", PUBLISHER, nats.url("api")], check=True)  # noqa: ASYNC221  (that stops us)
        assert heard == []
        naps = -1
        while naps != made.naps():  # a bus that takes long to answer is a nap: what is not yet heard may be anything
            naps = made.naps()
            await made.abreast()
        assert len(heard) == 3000
