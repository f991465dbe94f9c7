"""Laws of the loop: whatever happens in whatever order, the proxy has what is wanted soon after, by the fewest changes.

Time is not waited for here but jumped over, so that hours of a proxy-sync's life are a matter of milliseconds.
"""

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import msgspec
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hubbub.bus import BusUnavailable
from hubbub.domain.route import plan
from hubbub_proxy_sync.proxies.fake import FakeProxy
from hubbub_proxy_sync.proxies.proxy import ProxyRoute
from hubbub_proxy_sync.sync import Sync
from hubbub_proxy_sync.testing import FakeHouse, server

NAMES = ("ada", "bob", "cleo", "dan")
PORTS = (4000, 4001, 4002)
THEIRS = ("/theirs/", "/user/ada/theirs/")
#: Seconds that a word takes, and a change in the proxy.
HOP, CALL = 0.001, 0.003
#: Seconds in which everything is right again: what was changed behind our back; after failures, by which pauses grow.
SOON, LATER = 2.0, 6.0


class Jump(selectors.SelectSelector):
    """Waits for nothing: the time for which it should have waited is over."""

    now = 1000.0

    def select(self, timeout: float | None = None) -> Any:
        assert timeout is not None, "nobody will ever do anything again"
        self.now += timeout
        return super().select(0)


