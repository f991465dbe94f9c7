"""The loop: compare what the proxy has with what the house wants, make one the other, and say so."""

import asyncio
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice

import msgspec
import structlog
from nats.aio.msg import Msg

from hubbub import service
from hubbub.bus import Bus
from hubbub.route_messages import Wanted
from hubbub.subjects import token
from hubbub.watch_messages import Head
from hubbub_proxy_sync.awake import Awake
from hubbub_proxy_sync.changes import Changes, Plan, ms_since
from hubbub_proxy_sync.corrections import corrections
from hubbub_proxy_sync.cursor import Cursor
from hubbub_proxy_sync.house import House
from hubbub_proxy_sync.looks import Looks
from hubbub_proxy_sync.proxies.proxy import Proxy, ProxyRoute, ProxyUnavailable
from hubbub_proxy_sync.stopwatch import Stopwatch
from hubbub_proxy_sync.table import Placed, Table

log = structlog.get_logger()

#: Events after which a server may need a route, or need none.
ROUTED_BY = frozenset(
    {
        "AttemptLost",
        "ServerAdopted",
        "ServerCrashed",
        "ServerDeleted",
        "ServerMoved",
        "ServerResponded",
        "ServerStopped",
        "SpawnFailed",
        "StopRequested",
    }
)
#: Events of services that are registered while the hub runs: their routes are of `service:<id>`.
SERVED_BY = frozenset({"ServiceRegistered", "ServiceRemoved"})
#: Servers in one question, which stays far below the largest payload.
BATCH = 200
#: Seconds between full reconciles; and until the next if the proxy refused something.
EVERY, SOON = 30.0, 1.0
#: Seconds in which a proxy lists its routes, or is not there.
PATIENCE = 30.0


