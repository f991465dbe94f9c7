"""Stops what runs when its hours are used up, and tells its owner before: the live part of `hubbub_api.quotas`.

In every sweep those people are looked at of whom as many servers run as did not when they were looked at last, or whose
hours may be over by now; everybody once in `LOOK`, since groups change, too. What this process keeps in mind is only
when to look: what was used is added up each time.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg
import structlog
from aiohttp import web

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
from hubbub.web.request import GATE
from hubbub_api import quotas, remains
from hubbub_api.house import Notice
from hubbub_api.keys import POOL
from hubbub_api.patience import STOP_SECONDS
from hubbub_api.quotas import Use
from hubbub_api.rows import ServerRow

log = structlog.get_logger()

#: Seconds: how often somebody is looked at, at least and at most; and how many people in one sweep.
SOON, LOOK, AT_ONCE = 1.0, 60.0, 100
#: The owner is told so long before the end, or when a tenth of the hours is left if that is less.
WARNING = timedelta(hours=1)

_RUNNING = """
    select user_id, count(*) as running from servers
    where kind in ('Started', 'Running', 'Stopping') and user_id <> '' group by user_id
"""
_SERVERS = "select id from servers where user_id = $1 and kind = 'Running' and holder is not null"


@dataclass(frozen=True)
class Look:
    """`running`: how many servers ran then; `again`: when to look again, by this process's clock."""

    running: int
    again: float


class QuotaEnds:
    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", committer: Committer, bus: Bus, options: Options) -> None:
        self._pool = pool
        self._committer = committer
        self._bus = bus
        self._quotas = options.quotas
        self._looks: dict[str, Look] = {}

    async def turn(self) -> int:
        """How many servers were asked to stop."""
        if not self._quotas.counts_hours:
            return 0
        rows = await self._pool.fetch(_RUNNING)
        running = {row["user_id"]: row["running"] for row in rows}
        self._looks = {id: look for id, look in self._looks.items() if id in running}
        now, never = time.monotonic(), Look(0, 0.0)
        due = [
            id
            for id, number in running.items()
            if (look := self._looks.get(id, never)).again <= now or look.running != number
        ]
        due.sort(key=lambda person: self._looks.get(person, never).again)
        stopped = 0
        for id, person in (await quotas.people(self._pool, self._quotas, due[:AT_ONCE])).items():
            self._looks[id] = Look(running[id], time.monotonic() + _pause(person.uses))
            if over := first_over(person.uses):
                stopped += await self._end_all(id, over)
        return stopped

    async def _end_all(self, user: str, over: Use) -> int:
        rows = await self._pool.fetch(_SERVERS, user)
        return sum(await asyncio.gather(*(self._stop(row["id"], over) for row in rows)))

    async def _stop(self, server: str, over: Use) -> int:
        async def body(tx: Transaction) -> Held | None:
            state = await tx.state(SERVERS, server)
            if not isinstance(state, Running) or state.holder is None:
                return None
            deadline = tx.now + timedelta(seconds=STOP_SECONDS)
            await remains.act(tx, server, StopServer(deadline=deadline, reason=f"quota: {over.quota.words}"))
            return state

        try:
            ended = await self._committer.submit(body, Context.of("sweep"), [(SERVERS, server)])
        except Rejected:
            return 0
        if ended is None or not ended.holder:
            return 0
        log.info("server.quota_used", server=server, quota=over.quota.words, group=over.quota.group)
        await self._bus.signal(f"hub.holder.{ended.holder}", Word(server=server, attempt=ended.attempt))
        return 1


def first_over(found: Sequence[Use]) -> Use | None:
    """What is used up, if anything is."""
    return next((use for use in found if use.quota.hours and not use.left), None)


def _pause(found: Sequence[Use]) -> float:
    """Seconds until something may be used up. What somebody else can use up, too, is looked at more often."""
    left = [(end - use.now).total_seconds() for use in found if (end := use.ends_at)]
    longest = LOOK / 6 if any(use.quota.group for use in found) else LOOK
    return min(longest, max(SOON, min(left, default=longest)))


# What owners are told ---------------------------------------------------------------------


async def notices(app: web.Application, rows: Sequence[ServerRow]) -> Mapping[str, Notice]:
    """By server id, of those whose hours will be used up if all goes on as it does now."""
    quota = app[GATE].options.quotas
    if not quota.counts_hours:
        return {}
    running = [row for row in rows if isinstance(row.state, Running)]
    found: dict[str, Notice] = {}
    people = await quotas.people(app[POOL], quota, list({row.user_id for row in running}))
    for id, person in people.items():
        ending = [(end, use) for use in person.uses if (end := use.ends_at)]
        if ending:
            end, use = min(ending, key=lambda pair: pair[0])
            found |= {row.id: _notice(row, person.name, end, use) for row in running if row.user_id == id}
    return found


def _notice(row: ServerRow, owner: str, end: datetime, use: Use) -> Notice:
    return Notice(
        server=row.name,
        deadline=end,
        message=f"By then {use.quota.words} are used up, which is what {quotas.whose(use.quota, owner)} may use.",
        told_from=end - min(WARNING, use.quota.time / 10),
    )
