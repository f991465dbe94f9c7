"""Stops servers by `c.Hubbub.cull`, in every sweep: those of which it may be time are looked at, and no others.

When to look again is a fact (`culls`): activity only moves an end further away, so until then there is nothing to see.
That groups have changed is seen within `LOOK`.
"""

import asyncio
from collections.abc import Collection
from datetime import timedelta

import asyncpg
import structlog

from hubbub.bus import Bus
from hubbub.config import Options
from hubbub.domain.message import Rejected
from hubbub.domain.server_messages import StopServer
from hubbub.domain.server_states import Held, Running
from hubbub.eventlog import Context
from hubbub.handle import Committer
from hubbub.rpc import Word
from hubbub.transaction import Transaction
from hubbub.views import SERVERS
from hubbub_api import remains
from hubbub_api.activity import Activities
from hubbub_api.cull_endings import JUDGED, Ending, ending
from hubbub_api.patience import STOP_SECONDS

log = structlog.get_logger()

#: A server is looked at once in this time at least.
LOOK = timedelta(minutes=1)
#: Servers in one look. What is left is the next sweep's.
AT_ONCE = 200

# Sweeps come every second; after a break of more than this the house has not listened, and begins anew.
_HEARING = """
    insert into hearing (since, at) values (now(), now()) on conflict ("only") do update
    set since = case when hearing.at < now() - interval '15 s' then now() else hearing.since end, at = now()
    where hearing.at < now() - interval '5 s'
"""
_NEW = """
    insert into culls (server, attempt, look_at)
    select s.id, s.attempt, now() from servers s left join culls c on c.server = s.id
    where s.kind = 'Running' and s.user_id <> '' and c.attempt is distinct from s.attempt
    on conflict (server) do update set attempt = excluded.attempt, look_at = excluded.look_at
"""
_DUE = "select server from culls where look_at <= now() order by look_at limit $1"
_LATER = """
    update culls c set look_at = l.at from unnest($1::text[], $2::timestamptz[]) l (server, at)
    where c.server = l.server
"""
_OVER = """
    delete from culls c where server = any($1)
    and not exists (select from servers s where s.id = c.server and s.kind = 'Running')
"""


class Culling:
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

    async def turn(self, lost: Collection[str]) -> int:
        """How many were asked to stop. *lost*: workers that are not heard of, whose servers wait for them."""
        if not self._options.cull.is_on:
            return 0
        await self._pool.execute(_HEARING)
        await self._pool.execute(_NEW)
        due = [row["server"] for row in await self._pool.fetch(_DUE, AT_ONCE)]
        if not due:
            return 0
        rows = await self._pool.fetch(f"{JUDGED} where s.id = any($1) and s.kind = 'Running'", due)
        judged = [each for row in rows if (each := ending(row, self._options, self._activities))]
        stopping = [each for each in judged if each.state.holder not in {None, *lost} and each.due(each.now)]
        # Put off before anything is stopped: what cannot be is no reason to look at nothing else.
        if later := {each.server: each.next_look(LOOK) for each in judged}:
            await self._pool.execute(_LATER, list(later), list(later.values()))
        if gone := [id for id in due if id not in later]:
            await self._pool.execute(_OVER, gone)
        return sum(await asyncio.gather(*(self._stop(each) for each in stopping)))

    async def _stop(self, seen: Ending) -> int:
        async def body(tx: Transaction) -> Held | None:
            """Decided again under the lock: somebody may have come back."""
            state = await tx.state(SERVERS, seen.server)
            if not isinstance(state, Running) or state.attempt != seen.state.attempt or state.holder is None:
                return None
            [row] = await tx.fetch(f"{JUDGED} where s.id = $1", seen.server)
            now = ending(row, self._options, self._activities)
            if now is None or (end := now.due(tx.now)) is None:
                return None
            deadline = tx.now + timedelta(seconds=STOP_SECONDS)
            await remains.act(tx, seen.server, StopServer(deadline=deadline, reason=end.reason))
            log.info("server.culled", server=seen.server, why=end.why, seconds=end.seconds)
            return state

        try:
            ended = await self._committer.submit(body, Context.of("sweep"), [(SERVERS, seen.server)])
        except Rejected:
            return 0
        if ended is None or not ended.holder:
            return 0
        await self._bus.signal(f"hub.holder.{ended.holder}", Word(server=seen.server, attempt=ended.attempt))
        return 1