class Sync:
    """Events are for speed, looking and the periodic reconcile are for truth. One task changes routes, so none is
    changed twice. `moved` is set when the log says that the proxy is elsewhere now.
    """

    def __init__(self, bus: Bus, proxy: Proxy, name: str) -> None:
        self._bus = bus
        self._stopwatch = Stopwatch()
        self._house = House(bus, name, self._stopwatch)
        self._proxy = proxy
        self._name = name
        self._cursor = Cursor()
        self._table = Table()
        self._awake = Awake(bus)
        self._dirty: dict[str, str] = {}  # server -> traceparent of what happened to it
        self._changes = Changes(proxy, self._table, self._awake, self._dirty, self._stopwatch)
        self._looks = Looks()
        self._whole, self._why, self._again = True, "start", False
        self._due = 0.0
        self._wake = asyncio.Event()
        self._returned = asyncio.Event()
        self._awaited: list[asyncio.Future[None]] = []  # each by somebody who waits for a reconcile
        self.moved = asyncio.Event()
        self.joined = asyncio.Event()
        proxy.compares(lambda: self.refill("asked for"))

    @property
    def seen(self) -> Mapping[str, ProxyRoute]:
        """Every route of the proxy, as it was when this last looked."""
        return self._looks.seen

    @property
    def seen_at(self) -> datetime | None:
        """When that was; null before the first look."""
        return self._looks.seen_at

    async def listen(self) -> None:
        """Hear the log from now on. To be called before `run`, whose first snapshot covers what was before."""
        await self._bus.listen("hub.event.>", self._on_event)
        await self._bus.listen("hub.heartbeat.log", self._on_head)
        await self._bus.listen("hub.missed", self._on_missed)
        await self._bus.arrived()

    async def run(self) -> None:
        ticking = asyncio.create_task(self._awake.tick())
        try:
            await self._keep_equal()
        finally:
            ticking.cancel()

    async def _keep_equal(self) -> None:
        pause, silent = 0.1, False
        while True:
            try:
                await self._next()
                pause, silent = 0.1, False
            except ProxyUnavailable as error:
                if not silent:
                    log.error("sync.proxy_unavailable", error=str(error))
                silent = True
                self._whole = True
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._returned.wait()
                pause = min(pause * 2, 1.0)

    async def follow_reconnects(self) -> None:
        """What was said while the bus was away was not heard, and we may have been given up for lost."""
        while True:
            await self._bus.reconnected.wait()
            self._bus.reconnected.clear()
            self._awake.missed()
            self.refill("bus reconnected", again=True)

    def refill(self, reason: str = "proxy returned", *, again: bool = False) -> None:
        """Reconcile everything soon. *again*: and tell the house everything, which may have forgotten."""
        log.info("sync.refill", reason=reason)
        if again:
            self._again = True
            self.moved.set()  # it may have been, unheard
        self._whole, self._why = True, reason
        self._returned.set()
        self._wake.set()

    async def compare(self, reason: str) -> None:
        """Reconcile everything, and return when that has worked."""
        done = asyncio.get_running_loop().create_future()
        self._awaited.append(done)
        self.refill(reason, again=True)
        await done

    # Hearing --------------------------------------------------------------------------------

    async def _on_event(self, message: Msg) -> None:
        headers = message.headers or {}
        epoch, _, position = headers.get("Nats-Msg-Id", "").rpartition(":")
        if not (epoch and position.isdigit()):
            return
        if self._cursor.hear(epoch, int(position)):
            self._awake.missed()
            self.refill("events were missed", again=True)
        kind, _, stream = message.subject.removeprefix("hub.event.").partition(".")
        happened = headers.get("type", "")
        if kind == "server" and happened in ROUTED_BY:
            self._dirty[stream] = headers.get("traceparent", "")
            self._wake.set()
        elif kind == "service" and happened in SERVED_BY:
            self._dirty[f"service:{stream}"] = headers.get("traceparent", "")
            self._wake.set()
        elif kind == "proxy" and stream == token(self._name):
            if happened == "ProxyLost":
                self.refill("given up for lost", again=True)
            elif happened == "ProxyMoved":
                self.moved.set()

    async def _on_head(self, message: Msg) -> None:
        with suppress(msgspec.MsgspecError):
            head = msgspec.json.decode(message.data, type=Head)
            if self._cursor.beat(head.epoch, head.position):
                self._awake.missed()
                self.refill("events are overdue", again=True)

    async def _on_missed(self, _: Msg) -> None:
        """Somebody came to the hub who should have come to a server."""
        self._looks.hurry(time.monotonic())
        self._wake.set()

    # Doing ----------------------------------------------------------------------------------

    async def _next(self) -> None:
        if not (self._whole or self._dirty):
            with suppress(TimeoutError):
                async with asyncio.timeout(min(self._looks.due, self._due) - time.monotonic()):
                    await self._wake.wait()
        self._wake.clear()
        if self._whole or time.monotonic() >= self._due:
            with self._stopwatch.timed("check"):
                await self._reconcile()
        elif self._dirty:
            await self._catch_up()
        if self._looks.due <= time.monotonic():
            await self._look()

    async def _catch_up(self) -> None:
        """The servers to which something has happened."""
        servers = {server: self._dirty.pop(server) for server in tuple(islice(self._dirty, BATCH))}
        naps = self._awake.naps()
        wanted = await self._wanted(tuple(servers))
        plan = Plan(wanted=wanted, found=self._table.of(servers, wanted), traces=servers, naps=naps)
        if not await self._settle(plan, servers):
            self._due = time.monotonic() + SOON

    async def _look(self) -> None:
        """Whether the proxy still has what we have left there."""
        if self._table.differs(await self._read()):
            self.refill("routes differ")

    async def _reconcile(self) -> None:
        """Every route. The proxy is read first: what is wanted a moment later is not taken for a leftover."""
        began, awaited = time.monotonic(), len(self._awaited)
        if self._again:
            self._table.forget_told()
        self._whole = self._again = False
        self._returned.clear()
        traces, naps = dict(self._dirty), self._awake.naps()
        self._dirty.clear()
        self._table.read(await self._read())
        wanted = await self._wanted(None)
        plan = Plan(wanted=wanted, found=dict(self._table.routes), traces=traces, naps=naps)
        servers = self._table.servers() | {route.server for route in wanted.values()}
        # A proxy that is filled for the first time had nothing to correct.
        done = await self._settle(plan, servers, whole=True, corrects=self.joined.is_set() or bool(plan.found))
        self._table.forget_removed()
        self._due = time.monotonic() + (EVERY if done else SOON)
        self._why = self._why if self._whole else "sweep"
        log.debug("sync.reconciled", routes=len(wanted), changes=len(plan.changes), ms=ms_since(began))
        if done:
            self._tell(awaited)
        if done and not self.joined.is_set():
            self.joined.set()
            service.announce("proxy-sync", routes=len(wanted), ms=ms_since(began))

    def _tell(self, awaited: int) -> None:
        """The first *awaited* of those who wait: it is done."""
        told, self._awaited = self._awaited[:awaited], self._awaited[awaited:]
        for each in told:
            if not each.done():
                each.set_result(None)

    async def _settle(
        self, plan: Plan, servers: Collection[str], *, whole: bool = False, corrects: bool = False
    ) -> bool:
        """Make the changes, and report what came of them to *servers*. False if some of it did not work.

        *whole*: it is about every route; *corrects*: what nothing explains puts something right.
        """
        why = self._why
        for spec, route in plan.wanted.items():
            if (placed := self._table.routes.get(spec)) and placed.target == route.target:
                self._table.put(spec, Placed.of(route))  # an older attempt's, or one found at the start
        made = await self._changes.make(plan)
        corrected = corrections(plan, made, why) if corrects else None
        if corrected:
            log.warning("sync.corrected", reason=why, routes=corrected.count)
        if made.overtaken and not self._whole:
            self.refill("overtaken")
        await self._proxy.in_effect()
        # Of those that failed, or were left for later, nothing is known for certain.
        certain = set(servers) - made.left - {plan.owner(spec) for spec in made.failed}
        reports = list(self._table.untold(certain, plan.traces, plan.reasons))
        done = not (made.failed or made.overtaken)
        await self._house.report(reports, joined=whole and done, corrected=corrected)
        self._table.tell(reports)
        for error in made.failed.values():
            if isinstance(error, ProxyUnavailable):
                raise error
        return done

    # Asking ---------------------------------------------------------------------------------

    async def _read(self) -> Mapping[str, ProxyRoute]:
        """Every route of the proxy."""
        with self._looks.taken(), self._stopwatch.timed("poll"):
            try:
                asked = datetime.now(UTC)
                async with asyncio.timeout(PATIENCE):
                    self._looks.see(await self._proxy.get_all_routes(), asked)
            except TimeoutError:
                raise ProxyUnavailable(f"it does not list its routes within {PATIENCE:g} s") from None
        return self._looks.seen

    async def _wanted(self, servers: tuple[str, ...] | None) -> dict[str, Wanted]:
        """By route. One that no proxy could have is left out: it must not keep all others from being there."""
        wanted: dict[str, Wanted] = {}
        routes, epoch, position = await self._house.wanted(servers)
        self._cursor.begin(epoch, position)
        for route in routes:
            try:
                wanted[self._proxy.validate_routespec(route.spec)] = route
            except ValueError as error:
                log.error("route.impossible", server=route.server, error=str(error))
        return wanted
