"""The queue of each pool: which waiting starts are next, how many of them may go, and who is told that one may.

Those who ask take turns: whoever has had one comes after everybody who has waited since before it. So 200 starts
that one instructor asks for keep nobody waiting for more than one of them at a time (see ADR 14). Turns are facts
(table `turns`): the log says when a start was asked for, by whom, and when it was taken; whose turn it was then need
not be replayed.
"""

import asyncio
from collections.abc import Callable, Sequence

import asyncpg
import structlog

from hubbub.away import AWAY
from hubbub.bus import Bus
from hubbub.config import Options
from hubbub.domain.server_states import Spawning
from hubbub.eventlog import Recorded
from hubbub.rpc import Done
from hubbub.subjects import token
from hubbub.transaction import Transaction
from hubbub_api.line import IN_ORDER, ORDER
from hubbub_api.specs import CAUSE

log = structlog.get_logger()

#: How soon after one another workers are told that they may start more.
_PAUSE = 0.1

_FIRST = f"""
    select s.*, cause.meta, coalesce(octet_length(o.value), 0) + coalesce(octet_length(r.value), 0)
           + coalesce(octet_length(a.value), 0) as size from (
        select q.*, u.name
        from ({IN_ORDER} where q.turn <= $3 order by q.turn, key, q.number) q left join users u on u.id = q.user_id
        where (u.id is not null or q.user_id = '') and ($4 or q.user_id = '') order by {ORDER} limit $3
    ) s left join vault o on o.key = 'options:' || s.id left join vault r on r.key = 'request:' || s.id
    left join vault a on a.key = 'auth_state:' || s.user_id {CAUSE}
    order by s.turn, s.key, s.number
"""
_UNDER_WAY = """
    select count(*) from servers where kind in ('Spawning', 'Started') and holder is not null and user_id <> ''
"""
_TURNS = """
    insert into turns (pool, asker, at) select $1, asker, $3 from unnest($2::text[]) as a (asker)
    on conflict (pool, asker) do update set at = excluded.at
"""
_GIVE_BACK = "delete from turns where pool = $1 and asker = $2"
_POOLS = "select distinct pool from servers where kind = 'Spawning' and holder is null"


async def first(tx: Transaction, options: Options, pool: str, host: str, most: int) -> list[asyncpg.Record]:
    """The starts that a worker on *host* may have now, *most* at most, the next one first.

    Rows with `id`, `name` (of the owner), `meta` (of what asked for it), `size` (bytes of what it is told), `asker`,
    and `waiting`, how many there are.
    """
    allowed = await _allowed(tx, options)
    rows = await tx.fetch(_FIRST, pool, host, most, allowed != 0) if most else []
    if allowed is None:
        return rows
    people = [row["id"] for row in rows if row["user_id"]][:allowed]
    return [row for row in rows if not row["user_id"] or row["id"] in people]


def take(tx: Transaction, pool: str, rows: Sequence[asyncpg.Record]) -> None:
    """Those who asked for *rows* have had their turn."""
    if askers := {row["asker"] for row in rows}:
        tx.later(_TURNS, pool, sorted(askers), tx.now)


def give_back(tx: Transaction, again: Spawning) -> None:
    """What came of their turn was nothing: the start, which is asked for *again*, is to have the place that it had."""
    tx.later(_GIVE_BACK, again.pool, again.asker or again.user)


async def _allowed(tx: Transaction, options: Options) -> int | None:
    """How many people's starts may be handed out now; null: any number. Managed services are never kept waiting."""
    limit = options.hub.concurrent_spawn_limit
    if not limit or not options.ours.queue_spawns:
        return None
    [row] = await tx.fetch(_UNDER_WAY)
    return max(0, limit - int(row[0]))


class Openings:
    """Tells workers that they may start more, when `c.JupyterHub.concurrent_spawn_limit` was what kept them.

    Run `run` as a task, in every api; *leads*: whether this one is to speak.
    """

    FREES = frozenset({"ServerResponded", "SpawnFailed", "AttemptLost", "HolderLost", "ServerStopped", "ServerCrashed"})

    def __init__(
        self, source: "asyncpg.Pool[asyncpg.Record]", bus: Bus, options: Options, leads: Callable[[], bool]
    ) -> None:
        self._source = source
        self._bus = bus
        self._needed = options.ours.queue_spawns and options.hub.concurrent_spawn_limit > 0
        self._leads = leads
        self._freed = asyncio.Event()

    def hear(self, record: Recorded) -> None:
        """For `hubbub.follow`."""
        if self._needed and record.type in self.FREES:
            self._freed.set()

    async def run(self) -> None:
        while True:
            await self._freed.wait()
            self._freed.clear()
            if self._leads():
                try:
                    await self._tell()
                except (asyncpg.PostgresError, *AWAY) as error:  # workers ask by themselves too
                    log.warning("queue.not_told", error=str(error) or type(error).__name__)
            await asyncio.sleep(_PAUSE)

    async def _tell(self) -> None:
        for row in await self._source.fetch(_POOLS):
            await self._bus.signal(f"hub.ticket.pool.{token(row['pool'])}", Done())
