"""The loop: compare what the proxy has with what the house wants, make one the other, and say so."""

import asyncio
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from itertools import islice

import msgspec
import structlog
from nats.aio.msg import Msg

from hubbub import faults, service, telemetry
from hubbub.bus import Bus
from hubbub.domain.route import Change, plan
from hubbub.route_messages import Wanted
from hubbub.subjects import token
from hubbub.watch_messages import Head
from hubbub_proxy_sync.cursor import Cursor
from hubbub_proxy_sync.house import House
from hubbub_proxy_sync.proxies.base import Proxy, ProxyRoute, ProxyUnavailable, RouteRefused
from hubbub_proxy_sync.table import Placed, Table, data_of

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


class Sync:
    """Events are for speed, the periodic reconcile is for truth. One task changes routes, so none is changed twice."""

    def __init__(self, bus: Bus, proxy: Proxy, name: str, *, concurrency: int = 10) -> None:
        self._bus = bus
        self._house = House(bus, name)
        self._proxy = proxy
        self._name = name
        self._free = asyncio.Semaphore(concurrency)
        self._cursor = Cursor()
        self._table = Table()
        self._dirty: dict[str, str] = {}  # server -> traceparent of what happened to it
        self._whole = True
        self._due = 0.0
        self._wake = asyncio.Event()
        self.joined = asyncio.Event()

    async def listen(self) -> None:
        """Hear the log from now on. To be called before `run`, whose first snapshot covers what was before."""
        await self._bus.listen("hub.event.>", self._on_event)
        await self._bus.listen("hub.heartbeat.log", self._on_head)
        await self._bus.arrived()

    async def run(self) -> None:
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
                await asyncio.sleep(pause)
                pause = min(pause * 2, 1.0)

    async def follow_reconnects(self) -> None:
        """What was said while the bus was away was not heard, and we may have been given up for lost."""
        while True:
            await self._bus.reconnected.wait()
            self._bus.reconnected.clear()
            self.refill("bus reconnected")

    def refill(self, reason: str = "proxy returned") -> None:
        """Reconcile everything soon, and tell the house everything again."""
        log.info("sync.refill", reason=reason)
        self._whole = True
        self._wake.set()

    async def look(self) -> dict[str, ProxyRoute]:
        """Every route of the proxy. If one is gone that should have been there all the time, others may be."""
        before = set(self._table.routes)
        routes = await self._proxy.get_all_routes()
        if (before & self._table.routes.keys()) - routes.keys():
            self.refill("routes are missing")
        return routes

    # Hearing --------------------------------------------------------------------------------

    async def _on_event(self, message: Msg) -> None:
        headers = message.headers or {}
        epoch, _, position = headers.get("Nats-Msg-Id", "").rpartition(":")
        if not (epoch and position.isdigit()):
            return
        if self._cursor.hear(epoch, int(position)):
            self.refill("events were missed")
        kind, _, stream = message.subject.removeprefix("hub.event.").partition(".")
        happened = headers.get("type", "")
        if kind == "server" and happened in ROUTED_BY:
            self._dirty[stream] = headers.get("traceparent", "")
            self._wake.set()
        elif kind == "service" and happened in SERVED_BY:
            self._dirty[f"service:{stream}"] = headers.get("traceparent", "")
            self._wake.set()
        elif kind == "proxy" and happened == "ProxyLost" and token(stream) == token(self._name):
            self.refill("given up for lost")

    async def _on_head(self, message: Msg) -> None:
        with suppress(msgspec.MsgspecError):
            head = msgspec.json.decode(message.data, type=Head)
            if not head.epoch:
                self.refill("asked for")
            elif self._cursor.beat(head.epoch, head.position):
                self.refill("events are overdue")

    # Doing ----------------------------------------------------------------------------------

    async def _next(self) -> None:
        if not (self._whole or self._dirty):
            with suppress(TimeoutError):
                async with asyncio.timeout(self._due - time.monotonic()):
                    await self._wake.wait()
        self._wake.clear()
        if self._whole or time.monotonic() >= self._due:
            await self._reconcile()
        elif self._dirty:
            await self._catch_up()

    async def _catch_up(self) -> None:
        """The servers to which something has happened."""
        servers = {server: self._dirty.pop(server) for server in tuple(islice(self._dirty, BATCH))}
        wanted = await self._wanted(tuple(servers))
        if not await self._settle(wanted, self._table.of(servers, wanted), servers, servers):
            self._due = time.monotonic() + SOON

    async def _reconcile(self) -> None:
        """Every route. The proxy is read first: what is wanted a moment later is not taken for a leftover."""
        began = time.monotonic()
        if self._whole:
            self._table.forget_told()
        self._whole = False
        traces, self._dirty = self._dirty, {}
        self._table.read(await self._proxy.get_all_routes())
        wanted = await self._wanted(None)
        servers = self._table.servers() | {route.server for route in wanted.values()}
        done = await self._settle(wanted, self._table.routes, servers, traces, join=True)
        self._table.forget_removed()
        self._due = time.monotonic() + (EVERY if done else SOON)
        log.debug("sync.reconciled", routes=len(wanted), ms=_ms(began))
        if done and not self.joined.is_set():
            self.joined.set()
            service.announce("proxy-sync", routes=len(wanted), ms=_ms(began))

    async def _settle(
        self,
        wanted: Mapping[str, Wanted],
        actual: Mapping[str, Placed],
        servers: Collection[str],
        traces: Mapping[str, str],
        *,
        join: bool = False,
    ) -> bool:
        """Make *actual* what is *wanted*, and report what came of it. False if some of it was refused."""
        changes = list(
            plan(
                {spec: route.target for spec, route in wanted.items()},
                {spec: placed.target for spec, placed in actual.items()},
            )
        )
        for spec, route in wanted.items():
            if spec in actual and actual[spec].target == route.target:
                self._table.put(spec, Placed.of(route))  # an older attempt's, or one found at the start
        reasons = {self._owner(change, wanted): change.reason for change in changes}
        outcomes = await asyncio.gather(*(self._apply(change, wanted.get(change.spec), traces) for change in changes))
        failed = [failure for failure in outcomes if failure]
        # Of those that failed nothing is known for certain.
        certain = set(servers).difference(server for server, _ in failed)
        reports = list(self._table.untold(certain, traces, reasons))
        await self._house.report(reports, joined=join and not failed)
        self._table.tell(reports)
        for _, error in failed:
            if isinstance(error, ProxyUnavailable):
                raise error
        return not failed

    async def _apply(
        self, change: Change, route: Wanted | None, traces: Mapping[str, str]
    ) -> tuple[str, ProxyUnavailable | RouteRefused] | None:
        """One change. Returns whose route it is and the error, if there was one."""
        server = route.server if route else self._owner(change, {})
        async with self._free:
            with telemetry.span("proxy.change", parent=traces.get(server, ""), spec=change.spec):
                began = time.monotonic()
                try:
                    await self._change(change, route)
                except (ProxyUnavailable, RouteRefused) as error:
                    log.warning("route.failed", spec=change.spec, target=change.target, error=str(error))
                    return server, error
                verb = "removed" if route is None else "added"
                log.info(f"route.{verb}", server=server, spec=change.spec, reason=change.reason, ms=_ms(began))
        return None

    def _owner(self, change: Change, wanted: Mapping[str, Wanted]) -> str:
        """Whose route it will be, else was."""
        owner = wanted.get(change.spec) or self._table.routes.get(change.spec)
        return owner.server if owner else ""

    async def _change(self, change: Change, route: Wanted | None) -> None:
        if route is None:
            faults.point("proxy.before_delete")
            await self._proxy.delete_route(change.spec)
            faults.point("proxy.deleted")
            self._table.drop(change.spec)
            return
        faults.point("proxy.before_add")
        await self._proxy.add_route(change.spec, route.target, data_of(route))
        faults.point("proxy.added")
        self._table.put(change.spec, Placed.of(route))

    # Asking ---------------------------------------------------------------------------------

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


def _ms(began: float) -> float:
    return round((time.monotonic() - began) * 1000, 1)
