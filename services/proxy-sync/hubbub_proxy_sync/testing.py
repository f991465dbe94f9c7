"""An api for tests: it wants what it is told to want, and remembers what it hears."""

import asyncio
from collections.abc import Callable

import msgspec
from nats.aio.msg import Msg

from hubbub.bus import STREAMS, Bus
from hubbub.route_messages import (
    Compared,
    Corrected,
    Moved,
    Routed,
    RouteReport,
    Routes,
    Wanted,
    WantRoutes,
    WhereMoved,
)
from hubbub.rpc import Done
from hubbub.sealed_box import seal
from hubbub.watch_messages import Head

HUB = Wanted(server="hub", attempt=0, spec="/", target="http://127.0.0.1:8081", data={"hub": True})
EXTRA = Wanted(server="extra:/extra", attempt=0, spec="/extra", target="http://127.0.0.1:7", data={"extra": True})


def server(name: str, attempt: int = 1, *, port: int = 4000) -> Wanted:
    target = f"http://127.0.0.1:{port}"
    return Wanted(
        server=name, attempt=attempt, spec=f"/user/{name}/", target=target, data={"user": name, "server_name": ""}
    )


class FakeHouse:
    """Answers in pages of *page*. `wanted`: by server; `failing`: how many questions are to fail from now on; `silent`:
    whether it answers nothing.
    """

    def __init__(self, bus: Bus, *, page: int = 2) -> None:
        self.bus = bus
        self._page = page
        self.silent = False
        self.wanted: dict[str, Wanted] = {"hub": HUB, EXTRA.server: EXTRA}
        self.asked: list[tuple[str, ...] | None] = []
        self.told: list[RouteReport] = []
        self.corrected: list[Corrected] = []
        self.moved = Moved()
        self.secret = ""  # of the proxy that has been moved
        self.compared: list[Compared] = []
        self.joined = 0
        self.head = 0
        self.failing = 0
        self._news = asyncio.Condition()

    async def answer(self) -> None:
        await self.bus.ensure_streams(STREAMS)
        await self.bus.answer("hub.rpc.routes.proxy.*", self._routes, queue="api")
        await self.bus.answer("hub.rpc.routed.proxy.*", self._routed, queue="api")
        await self.bus.answer("hub.rpc.moved.proxy.*", self._moved, queue="api")
        await self.bus.listen("hub.compared.*", self._compared)
        await self.bus.arrived()

    async def _moved(self, subject: str, payload: bytes) -> Moved | None:
        if self.silent:
            return None
        key = msgspec.json.decode(payload, type=WhereMoved).key
        sealed = seal(key, self.secret, subject) if self.secret else ""
        return msgspec.structs.replace(self.moved, sealed=sealed)

    async def _compared(self, message: Msg) -> None:
        async with self._news:
            self.compared.append(msgspec.json.decode(message.data, type=Compared))
            self._news.notify_all()

    async def _routes(self, _: str, payload: bytes) -> Routes | None:
        question = msgspec.json.decode(payload, type=WantRoutes)
        if self.silent:
            return None
        if self.failing:
            self.failing -= 1
            raise RuntimeError("the database is down")
        self.asked.append(question.servers)
        names = [name for name in sorted(self.wanted) if name > question.after]
        if question.servers is not None:
            names = [name for name in names if name in question.servers]
        page = names[: self._page]
        following = page[-1] if len(names) > len(page) else ""
        return Routes(wanted=tuple(self.wanted[name] for name in page), position=self.head, epoch="e", next=following)

    async def _routed(self, _: str, payload: bytes) -> Done | None:
        told = msgspec.json.decode(payload, type=Routed)
        if self.silent:
            return None
        async with self._news:
            self.told += told.routes
            self.joined += told.joined
            self.corrected += [told.corrected] if told.corrected else []
            self._news.notify_all()
        return Done()

    async def until(self, is_true: Callable[[], bool]) -> None:
        """Wait for reports that make it so."""
        async with asyncio.timeout(10), self._news:
            await self._news.wait_for(is_true)

    async def happens(self, event: str, name: str, *, unheard: bool = False, kind: str = "server") -> None:
        """An event is committed, and sent."""
        self.head += 1
        if not unheard:
            headers = {"Nats-Msg-Id": f"e:{self.head}", "type": event, "traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}
            await self.bus.js.publish(f"hub.event.{kind}.{name}", b"{}", headers=headers)

    async def beat(self) -> None:
        await self.bus.signal("hub.heartbeat.log", Head(epoch="e", position=self.head))

    def told_of(self, name: str) -> list[str | None]:
        return [report.target for report in self.told if report.server == name]
