"""When something was last heard of each route: gathered from the proxies, handed on every few seconds."""

import asyncio
from datetime import datetime
from itertools import islice

import msgspec
import structlog
from nats.aio.msg import Msg

from hubbub.bus import Bus
from hubbub.rpc import Done
from hubbub.watch_messages import Activity
from hubbub_poller.poller import Poller

log = structlog.get_logger()

#: Routes in one message, which stays far below the largest payload.
BATCH = 1000


class Collector:
    """Only the leading poller hands on; all the others drop what they hear."""

    def __init__(self, bus: Bus, poller: Poller) -> None:
        self._bus = bus
        self._poller = poller
        self._latest: dict[str, datetime] = {}

    async def listen(self) -> None:
        await self._bus.listen("hub.activity", self._on_activity)
        await self._bus.arrived()

    async def run(self, every: float = 5.0) -> None:
        while True:
            await asyncio.sleep(every)
            await self._hand_on()

    async def _on_activity(self, message: Msg) -> None:
        if not self._poller.leads:
            return
        try:
            self._merge(msgspec.json.decode(message.data, type=Activity).routes)
        except msgspec.MsgspecError as error:
            log.warning("poller.unreadable", subject=message.subject, error=str(error))

    async def _hand_on(self) -> None:
        while self._latest:
            if not self._poller.leads:
                self._latest = {}
                return
            page = {spec: self._latest.pop(spec) for spec in tuple(islice(self._latest, BATCH))}
            if await self._poller.ask("activity", Activity(routes=page), Done) is None:
                self._merge(page)  # for the next time
                return

    def _merge(self, routes: dict[str, datetime]) -> None:
        for spec, heard in routes.items():
            aware = heard.astimezone() if heard.tzinfo is None else heard
            self._latest[spec] = max(aware, self._latest.get(spec, aware))
