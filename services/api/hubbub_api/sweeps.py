"""Answers pollers: settles whatever is overdue, lost or expired, so that no state lasts for want of news."""

from datetime import timedelta

import asyncpg
import msgspec
import structlog

from hubbub.bus import Bus
from hubbub.config import Options
from hubbub.domain.code import ExpireCode
from hubbub.domain.message import Rejected
from hubbub.domain.proxy import LoseProxy
from hubbub.domain.server_messages import Failure, GiveUp
from hubbub.domain.server_states import Held, Known, Server
from hubbub.domain.session import CloseSession
from hubbub.eventlog import Context
from hubbub.handle import Committer
from hubbub.rpc import Activity, Done, Lease, Leased, Sweep, Swept, Word
from hubbub.transaction import Transaction
from hubbub.views import CODES, PROXIES, SERVERS, SESSIONS
from hubbub_api.activity import Activities
from hubbub_api.claims import lose
from hubbub_api.servers import STOP_SECONDS
from hubbub_api.tokens import revoke_of
from hubbub_api.views import READY

log = structlog.get_logger()

_STATE = msgspec.json.Decoder(Server)

#: A route overdue for so long means that its proxy-sync is stuck, whatever its heart says.
ROUTE_PATIENCE = timedelta(seconds=5)

_LEASE = """
    insert into leases (name, holder, until) values ($1, $2, now() + $3)
    on conflict (name) do update set holder = excluded.holder, until = excluded.until
    where leases.holder = excluded.holder or leases.until < now()
    returning holder
"""
_OVERDUE = f"select id, state from servers s where deadline < now() and not {READY} limit 200"
# Proxies that have left a running server without its route for too long.
_STUCK_PROXIES = """
    select distinct p.id from proxies p join servers s on s.kind = 'Running' and s.deadline < now() + $1::interval
    where not exists (select from routes r where r.id = p.id || '.' || s.id and r.attempt = s.attempt)
"""
_ORPHANED_TOKENS = """
    select t.id from tokens t where t.server <> '' and not exists (
        select from servers s where s.id = t.server and s.kind <> 'Stopped') limit 500
"""

REASONS = {
    "Spawning": Failure(reason="timeout", message="No worker took it in time"),
    "Held": Failure(reason="timeout", message="The server did not start in time"),
    "Started": Failure(reason="timeout", message="The server started, but did not answer in time"),
    "Running": Failure(reason="unrouted", message="No route to the server could be made in time"),
    "Stopping": Failure(reason="timeout", message="The server did not stop in time"),
}


class Sweeps:
    def __init__(
        self,
        pool: "asyncpg.Pool[asyncpg.Record]",
        committer: Committer,
        bus: Bus,
        options: Options,
        activities: Activities,
    ) -> None:
        self._pool = pool
        self._committer = committer
        self._bus = bus
        self._options = options
        self._activities = activities

    async def lease(self, subject: str, payload: bytes) -> Leased:
        _, _, _, _, holder = subject.split(".")
        asked = msgspec.json.decode(payload, type=Lease)
        seconds = timedelta(seconds=max(0.1, min(asked.seconds, 300)))
        return Leased(granted=await self._pool.fetchval(_LEASE, asked.name, holder, seconds) is not None)

    async def activity(self, subject: str, payload: bytes) -> Done:
        """What proxies have seen; routes that are no server's are passed over."""
        heard = msgspec.json.decode(payload, type=Activity).routes
        rows = await self._pool.fetch("select id, user_id, prefix from servers where prefix = any($1)", list(heard))
        for row in rows:
            self._activities.heard(f"server:{row['id']}", f"user:{row['user_id']}", at=heard[row["prefix"]])
        return Done()

    async def sweep(self, subject: str, payload: bytes) -> Swept:
        asked = msgspec.json.decode(payload, type=Sweep)
        settled = 0
        for proxy in [*asked.lost_proxies, *await self._stuck()]:
            settled += await self._lose_proxy(proxy)
        settled += await self._lost_workers(asked.lost, "kind = 'Spawning'")
        settled += await self._lost_workers(asked.gone, "true")
        for row in await self._pool.fetch(_OVERDUE):
            settled += await self._give_up(row["id"], _STATE.decode(row["state"]))
        settled += await self._expire()
        holders = await self._pool.fetch("select distinct holder from servers where holder is not null")
        proxies = await self._pool.fetch("select id from proxies")
        return Swept(
            settled=settled,
            holders=tuple(row["holder"] for row in holders),
            proxies=tuple(row["id"] for row in proxies),
        )

    async def _stuck(self) -> list[str]:
        # A running server's deadline is when it should have been routed at the very latest.
        left = timedelta(seconds=self._options.ours.route_timeout) - ROUTE_PATIENCE
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
        for row in rows:
            await lose(self._committer, self._options, row["holder"], row["id"], "its worker is lost")
        return len(rows)

    async def _give_up(self, id: str, seen: Server) -> int:
        """What is overdue ends as its state allows; decided again under the lock."""

        async def body(tx: Transaction) -> Server:
            state = await tx.state(SERVERS, id)
            if not isinstance(state, Held) or state.deadline > tx.now:
                return state  # type: ignore[no-any-return]
            kind = type(state).__name__
            failure = REASONS["Held" if kind == "Spawning" and state.holder else kind]
            deadline = tx.now + timedelta(seconds=STOP_SECONDS)
            state, events = await tx.act(SERVERS, id, GiveUp(attempt=state.attempt, failure=failure, deadline=deadline))
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

    async def _expire(self) -> int:
        """Tokens, sessions and codes that are over; tokens of servers that are."""
        codes = await self._pool.fetch("select id from codes where expires_at < now() limit 500")
        sessions = await self._pool.fetch("select id from sessions where expires_at < now() limit 500")
        expired = await self._pool.fetch("select id from tokens where expires_at < now() limit 500")
        orphaned = await self._pool.fetch(_ORPHANED_TOKENS)
        if not (codes or sessions or expired or orphaned):
            return 0

        async def body(tx: Transaction) -> None:
            for row in codes:
                await tx.act(CODES, row["id"], ExpireCode())
            for row in sessions:
                await tx.act(SESSIONS, row["id"], CloseSession(reason="expired"))
            await revoke_of(tx, [row["id"] for row in expired], "expired")
            await revoke_of(tx, [row["id"] for row in orphaned], "server stopped")

        await self._committer.submit(body, Context.of("sweep"))
        return len(codes) + len(sessions) + len(expired) + len(orphaned)
