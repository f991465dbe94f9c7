"""One of several pollers leads and asks for sweeps, over a real bus, of an api that does as it is told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial

import msgspec
import pytest
from nats.aio.msg import Msg

from hubbub.bus import Bus, connect
from hubbub.rpc import Done
from hubbub.subjects import token
from hubbub.testing.nats import NatsServer
from hubbub.watch_messages import Activity, Heartbeat, Lease, Leased, Liveness, Sweep, Swept
from hubbub_poller.activity import Collector
from hubbub_poller.poller import Poller

LEASE = 0.6


class FakeApi:
    """Grants the lease to *leader* alone, and remembers what it was asked for."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.leader = "poller-1"
        self.swept = Swept()
        self.sweeps: list[tuple[str, Sweep]] = []
        self.activity: dict[str, datetime] = {}
        self.handed: list[Activity] = []
        self.liveness: list[tuple[str, bool]] = []
        self.failing = False
        self._news = asyncio.Condition()

    async def answer(self) -> None:
        for verb in (self._lease, self._sweep, self._activity):
            await self.bus.answer(f"hub.rpc.{verb.__name__[1:]}.poller.*", partial(self._count, verb), queue="api")
        await self.bus.listen("hub.liveness.>", self._on_liveness)
        await self.bus.arrived()

    async def until(self, is_true: Callable[[], bool]) -> None:
        async with asyncio.timeout(10), self._news:
            await self._news.wait_for(is_true)

    def lost(self) -> set[str]:
        return {name for _, sweep in self.sweeps for name in sweep.lost}

    async def _count(
        self, verb: Callable[[str, bytes], Awaitable[msgspec.Struct]], subject: str, payload: bytes
    ) -> msgspec.Struct:
        async with self._news:
            self._news.notify_all()
            if self.failing:
                raise RuntimeError("the database is down")
            return await verb(subject.rpartition(".")[2], payload)

    async def _lease(self, name: str, payload: bytes) -> Leased:
        lease = msgspec.json.decode(payload, type=Lease)
        return Leased(granted=(name, lease.name, lease.seconds) == (self.leader, "poller", LEASE))

    async def _sweep(self, name: str, payload: bytes) -> Swept:
        self.sweeps.append((name, msgspec.json.decode(payload, type=Sweep)))
        return self.swept

    async def _activity(self, _: str, payload: bytes) -> Done:
        said = msgspec.json.decode(payload, type=Activity)
        self.handed.append(said)
        self.activity |= said.routes
        return Done()

    async def _on_liveness(self, message: Msg) -> None:
        async with self._news:
            alive = msgspec.json.decode(message.data, type=Liveness).alive
            self.liveness.append((message.subject.removeprefix("hub.liveness."), alive))
            self._news.notify_all()


Begin = Callable[..., Awaitable[Poller]]


@pytest.fixture
async def api(nats: NatsServer) -> AsyncIterator[FakeApi]:
    async with connect(nats.url("api"), "api-1") as bus:
        api = FakeApi(bus)
        await api.answer()
        yield api


@pytest.fixture
async def begin(nats: NatsServer) -> AsyncIterator[Begin]:
    """Runs pollers, each with a connection of its own, until the end of the test."""
    async with AsyncExitStack() as ends:

        async def run(name: str = "poller-1") -> Poller:
            bus = await ends.enter_async_context(connect(nats.url("poller"), name))
            poller = Poller(bus, name, LEASE)
            collector = Collector(bus, poller)
            await poller.listen()
            await collector.listen()
            for work in (poller.run(), poller.tick(), poller.follow_reconnects(), collector.run(0.05)):
                ends.callback(asyncio.ensure_future(work).cancel)
            return poller

        yield run


@pytest.fixture
async def worker(nats: NatsServer) -> AsyncIterator[Bus]:
    async with connect(nats.url("pool-default"), "w") as bus:
        yield bus


async def _beat(bus: Bus, name: str) -> None:
    await beat(bus, f"hub.heartbeat.spawner-worker.{name}", "spawner-worker", name)


async def beat(bus: Bus, subject: str, service: str, name: str) -> None:
    while True:
        await bus.signal(subject, Heartbeat(service=service, name=name))
        await asyncio.sleep(LEASE / 8)


async def test_only_the_leader_asks_for_sweeps(api: FakeApi, begin: Begin) -> None:
    await begin("poller-2")
    first = await begin("poller-1")
    await api.until(lambda: len(api.sweeps) > 3)
    assert {"poller-1"} == {name for name, _ in api.sweeps}
    assert first.leads


async def test_when_the_leader_is_gone_another_sweeps(api: FakeApi, begin: Begin) -> None:
    first = await begin("poller-1")
    await begin("poller-2")
    await api.until(lambda: bool(api.sweeps))
    api.leader = "poller-2"
    await api.until(lambda: not first.leads and ("poller-2", Sweep()) in api.sweeps)


async def test_a_silent_worker_is_lost_then_gone_and_one_that_beats_is_not(
    api: FakeApi, begin: Begin, worker: Bus
) -> None:
    await begin()
    await api.until(lambda: bool(api.sweeps))
    beating, dying = (asyncio.create_task(_beat(worker, name)) for name in ("w1", "w2"))
    await api.until(lambda: {("spawner-worker.w1", True), ("spawner-worker.w2", True)} <= set(api.liveness))
    dying.cancel()
    await api.until(lambda: any(sweep.gone for _, sweep in api.sweeps))
    assert {"w2"} == api.lost()
    # Nobody counts on it: it is forgotten.
    seen = len(api.sweeps)
    await api.until(lambda: len(api.sweeps) > seen + 1)
    assert api.sweeps[-1][1].lost == ()
    assert [said for said in api.liveness if not said[1]] == [("spawner-worker.w2", False)]
    beating.cancel()


