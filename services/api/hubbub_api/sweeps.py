"""Answers pollers: settles whatever is overdue, lost or expired, so that no state lasts for want of news."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import msgspec
import structlog

from hubbub.bus import Bus
from hubbub.config import Options
from hubbub.domain.message import Rejected
from hubbub.domain.proxy import LoseProxy
from hubbub.domain.server_messages import Failure, GiveUp
from hubbub.domain.server_states import Held, Known, Running, Server, Spawning
from hubbub.eventlog import Context
from hubbub.handle import Committer
from hubbub.rpc import Done, Word
from hubbub.transaction import Transaction
from hubbub.views import PROXIES, SERVERS
from hubbub.watch_messages import Activity, Lease, Leased, Sweep, Swept
from hubbub_api import drains, leases, leftovers, remains
from hubbub_api.activity import Activities
from hubbub_api.culling import Culling
from hubbub_api.expiry import expire
from hubbub_api.hellos import lose
from hubbub_api.managed import ManagedServices
from hubbub_api.patience import STOP_SECONDS
from hubbub_api.quota_ends import QuotaEnds

log = structlog.get_logger()

_STATE = msgspec.json.Decoder(Server)

#: A route overdue for so long means that its proxy-sync is stuck, whatever its heart says.
ROUTE_PATIENCE = timedelta(seconds=5)

# People come to it by one proxy at least.
_REACHED = """
    exists (select from routes r join proxies o on o.id = r.proxy where r.server = s.id and r.attempt = s.attempt)
"""
# A running server that is reached by one proxy is not ended because another is too slow: that one is lost instead. A
# managed service has no route of its own attempts (see `hubbub_api.wanted`).
_OVERDUE = f"""
    select id, state from servers s
    where deadline < now() and (kind <> 'Running' or holder is null or user_id <> '' and not {_REACHED}) limit 200
"""
_IS_REACHED = f"select from servers s where id = $1 and {_REACHED}"
# Proxies that have left a running server without its route for too long, while others have it.
_STUCK_PROXIES = f"""
    select distinct p.id from proxies p
    join servers s on s.kind = 'Running' and s.user_id <> '' and s.deadline < now() + $1::interval
    where not exists (select from routes r where r.id = p.id || '.' || s.id and r.attempt = s.attempt) and {_REACHED}
