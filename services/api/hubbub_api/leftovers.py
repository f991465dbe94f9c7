"""What is left of attempts that are over: which worker is to end it now."""

import time
from datetime import datetime, timedelta

import asyncpg

from hubbub.config import Options
from hubbub.domain.names import prefix
from hubbub.domain.server_messages import Leftover
from hubbub.domain.server_states import Known, Stopping
from hubbub.rpc import Claim
from hubbub.transaction import Transaction
from hubbub.views import SERVERS
from hubbub_api.letter import Letter
from hubbub_api.patience import STOP_SECONDS
from hubbub_api.remains import job
from hubbub_api.specs import Job

#: Seconds for which one worker alone is to end a leftover: it has to have given up by then, a moment before.
LEASE = STOP_SECONDS + 10
#: Seconds until what could not be ended is tried again.
AGAIN = 10
#: What one worker ends at the same time.
MOST = 16
#: Seconds between two looks for a worker for which there was nothing.
EVERY = 1.0

# A process is told from any other by the worker that looks at it. Whatever else is left is ended only where no attempt
# is under way that it could be taken for, and by a worker that runs the kind of spawner which made it.
_JOBS = """
    select s.id, l.attempt, u.name as owner,
           coalesce(octet_length(o.value), 0) + coalesce(octet_length(v.value), 0) as size from servers s
    cross join lateral json_to_recordset(s.state::json -> 'leftovers')
        as l (attempt int, host text, pool text, reach text)
    left join users u on u.id = s.user_id
    left join leases x on x.name = 'leftover:' || s.id || ':' || l.attempt
    left join vault o on o.key = 'options:' || s.id left join vault v on v.key = 'state:' || s.id || ':' || l.attempt
    where s.leftovers > 0 and (x.name is null or x.until < $5 or x.holder = $4)
    and case when coalesce(l.reach, 'process') = 'process' then l.host = $1
        else l.reach = $2 and l.pool = $3 and (l.reach = 'pool' or l.host = $1)
            and (s.kind = 'Stopped' or (s.kind = 'Spawning' and s.holder is null)
                or (l.reach = 'host' and s.reach = 'host' and s.host <> l.host))
        end
    order by s.number, l.attempt
    limit greatest(0, $7 - (select count(*) from leases where name like 'leftover:%'
        and split_part(holder, ' ', 1) = $6 and holder <> $4 and until > $5))
"""
_LEASE = """
    insert into leases (name, holder, until) values ($1, $2, $3)
    on conflict (name) do update set holder = excluded.holder, until = excluded.until
"""
_LATER = "update leases set until = $3 where name = $1 and split_part(holder, ' ', 1) = $2"
_RELEASE = "delete from leases where name like 'leftover:%' and split_part(holder, ' ', 1) = any($1)"


class Leftovers:
    """`every`: see `EVERY`."""

    def __init__(self, options: Options, *, every: float = EVERY) -> None:
        self._options = options
        self._every = every
        self._nothing: dict[str, float] = {}

    async def lease(self, tx: Transaction, asked: Claim, pool: str, worker: str, letter: Letter) -> list[Job]:
        """What *worker* alone is to end, within `LEASE` seconds from now: as much as goes into *letter*. The same claim
        gets the same.
        """
        now = time.monotonic()
        if now - self._nothing.get(worker, -self._every) < self._every:
            return []
        holder = f"{worker} {asked.id}"
        rows = await tx.fetch(_JOBS, asked.host, asked.reach, pool, holder, tx.now, worker, MOST)
        if not rows:
            self._nothing[worker] = now
            return []
        until = tx.now + timedelta(seconds=LEASE)
        jobs = []
        for row in letter.take(rows):
            state = await tx.state(SERVERS, row["id"])
            left = next(left for left in state.leftovers if left.attempt == row["attempt"])
            tx.later(_LEASE, job(row["id"], left.attempt), holder, until)
            jobs.append(Job(server=row["id"], state=self._stopping(state, left, row["owner"] or "", worker, until)))
        return jobs

    def _stopping(self, state: Known, left: Leftover, owner: str, worker: str, until: datetime) -> Stopping:
        return Stopping(
            user=state.user,
            name=state.name,
            display_name=state.display_name,
            attempt=left.attempt,
            since=until,
            pool=left.pool,
            prefix=prefix(self._options.base_url, owner, state.name) if owner else "",
            deadline=until,
            holder=worker,
            host=left.host,
            token=left.token or None,
            reach=left.reach,
            url=left.url,
        )


def put_off(tx: Transaction, server: str, attempt: int, worker: str) -> None:
    """*worker* could not end it now: somebody is to try again a little later."""
    tx.later(_LATER, job(server, attempt), worker, tx.now + timedelta(seconds=AGAIN))


async def release(pool: "asyncpg.Pool[asyncpg.Record]", *workers: str) -> None:
    """Those *workers* are gone, or have just begun: nobody ends what they were to end."""
    await pool.execute(_RELEASE, list(workers))