async def test_those_the_house_counts_on_are_lost_although_never_heard_of(api: FakeApi, begin: Begin) -> None:
    api.swept = Swept(holders=("w9",), proxies=("p9",))
    await begin()
    await api.until(lambda: any(sweep.lost == ("w9",) and sweep.lost_proxies == ("p9",) for _, sweep in api.sweeps))
    assert (api.sweeps[0][1].lost, api.sweeps[0][1].lost_proxies) == ((), ())


async def test_those_with_dots_in_their_names_are_heard_like_everybody(
    api: FakeApi, begin: Begin, worker: Bus, nats: NatsServer
) -> None:
    """As those have that are called after their hosts; the house knows them by the names in subjects."""
    held = token("w.one"), token("p.one")
    api.swept = Swept(holders=held[:1], proxies=held[1:])
    await begin()
    async with connect(nats.url("proxy-sync"), "p.one") as proxy:
        beats = [
            asyncio.create_task(beat(bus, f"hub.heartbeat.{service}.{token(said)}", service, name))
            for bus, service, said, name in (
                (worker, "spawner-worker", "w.one", token("w.one")),
                (proxy, "proxy-sync", "p.one", "p.one"),
            )
        ]
        both = {(f"spawner-worker.{held[0]}", True), (f"proxy-sync.{held[1]}", True)}
        await api.until(lambda: both <= set(api.liveness))
        seen = len(api.sweeps)
        await api.until(lambda: len(api.sweeps) > seen + 8)  # longer than a lease
        assert api.lost() == set()
        assert all(sweep.lost_proxies == () for _, sweep in api.sweeps)
        for task in beats:
            task.cancel()


async def test_while_the_house_does_not_answer_nobody_loses_a_lease(api: FakeApi, begin: Begin, worker: Bus) -> None:
    poller = await begin()
    beating = asyncio.create_task(_beat(worker, "w1"))
    await api.until(lambda: ("spawner-worker.w1", True) in api.liveness)
    asked = len(api.sweeps)
    api.failing = True
    beating.cancel()
    # Longer than a lease, in questions that failed.
    failures = 0

    def failed_often() -> bool:
        nonlocal failures
        failures += 1
        return failures > 6

    await api.until(failed_often)
    assert not poller.leads
    api.failing = False
    await api.until(lambda: len(api.sweeps) > asked)
    assert set() == api.lost()
    await api.until(lambda: api.lost() == {"w1"})


async def test_after_the_bus_was_away_nobody_is_lost_at_once(
    api: FakeApi, begin: Begin, worker: Bus, nats: NatsServer
) -> None:
    poller = await begin()
    beating = asyncio.create_task(_beat(worker, "w1"))
    await api.until(lambda: ("spawner-worker.w1", True) in api.liveness)
    nats.kill()
    async with asyncio.timeout(10):
        while poller.leads:
            await asyncio.sleep(LEASE / 8)
    seen = len(api.sweeps)
    await asyncio.to_thread(nats.start)
    await api.until(lambda: len(api.sweeps) > seen + 3)
    assert set() == api.lost()
    beating.cancel()


async def test_nonsense_is_no_sign_of_life(api: FakeApi, begin: Begin, worker: Bus) -> None:
    await begin()
    await api.until(lambda: bool(api.sweeps))
    await worker.client.publish("hub.heartbeat.spawner-worker.w1", b"nonsense")
    await worker.signal("hub.heartbeat.spawner-worker.w1", Heartbeat(service="spawner-worker", name="another"))
    await worker.signal("hub.heartbeat.spawner-worker.w2", Heartbeat(service="spawner-worker", name="w2"))
    await api.until(lambda: bool(api.lost()))
    assert {"w2"} == api.lost()


async def test_activity_is_gathered_and_handed_on(api: FakeApi, begin: Begin, nats: NatsServer) -> None:
    await begin()
    await api.until(lambda: bool(api.sweeps))
    early, late = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    async with connect(nats.url("proxy-sync"), "p") as proxy:
        await proxy.client.publish("hub.activity", b"nonsense")
        await proxy.signal("hub.activity", Activity(routes={"/user/ada/": late, "/user/bob/": early}))
        await proxy.signal("hub.activity", Activity(routes={"/user/ada/": early}))
        await proxy.client.flush()
        await api.until(lambda: len(api.activity) == 2)
    assert {"/user/ada/": late, "/user/bob/": early} == api.activity


async def test_until_when_a_proxy_has_said_all_is_handed_on_with_the_last_of_it(
    api: FakeApi, begin: Begin, nats: NatsServer
) -> None:
    """Also when what it said was no news; not before every page of it has come."""
    poller = await begin()
    await api.until(lambda: poller.leads)
    early, noon, late = (datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 3))
    ada, bob = {"/user/ada/": early}, {"/user/bob/": early}
    async with connect(nats.url("proxy-sync"), "p") as proxy:
        await proxy.signal("hub.activity", Activity(routes=ada, proxy="p", at=noon, page=0, pages=2))
        await api.until(lambda: "/user/ada/" in api.activity)
        assert not [said for said in api.handed if said.told]
        await proxy.signal("hub.activity", Activity(routes=bob, proxy="p", at=noon, page=1, pages=2))
        await api.until(lambda: any(said.told for said in api.handed))
        assert [said for said in api.handed if said.told] == [Activity(routes=bob, told={"p": noon})]
        await proxy.signal("hub.activity", Activity(routes={**ada, **bob}, proxy="p", at=late, page=0, pages=1))
        await api.until(lambda: api.handed[-1].told == {"p": late})
        assert api.handed[-1].routes == {}
