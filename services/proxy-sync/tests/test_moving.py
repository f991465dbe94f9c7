"""A proxy that is moved: proxy-sync goes there, says how that went, and finds it there again."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import uuid4

import pytest

from hubbub.bus import Bus, connect
from hubbub.route_messages import Compare, Moved
from hubbub.testing.eventually import eventually
from hubbub.testing.nats import NatsServer
from hubbub_proxy_sync.comparing import Comparing
from hubbub_proxy_sync.moving import Moving
from hubbub_proxy_sync.proxies.fake import FakeProxy
from hubbub_proxy_sync.proxies.proxy import RouteRefused
from hubbub_proxy_sync.sync import Sync
from hubbub_proxy_sync.testing import FakeHouse, server

NAME = "proxy.one"  # as a host may be called; in subjects proxy%2eone
THERE = Moved(id="m1", api_url="http://10.0.0.9:8001")


class Elsewhere(FakeProxy):
    """`places`: address and token, in the order it was moved to. `fixed`: it cannot be. `deserted`: nobody is there."""

    def __init__(self) -> None:
        super().__init__()
        self.places: list[tuple[str, str]] = []
        self.fixed = False
        self.deserted: set[str] = set()

    async def answers_at(self, api_url: str, token: str) -> bool:
        return api_url not in self.deserted

    async def move(self, api_url: str, token: str) -> None:
        if self.fixed:
            raise RouteRefused("a proxy of this kind cannot be moved")
        self.places.append((api_url, token))
        self.routes = {}


class Rig:
    """One proxy-sync, but for its process."""

    def __init__(self, bus: Bus, proxy: Elsewhere, mark: Path) -> None:
        self.sync = Sync(bus, proxy, NAME)
        self.comparing = Comparing(bus, self.sync, NAME)
        self.moving = Moving(bus, proxy, self.sync, self.comparing, NAME, mark)

    async def listen(self) -> None:
        await self.sync.listen()
        await self.comparing.listen()


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "run" / "moved.json"


@pytest.fixture
async def bus(nats: NatsServer) -> AsyncIterator[Bus]:
    async with connect(nats.url("proxy-sync"), NAME) as bus:
        yield bus


@pytest.fixture
async def begin(bus: Bus, mark: Path) -> AsyncIterator[Callable[..., object]]:
    async with AsyncExitStack() as ends:

        async def run(proxy: Elsewhere) -> Rig:
            rig = Rig(bus, proxy, mark)
            await rig.listen()
            await rig.moving.before_start()
            for work in (rig.sync.run(), rig.moving.run(), rig.comparing.run()):
                ends.callback(asyncio.ensure_future(work).cancel)
            return rig

        yield run


async def moves(house: FakeHouse, where: Moved, secret: str = "") -> None:
    house.moved, house.secret = where, secret
    await house.happens("ProxyMoved", "proxy%2eone", kind="proxy")


def said(house: FakeHouse, id: str) -> list[str]:
    return [each.problem for each in house.compared if each.id == id]


async def test_it_goes_where_the_house_says_with_all_its_routes(house: FakeHouse, begin) -> None:
    house.wanted["ada"] = server("ada")
    proxy = Elsewhere()
    await begin(proxy)
    await house.until(lambda: house.joined > 0)
    assert proxy.places == []
    await moves(house, THERE, "token-of-the-other")
    await house.until(lambda: bool(house.compared))
    assert proxy.places == [(THERE.api_url, "token-of-the-other")]
    assert {"/", "/extra/", "/user/ada/"} == proxy.routes.keys()
    assert said(house, "m1") == [""]


async def test_the_next_one_begins_there(house: FakeHouse, begin, mark: Path) -> None:
    await begin(Elsewhere())
    await moves(house, THERE, "token-of-the-other")
    await house.until(lambda: bool(house.compared))
    assert mark.read_text() == f'{{"api_url":"{THERE.api_url}"}}'  # noqa: ASYNC240
    successor = Elsewhere()
    mover = await begin(successor)
    assert successor.places == [(THERE.api_url, "token-of-the-other")]
    assert mover.moving._id == "m1"


async def test_one_that_does_not_know_that_it_was_moved_is_told_all_the_same(house: FakeHouse, begin) -> None:
    house.moved = THERE
    proxy = Elsewhere()
    await begin(proxy)
    await house.until(lambda: bool(house.compared))
    assert proxy.places == [(THERE.api_url, "")]


async def test_a_move_that_was_not_heard_is_found_out(house: FakeHouse, begin) -> None:
    proxy = Elsewhere()
    await begin(proxy)
    await house.until(lambda: house.joined > 0)
    house.moved = THERE
    await house.happens("ProxyMoved", "proxy%2eone", unheard=True, kind="proxy")
    await house.happens("ServerResponded", "ada")  # whose position tells that something was missed
    await house.until(lambda: bool(house.compared))
    assert proxy.places == [(THERE.api_url, "")]


async def test_what_cannot_be_moved_stays_and_says_so(house: FakeHouse, begin, mark: Path) -> None:
    proxy = Elsewhere()
    proxy.fixed = True
    await begin(proxy)
    await house.until(lambda: house.joined > 0)
    await moves(house, THERE)
    await house.until(lambda: bool(house.compared))
    assert said(house, "m1") == ["a proxy of this kind cannot be moved"]
    assert not mark.exists()  # noqa: ASYNC240
    house.moved, joined = Moved(), house.joined  # which the api does then
    house.wanted["ada"] = server("ada")
    await house.happens("ServerResponded", "ada")
    await house.until(lambda: bool(house.told_of("ada")))
    assert joined <= house.joined
    assert "/user/ada/" in proxy.routes


async def test_where_nobody_answers_it_does_not_go(house: FakeHouse, begin) -> None:
    proxy = Elsewhere()
    proxy.deserted = {THERE.api_url}
    await begin(proxy)
    await house.until(lambda: house.joined > 0)
    await moves(house, THERE)
    await house.until(lambda: bool(said(house, "m1")))
    assert said(house, "m1") == ["The proxy at http://10.0.0.9:8001 does not answer, or not to this token"]
    assert proxy.places == []
    # If the api has died before it could take that back, this goes there when it can.
    proxy.deserted = set()
    await house.bus.signal("hub.compare", Compare(id="any"))
    await house.until(lambda: "" in said(house, "m1"))
    assert proxy.places == [(THERE.api_url, "")]
    assert {"/", "/extra/"} == proxy.routes.keys()


async def test_where_it_was_it_is_looked_for_whether_it_answers_or_not(house: FakeHouse, begin) -> None:
    """Another one must not be started meanwhile, where it was once configured."""
    await begin(Elsewhere())
    await moves(house, THERE)
    await house.until(lambda: bool(house.compared))
    successor = Elsewhere()
    successor.deserted = {THERE.api_url}
    await begin(successor)
    assert successor.places == [(THERE.api_url, "")]


async def test_a_wish_to_compare_has_come_true_when_it_is_said(house: FakeHouse, begin) -> None:
    house.wanted["ada"] = server("ada")
    proxy = Elsewhere()
    await begin(proxy)
    await house.until(lambda: house.joined > 0)
    for _ in range(3):
        proxy.routes.clear()
        wish = uuid4().hex
        await house.bus.signal("hub.compare", Compare(id=wish))
        await house.until(lambda wish=wish: bool(said(house, wish)))
        assert {"/", "/extra/", "/user/ada/"} == proxy.routes.keys()


async def test_as_long_as_anything_is_refused_it_has_not(house: FakeHouse, begin) -> None:
    proxy = Elsewhere()
    proxy.refuses = {"/user/bob/"}
    house.wanted["bob"] = server("bob")
    await begin(proxy)
    await house.bus.signal("hub.compare", Compare(id="waits"))
    await eventually(lambda: proxy.calls.count(("add", "/user/bob/")) > 1, 5)
    assert house.compared == []
    proxy.refuses = set()
    await house.until(lambda: bool(said(house, "waits")))
    assert "/user/bob/" in proxy.routes
