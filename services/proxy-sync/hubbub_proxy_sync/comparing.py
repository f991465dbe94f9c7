"""Says when wishes to have all routes compared have come true (`hub.compare`)."""

import asyncio
from contextlib import suppress

import msgspec
from nats.aio.msg import Msg

from hubbub.bus import Bus
from hubbub.route_messages import Compare, Compared
from hubbub.subjects import token
from hubbub_proxy_sync.sync import Sync


class Comparing:
    """Call `listen`, and run `run` as a task."""

    def __init__(self, bus: Bus, sync: Sync, name: str) -> None:
        self._bus = bus
        self._sync = sync
        self._subject = f"hub.compared.{token(name)}"
        self._wishes: list[str] = []
        self._wished = asyncio.Event()

    async def listen(self) -> None:
        """Hear wishes from now on."""
        await self._bus.listen("hub.compare", self._hear)
        await self._bus.arrived()

    async def _hear(self, message: Msg) -> None:
        with suppress(msgspec.MsgspecError):
            self.wish(msgspec.json.decode(message.data, type=Compare).id)

    def wish(self, id: str) -> None:
        """Compare everything, and say that *id* is done."""
        self._wishes.append(id)
        self._wished.set()

    async def say(self, id: str, problem: str = "") -> None:
        await self._bus.signal(self._subject, Compared(id=id, problem=problem))

    async def run(self) -> None:
        while True:
            await self._wished.wait()
            self._wished.clear()
            wishes, self._wishes = self._wishes, []
            await self._sync.compare("asked for")
            for id in wishes:
                await self.say(id)
