"""Attempts whose holder was lost, and which other workers can get at: who may have them now."""

from datetime import datetime, timedelta

import asyncpg

from hubbub.config import Options
from hubbub.domain.server_messages import ClaimAttempt
from hubbub.domain.server_states import Held, Running, Started, Stopping
from hubbub.rpc import Claim
from hubbub.transaction import Transaction
from hubbub.views import SERVERS
from hubbub_api.patience import STOP_SECONDS

#: What a worker may take over at once, so that others get their share.
MOST = 32

# Those that an admin waits for the end of, first.
_LOST = """
    select s.id, s.attempt, count(*) over () as waiting,
           coalesce(octet_length(o.value), 0) + coalesce(octet_length(v.value), 0) as size
    from servers s left join vault o on o.key = 'options:' || s.id left join vault v on v.key = 'state:' || s.id
    where s.holder is null and s.kind in ('Started', 'Running', 'Stopping')
    and s.pool = $1 and s.reach = $2 and ($2 = 'pool' or s.host = $3)
    order by s.kind = 'Stopping' desc, s.deadline, s.number limit $4
"""
_BEFORE = """
    select distinct s.id from events e join servers s on s.id = substring(e.stream from 8)
    where e.command_id = $1 and e.type = 'ServerAdopted' and s.holder = $2
"""


async def before(tx: Transaction, asked: Claim, worker: str) -> list[str]:
    """The servers (by id) that this very claim got when it was sent before."""
    if not asked.id or asked.reach == "process":
        return []
    return [row["id"] for row in await tx.fetch(_BEFORE, asked.id, worker)]


async def waiting(tx: Transaction, asked: Claim, pool: str) -> list[asyncpg.Record]:
    """What a worker could take over now: rows with `id`, `size` (bytes of what it is told), and `waiting`, how many
    there are. What is a process waits for nobody: workers of its host find it on their own.
    """
    if asked.room <= 0 or asked.reach == "process":
        return []
    return await tx.fetch(_LOST, pool, asked.reach, asked.host, min(asked.room, MOST))


async def take(tx: Transaction, options: Options, id: str, worker: str, asked: Claim) -> None:
    """The server (by id) is *worker*'s from now on."""
    state = await tx.state(SERVERS, id)
    assert isinstance(state, Held)
    command = ClaimAttempt(
        attempt=state.attempt,
        worker=worker,
        host=asked.host,
        token=state.token or "",
        deadline=_deadline(tx.now, options, state),
        reach=state.reach,
    )
    await tx.act(SERVERS, id, command)


def _deadline(now: datetime, options: Options, state: Held) -> datetime:
    """As if it had just come into this state."""
    match state:
        case Started():
            seconds = options.spawner.http_timeout + 10
        case Running():
            seconds = options.ours.route_timeout
        case Stopping():
            seconds = STOP_SECONDS
        case _:
            raise AssertionError(state)
    return now + timedelta(seconds=seconds)
