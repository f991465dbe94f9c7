"""Watches who is alive, and asks for what is overdue to be settled; of several pollers one does, by a lease."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

import msgspec
import structlog
from nats.aio.msg import Msg

from hubbub import __version__
from hubbub.bus import Bus, BusUnavailable, Remote
from hubbub.subjects import token
from hubbub.vitals import vitals
from hubbub.watch_messages import Heartbeat, Lease, Leased, Sweep, Swept
from hubbub_poller.heartbeats import Watch
from hubbub_poller.liveness import Changes

log = structlog.get_logger()
M = TypeVar("M")

WORKERS, PROXIES = "spawner-worker", "proxy-sync"


class Poller:
    """*lease*, in seconds, is ours as well as theirs."""

    def __init__(self, bus: Bus, name: str, lease: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._bus = bus
        self._name = name
        self._lease = lease
        self._clock = clock
        self.watches = {service: Watch(lease, clock()) for service in (WORKERS, PROXIES)}
        self._changes = {service: Changes(bus, service) for service in self.watches}
        self._renew_at = 0.0
        self._leads_until = 0.0
        self._unheard = False

    @property
    def leads(self) -> bool:
        return self._clock() < self._leads_until

    async def listen(self) -> None:
        await self._bus.listen("hub.heartbeat.*.*", self._on_heartbeat)
        await self._bus.arrived()

    async def run(self) -> None:
        while True:
            await self._turn()
            await asyncio.sleep(min(1.0, self._lease / 2))

    async def tick(self) -> None:
        """Notice, soon enough, when this process was asleep."""
        while True:
            for watch in self.watches.values():
                watch.tick(self._clock())
            await asyncio.sleep(self._lease / 8)

    async def follow_reconnects(self) -> None:
        while True:
            await self._bus.reconnected.wait()
            self._bus.reconnected.clear()
            self._was_deaf()

    async def beat(self) -> None:
        while True:
            beat = Heartbeat(service="poller", name=self._name, version=__version__, vitals=vitals())
            await self._bus.signal(f"hub.heartbeat.poller.{token(self._name)}", beat)
            await asyncio.sleep(self._lease / 4)

    async def ask(self, verb: str, message: msgspec.Struct, reply: type[M]) -> M | None:
        """None if nobody answered: then we could not hear anybody else either, for all we know."""
        subject = f"hub.rpc.{verb}.poller.{token(self._name)}"
        try:
            answer = await self._bus.ask(subject, message, reply, timeout=max(1.0, min(5.0, self._lease / 2)))
        except (BusUnavailable, Remote, msgspec.MsgspecError) as error:
            if not self._unheard:
                log.warning("poller.unheard", error=str(error))
            self._unheard = True
            self._was_deaf()
            return None
        self._unheard = False
        return answer

    # ----------------------------------------------------------------------------------------

    async def _on_heartbeat(self, message: Msg) -> None:
        _, _, service, name = message.subject.split(".")
        if service not in self.watches:
            return
        try:
            heartbeat = msgspec.json.decode(message.data, type=Heartbeat)
        except msgspec.MsgspecError as error:
            log.warning("poller.unreadable", subject=message.subject, error=str(error))
            return
        # The subject is what the bus vouches for, and has the name by which the house counts on them.
        if name in (heartbeat.name, token(heartbeat.name)):
            self.watches[service].hear(name, self._clock())
            if self.leads:
                await self._changes[service].came(name)

    async def _turn(self) -> None:
        if not self._bus.connected:
            self._was_deaf()
            return
        if self._clock() >= self._renew_at or (self.leads and self._is_anyone_lost()):
            await self._renew()
        if self.leads:
            await self._sweep()

    async def _renew(self) -> None:
        """Also before anybody is named lost: an answer in time proves that the bus carries words, both ways."""
        asked, led = self._clock(), self.leads
        answer = await self.ask("lease", Lease(name="poller", seconds=self._lease), Leased)
        self._leads_until = asked + self._lease if answer and answer.granted else 0.0
        self._renew_at = asked + (self._lease / 3 if answer else 0)
        if self._clock() - asked > self._lease / 2:
            self._was_deaf()
        if self.leads and not led:
            for changes in self._changes.values():
                changes.begin()
        if self.leads != led:
            log.info("poller.leads" if self.leads else "poller.follows")

    async def _sweep(self) -> None:
        now = self._clock()
        workers, proxies = self.watches[WORKERS], self.watches[PROXIES]
        sweep = Sweep(lost=workers.lost(now), gone=workers.gone(now), lost_proxies=proxies.lost(now))
        gone_proxies = proxies.gone(now)
        await self._changes[WORKERS].went(sweep.lost)
        await self._changes[PROXIES].went(sweep.lost_proxies)
        swept = await self.ask("sweep", sweep, Swept)
        if swept is None:
            return
        if swept.settled or sweep.lost or sweep.lost_proxies:
            log.info("poller.swept", settled=swept.settled, lost=sweep.lost, lost_proxies=sweep.lost_proxies)
        self._remember(WORKERS, swept.holders, sweep.gone)
        self._remember(PROXIES, swept.proxies, gone_proxies)

    def _remember(self, service: str, held: tuple[str, ...], gone: tuple[str, ...]) -> None:
        """Watch those that the house counts on; forget the gone that it does not count on any more."""
        forgotten = set(gone).difference(held)
        self.watches[service].forget(forgotten)
        self._changes[service].forget(forgotten)
        self.watches[service].expect(held, self._clock())

    def _is_anyone_lost(self) -> bool:
        return any(watch.lost(self._clock()) for watch in self.watches.values())

    def _was_deaf(self) -> None:
        for watch in self.watches.values():
            watch.afresh(self._clock())