"""

REASONS = {
    "Spawning": Failure(reason="timeout", message="The server did not start in time"),
    "Started": Failure(reason="timeout", message="The server started, but did not answer in time"),
    "Running": Failure(reason="unrouted", message="No route to the server could be made in time"),
    "Stopping": Failure(reason="timeout", message="The server did not stop in time"),
}


def _why(state: Held) -> Failure:
    if state.holder is None and not isinstance(state, Spawning):
        return Failure(reason="lost", message="No worker of the pool took it over in time")
    if isinstance(state, Spawning) and state.holder is None:
        return Failure(reason="timeout", message=f"No worker of the pool {state.pool!r} took it in time")
    return REASONS[type(state).__name__]


class Sweeps:
    def __init__(
        self,
        pool: "asyncpg.Pool[asyncpg.Record]",
        committer: Committer,
        bus: Bus,
        options: Options,
        activities: Activities,
        managed: ManagedServices,
    ) -> None:
        self._pool = pool
        self._committer = committer
        self._bus = bus
        self._options = options
        self._activities = activities
        self._managed = managed
        self._quotas = QuotaEnds(pool, committer, bus, options)
        self._culling = Culling(pool, committer, bus, options, activities)

    async def lease(self, subject: str, payload: bytes) -> Leased:
        _, _, _, _, holder = subject.split(".")
        asked = msgspec.json.decode(payload, type=Lease)
        seconds = max(0.1, min(asked.seconds, 300))
        return Leased(granted=await leases.take(self._pool, asked.name, holder, seconds))

    async def activity(self, subject: str, payload: bytes) -> Done:
        """What proxies have seen; routes that are no server's are passed over. It is written down when this answers."""
        said = msgspec.json.decode(payload, type=Activity)
        heard = said.routes
        rows = await self._pool.fetch(
            "select id, user_id, prefix from servers where prefix = any($1) and user_id <> ''", list(heard)
        )
        for row in rows:
            self._activities.heard(f"server:{row['id']}", f"user:{row['user_id']}", at=heard[row["prefix"]])
        now = datetime.now(UTC)
        for proxy, until in said.told.items():
            self._activities.heard(f"proxy:{proxy}", at=min(until, now))
        await self._activities.write()
        return Done()

    async def sweep(self, subject: str, payload: bytes) -> Swept:
        asked = msgspec.json.decode(payload, type=Sweep)
        settled = 0
        for proxy in [*asked.lost_proxies, *await self._stuck()]:
            settled += await self._lose_proxy(proxy)
        # What others can get at they may have at once; of the rest only starts cannot wait for the lost to come back.
        settled += await self._lost_workers(asked.lost, "(kind = 'Spawning' or reach is not null)")
        settled += await self._lost_workers(asked.gone, "true")
        if asked.lost:
            await leftovers.release(self._pool, *asked.lost)
        for row in await self._pool.fetch(_OVERDUE):
            settled += await self._give_up(row["id"], _STATE.decode(row["state"]))
        settled += await self._culling.turn(asked.lost)
        settled += await self._quotas.turn()
        settled += await drains.end_overdue(self._pool, self._committer, self._bus)
        settled += await expire(self._pool, self._committer, idle=self._options.ours.session_idle_timeout)
        settled += await self._managed.keep()
        holders = await self._pool.fetch("select distinct holder from servers where holder is not null")
        proxies = await self._pool.fetch("select id from proxies")
        return Swept(
            settled=settled,
            holders=tuple(row["holder"] for row in holders),
            proxies=tuple(row["id"] for row in proxies),
        )

    async def _stuck(self) -> list[str]:
        # A running server's deadline is when it should have been routed at the very latest.
        left = max(timedelta(), timedelta(seconds=self._options.ours.route_timeout) - ROUTE_PATIENCE)
        rows = await self._pool.fetch(_STUCK_PROXIES, left)
        return [row["id"] for row in rows]

    async def _lose_proxy(self, proxy: str) -> int:
        """Never the last one: without any proxy nothing could ever be ready."""

        async def body(tx: Transaction) -> int:
            [row] = await tx.fetch("select count(*) as n, count(*) filter (where id = $1) as it from proxies", proxy)
            if row["n"] < 2 or not row["it"]:
                return 0
            await tx.act(PROXIES, proxy, LoseProxy(reason="silent, or too slow"))
            return 1

        lost = await self._committer.submit(body, Context.of("sweep"))
        if lost:
            log.warning("proxy.lost", proxy=proxy)
        return lost

    async def _lost_workers(self, workers: tuple[str, ...], which: str) -> int:
        rows = await self._pool.fetch(
            f"select id, holder from servers where holder = any($1) and {which}", list(workers)
        )
        losing = [lose(self._committer, self._options, row["holder"], row["id"], "its worker is lost") for row in rows]
        await asyncio.gather(*losing)  # together, so that they share commits
        return len(rows)

    async def _give_up(self, id: str, seen: Server) -> int:
        """What is overdue ends as its state allows; decided again under the lock."""

        async def body(tx: Transaction) -> Server:
            state = await tx.state(SERVERS, id)
            if not isinstance(state, Held) or state.deadline > tx.now:
                return state  # type: ignore[no-any-return]
            if isinstance(state, Running) and state.holder and await tx.fetch(_IS_REACHED, id):
                return state
            kind = type(state).__name__
            failure = _why(state)
            deadline = tx.now + timedelta(seconds=STOP_SECONDS)
            command = GiveUp(attempt=state.attempt, failure=failure, deadline=deadline)
            state, events = await remains.act(tx, id, command)
            if events:
                log.warning("server.gave_up", server=id, was=kind, why=failure.message)
            return state  # type: ignore[no-any-return]

        try:
            state = await self._committer.submit(body, Context.of("sweep"), [(SERVERS, id)])
        except Rejected:
            return 0
        if isinstance(state, Held) and state.holder:
            await self._bus.signal(f"hub.holder.{state.holder}", Word(server=id, attempt=state.attempt))
        return int(isinstance(seen, Known) and state != seen)