def live(life: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run it on a clock of its own."""
    selector = Jump()
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.now  # type: ignore[method-assign]
    try:
        with patch("time.monotonic", lambda: selector.now):
            loop.run_until_complete(asyncio.wait_for(life(), 3600))
    finally:
        loop.close()


@dataclass
class Word:
    subject: str
    data: bytes
    headers: dict[str, str]


@dataclass
class Wire:
    """A bus in memory: between one house and one proxy-sync. `deaf`: whether words are lost."""

    deaf: bool = False
    reconnected: asyncio.Event = field(default_factory=asyncio.Event)
    heard: dict[str, Callable[[Any], Awaitable[None]]] = field(default_factory=dict)
    answers: dict[str, Callable[[str, bytes], Awaitable[Any]]] = field(default_factory=dict)

    @property
    def js(self) -> "Wire":
        return self

    @property
    def client(self) -> "Wire":
        return self

    @property
    def connected(self) -> bool:
        return not self.deaf

    async def flush(self, _: float) -> None:
        await asyncio.sleep(2 * HOP)

    async def ensure_streams(self, streams: object) -> None:
        pass

    async def arrived(self) -> None:
        pass

    async def answer(self, subject: str, handler: Callable[[str, bytes], Awaitable[Any]], *, queue: str) -> None:
        self.answers[subject.rpartition(".")[0]] = handler

    async def listen(self, subject: str, callback: Callable[[Any], Awaitable[None]]) -> None:
        self.heard[subject.removesuffix(">")] = callback

    async def publish(self, subject: str, payload: bytes, headers: dict[str, str]) -> None:
        await asyncio.sleep(HOP)
        if not self.deaf:
            for beginning, callback in self.heard.items():
                if subject.startswith(beginning):
                    await callback(Word(subject, payload, headers))

    async def signal(self, subject: str, message: msgspec.Struct) -> None:
        await self.publish(subject, msgspec.json.encode(message), {})

    async def ask_until_answered(self, subject: str, message: msgspec.Struct, reply: Any, *, timeout: float) -> Any:
        pause = 0.1
        while True:
            try:
                return await self._ask(subject, message, reply, timeout)
            except (RuntimeError, BusUnavailable):
                await asyncio.sleep(pause)
                pause = min(pause * 2, 2.0)

    async def _ask(self, subject: str, message: msgspec.Struct, reply: Any, timeout: float) -> Any:
        await asyncio.sleep(HOP)
        answer = (
            None if self.deaf else await self.answers[subject.rpartition(".")[0]](subject, msgspec.json.encode(message))
        )
        if answer is None:
            await asyncio.sleep(timeout)
            raise BusUnavailable(subject)
        await asyncio.sleep(HOP)
        return msgspec.json.decode(msgspec.json.encode(answer), type=reply)


class SlowProxy(FakeProxy):
    """Others have routes there, too. `touched`: what was changed of theirs."""

    def __init__(self, at_once: int) -> None:
        super().__init__()
        self.at_once = at_once
        self.touched: list[str] = []

    def _asked(self, verb: str, routespec: str) -> str:
        self.touched += [routespec] if routespec in THEIRS else []
        return super()._asked(verb, routespec)

    async def add_route(self, *given: Any) -> None:
        await asyncio.sleep(CALL)
        await super().add_route(*given)
        await asyncio.sleep(CALL)

    async def delete_route(self, routespec: str) -> None:
        await asyncio.sleep(CALL)
        await super().delete_route(routespec)
        await asyncio.sleep(CALL)

    async def get_all_routes(self) -> dict[str, ProxyRoute]:
        found = await super().get_all_routes()
        await asyncio.sleep(CALL)
        return found


class World:
    def __init__(self, at_once: int) -> None:
        self.wire = Wire()
        self.house = FakeHouse(self.wire, page=3)  # type: ignore[arg-type]
        self.proxy = SlowProxy(at_once)
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "World":
        await self.house.answer()
        sync = Sync(self.wire, self.proxy, "proxy-sync-1")  # type: ignore[arg-type]
        await sync.listen()
        for work in (sync.run(), self.proxy.watch(sync.refill), sync.follow_reconnects(), self._beats()):
            self._tasks.append(asyncio.ensure_future(work))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        ended = await asyncio.gather(*self._tasks, return_exceptions=True)
        assert [error for error in ended if not isinstance(error, asyncio.CancelledError)] == []

    async def _beats(self) -> None:
        while True:
            await asyncio.sleep(1)
            await self.house.beat()

    # What may happen ------------------------------------------------------------------------

    async def starts(self, name: str, port: int, *, unheard: bool = False) -> None:
        before = self.house.wanted.get(name)
        self.house.wanted[name] = server(name, before.attempt + 1 if before else 1, port=port)
        await self.house.happens("ServerResponded", name, unheard=unheard)

    async def stops(self, name: str, *, unheard: bool = False) -> None:
        if self.house.wanted.pop(name, None):
            await self.house.happens("StopRequested", name, unheard=unheard)

    async def starts_unheard(self, name: str, port: int) -> None:
        await self.starts(name, port, unheard=True)

    async def stops_unheard(self, name: str) -> None:
        await self.stops(name, unheard=True)

    async def deleted(self, name: str) -> None:
        self.proxy.routes.pop(f"/user/{name}/", None)

    async def put(self, name: str, port: int) -> None:
        spec, data = f"/user/{name}/", {"server_id": name, "attempt": 1}
        self.proxy.routes[spec] = ProxyRoute(routespec=spec, target=f"http://127.0.0.1:{port}", data=data)

    async def wiped(self) -> None:
        self.proxy.routes.clear()

    async def died(self) -> None:
        self.proxy.up = False
        self.proxy.routes.clear()

    async def hung(self) -> None:
        self.proxy.up = False

    async def returned(self) -> None:
        self.proxy.up = True
        self.proxy.returned.set()

    async def refuses(self, name: str) -> None:
        self.proxy.refuses ^= {f"/user/{name}/"}

    async def fails(self) -> None:
        self.house.failing = 2

    async def silent(self) -> None:
        self.house.silent = not self.house.silent

    async def cut(self) -> None:
        self.wire.deaf = True

    async def joined(self) -> None:
        self.wire.deaf = False
        self.wire.reconnected.set()

    async def healed(self) -> None:
        self.house.failing, self.house.silent = 0, False
        self.proxy.refuses = set()
        if not self.proxy.up:
            await self.returned()
        if self.wire.deaf:
            await self.joined()

    # What has to be true --------------------------------------------------------------------

    def wanted(self) -> dict[str, str]:
        return {f"{route.spec.rstrip('/')}/": route.target for route in self.house.wanted.values()}

    def found(self) -> dict[str, str]:
        return {spec: route["target"] for spec, route in self.proxy.routes.items()}

    def believed(self) -> dict[str, str]:
        """What the house has been told, by server."""
        last = {report.server: report.target for report in self.house.told}
        return {server: target for server, target in last.items() if target}

    async def right(self, seconds: float) -> None:
        async with asyncio.timeout(seconds):
            while self.found() != self.wanted():
                await asyncio.sleep(HOP)


names, ports = st.sampled_from(NAMES), st.sampled_from(PORTS)
behind = st.one_of(
    st.tuples(st.just("deleted"), names),
    st.tuples(st.just("put"), st.sampled_from([*NAMES, "zoe"]), ports),
    st.tuples(st.just("wiped")),
)
happenings = st.one_of(
    st.tuples(st.sampled_from(["starts", "starts_unheard"]), names, ports),
    st.tuples(st.sampled_from(["stops", "stops_unheard"]), names),
    behind,
    st.tuples(st.sampled_from(["died", "hung", "returned", "fails", "silent", "cut", "joined", "healed"])),
    st.tuples(st.just("refuses"), names),
)
pauses = st.sampled_from([0, HOP, 3 * HOP, CALL, 3 * CALL, 0.05, 0.3, 1.1, 3.0])


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(happenings, pauses), max_size=25), st.sampled_from([1, 3]))
@example([(("starts", "ada", 4000), 0.3), (("stops", "ada"), 0), (("starts", "bob", 4000), 0), (("wiped",), 0)], 1)
def test_whatever_happens_the_proxy_is_right_soon_after(
    story: list[tuple[tuple[Any, ...], float]], at_once: int
) -> None:
    async def life() -> None:
        async with World(at_once) as world:
            for (what, *whom), pause in story:
                await getattr(world, what)(*whom)
                await asyncio.sleep(pause)
            await world.healed()
            await world.right(LATER)
            await asyncio.sleep(LATER)
            calls = len(world.proxy.calls)
            await asyncio.sleep(120)
            assert world.found() == world.wanted()
            assert calls == len(world.proxy.calls), "what is right is left alone"
            assert world.believed() == {name: route.target for name, route in _reported(world).items()}
            assert world.proxy.touched == []

    live(life)


def _reported(world: World) -> dict[str, Any]:
    return {name: route for name, route in world.house.wanted.items() if not name.startswith("extra:")}


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(names, ports),
    st.lists(behind, min_size=1, max_size=6),
    st.floats(min_value=0, max_value=5),
    st.sampled_from([1, 3]),
)
def test_what_is_changed_behind_our_back_is_set_right_in_time_by_no_more_than_it_takes(
    running: dict[str, int], changed: list[tuple[Any, ...]], pause: float, at_once: int
) -> None:
    async def life() -> None:
        world = World(at_once)
        for name, port in running.items():
            world.house.wanted[name] = server(name, port=port)
        async with world:
            await world.right(LATER)
            await asyncio.sleep(LATER + pause)
            world.proxy.calls.clear()
            for what, *whom in changed:
                await getattr(world, what)(*whom)
            needed = list(plan(world.wanted(), world.found()))
            await world.right(SOON)
            await asyncio.sleep(LATER)
            made = [("delete" if change.target is None else "add", change.spec) for change in needed]
            assert sorted(world.proxy.calls) == sorted(made)
            assert sum(corrected.count for corrected in world.house.corrected) == len(needed)

    live(life)
