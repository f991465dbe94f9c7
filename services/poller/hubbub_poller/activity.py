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
#: Turns after which everything is handed on once more.
ANEW = 720


class Collector:
    """Only the leading poller hands on; all the others drop what they hear."""

    def __init__(self, bus: Bus, poller: Poller) -> None:
        self._bus = bus
        self._poller = poller
        self._latest: dict[str, datetime] = {}
        self._known: dict[str, datetime] = {}  # what has been handed on, so that only news is
        self._turns = 0
        self._told: dict[str, datetime] = {}  # by proxy: until when it has said all
        self._pages: dict[str, tuple[datetime, set[int]]] = {}  # by proxy: which of all that it says have come

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
            heard = msgspec.json.decode(message.data, type=Activity)
        except msgspec.MsgspecError as error:
            log.warning("poller.unreadable", subject=message.subject, error=str(error))
            return
        self._merge(heard.routes)
        if heard.proxy and heard.at is not None:
            self._page(heard, heard.at)

    def _page(self, heard: Activity, at: datetime) -> None:
        """A proxy has said all once every page of it has come."""
        asked, come = self._pages.get(heard.proxy, (at, set()))
        if asked != at:
            come = set()
        come.add(heard.page)
        self._pages[heard.proxy] = (at, come)
        if len(come) == heard.pages:
            self._told[heard.proxy] = max(at, self._told.get(heard.proxy, at))

    async def _hand_on(self) -> None:
        if not self._poller.leads:
            for kept in (self._latest, self._known, self._told, self._pages):
                kept.clear()
            return
        # What proxies say meanwhile goes with the next turn: only what is here now comes with what they have told.
        self._turns += 1
        if self._turns % ANEW == 0:
            self._known.clear()
        told, self._told = self._told, {}
        waiting, self._latest = self._latest, {}
        while waiting or told:
            page = {spec: waiting.pop(spec) for spec in tuple(islice(waiting, BATCH))}
            last = {} if waiting else told
            self._known |= page
            if await self._poller.ask("activity", Activity(routes=page, told=last), Done) is None:
                for spec in page:
                    del self._known[spec]
                self._merge({**waiting, **page})  # for the next time
                self._told = {**told, **self._told}
                return
            if last:
                return

    def _merge(self, routes: dict[str, datetime]) -> None:
        for spec, heard in routes.items():
            aware = heard.astimezone() if heard.tzinfo is None else heard
            if aware > self._known.get(spec, aware) or spec not in self._known:
                self._latest[spec] = max(aware, self._latest.get(spec, aware))
