"""Has proxy-syncs compare all routes with what they should be, and hears when they have."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from uuid import uuid4

import msgspec
from nats.aio.msg import Msg

from hubbub.bus import Bus
from hubbub.route_messages import Compare, Compared

#: Seconds that a request waits for them. What is slower goes on all the same.
PATIENCE = 5.0


class Heard:
    """What proxies said of one wish. `said`: by proxy."""

    def __init__(self) -> None:
        self.said: dict[str, Compared] = {}
        self._news = asyncio.Event()

    def hear(self, proxy: str, said: Compared) -> None:
        self.said[proxy] = said
        self._news.set()

    async def of(self, proxies: Sequence[str]) -> bool:
        """Whether all of *proxies* have said something, or do so soon."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while not self.said.keys() >= set(proxies):
                    self._news.clear()
                    await self._news.wait()
        return self.said.keys() >= set(proxies)


class Comparisons:
    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._heard: dict[str, Heard] = {}

    async def hear(self, message: Msg) -> None:
        """On `hub.compared.*`."""
        _, _, proxy = message.subject.split(".")
        with suppress(msgspec.MsgspecError):
            said = msgspec.json.decode(message.data, type=Compared)
            if heard := self._heard.get(said.id):
                heard.hear(proxy, said)

    @contextmanager
    def hearing(self, id: str) -> Iterator[Heard]:
        """What is said of the wish *id* from now on. Enter before it is told."""
        heard = self._heard[id] = Heard()
        try:
            yield heard
        finally:
            del self._heard[id]

    async def compare(self, proxies: Sequence[str]) -> bool:
        """Whether all of *proxies* have compared all their routes since this was called."""
        id = uuid4().hex
        with self.hearing(id) as heard:
            await self._bus.signal("hub.compare", Compare(id=id))
            return await heard.of(proxies)
