"""Keeps the managed services running, once each over all replicas: each is a server that nobody but us asks for.

Which configuration of a service counts is a fact (`settled`), put down by the api that started last. An api
whose own differs leaves the service alone, so that two of them in the middle of an upgrade do not quarrel.
Without that fact nobody starts the service: so `hubbub.admin.stop_all` has them stay down.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import asyncpg
import structlog

from hubbub.bus import Bus
from hubbub.config import Options
from hubbub.domain.server_messages import CreateServer, Failure, GiveUp, StartServer
from hubbub.domain.server_states import Absent, Running, Spawning, Started, Stopped
from hubbub.eventlog import Context
from hubbub.handle import Committer
from hubbub.managed import Managed, prefix_of
from hubbub.rpc import Word
from hubbub.transaction import Transaction
from hubbub.views import SERVERS
from hubbub_api.patience import STOP_SECONDS

log = structlog.get_logger()

CHANGED = Failure(reason="changed", message="The configuration of the service has changed")

#: Who lived for so long does not keep dying.
STEADY = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(minutes=1)

#: Enough events for as many deaths as it takes to come to the longest pause.
_HISTORY = 80
_LIVES = """
    select case when data::json -> 'failure' ->> 'reason' = 'changed' then 'StopRequested' else type end as type,
           recorded_at as at
    from events where stream = $1 order by version desc limit $2
"""
_DOWN = """
    select x.section as id, x.hash from settled x left join servers s on s.id = x.section
    where x.section = any($1) and coalesce(s.kind, 'Stopped') = 'Stopped'
"""
_SETTLED = "select section, hash from settled where section like 'managed:%'"
_SETTLE = "insert into settled (section, hash) values ($1, $2) on conflict (section) do update set hash = excluded.hash"
_UNSETTLE = "delete from settled where section = $1"

_BEGINS, _LIVED = "SpawnRequested", "ServerResponded"
_ENDS = frozenset({"AttemptLost", "ServerCrashed", "ServerStopped", "SpawnFailed"})
_WISHED = "StopRequested"


class ManagedServices:
    """*services*: those of this process's configuration, by id."""

    def __init__(
        self,
        pool: "asyncpg.Pool[asyncpg.Record]",
        committer: Committer,
        bus: Bus,
        options: Options,
        services: Mapping[str, Managed],
    ) -> None:
        self._pool = pool
        self._committer = committer
        self._bus = bus
        self._options = options
        self._services = services

    async def settle(self) -> None:
        """Our configuration counts from now on: what runs by another is stopped, what is new is started."""
        ours = {id: service.digest for id, service in self._services.items()}

        async def body(tx: Transaction) -> tuple[list[str], list[tuple[str, Word]]]:
            settled = {row["section"]: row["hash"] for row in await tx.fetch(_SETTLED)}
            changed = sorted(id for id in settled | ours if settled.get(id) != ours.get(id))
            told = [word for id in changed for word in await self._end(tx, id)]
            for id in changed:
                if id in ours:
                    tx.later(_SETTLE, id, ours[id])
                else:
                    tx.later(_UNSETTLE, id)
            return changed, told

        changed, told = await self._committer.submit(body, Context.of("configuration"))
        for holder, word in told:
            await self._bus.signal(f"hub.holder.{holder}", word)
        for id in changed:
            if id in ours:  # however often it died: it may have been mended
                await self._start(self._services[id], at_once=True)
        await self.keep()

    async def keep(self) -> int:
        """Start those that are down and should not be, unless they die again and again: how many."""
        if not self._services:
            return 0
        rows = await self._pool.fetch(_DOWN, list(self._services))
        started = [await self._start(service) for service in self._down(rows)]
        return sum(started)

    def _down(self, rows: Iterable[asyncpg.Record]) -> list[Managed]:
        return [self._services[row["id"]] for row in rows if self._services[row["id"]].digest == row["hash"]]

    async def _end(self, tx: Transaction, id: str) -> list[tuple[str, Word]]:
        """Whom to tell."""
        state = await tx.state(SERVERS, id)
        if not isinstance(state, Spawning | Started | Running):
            return []
        deadline = tx.now + timedelta(seconds=STOP_SECONDS)
        await tx.act(SERVERS, id, GiveUp(attempt=state.attempt, failure=CHANGED, deadline=deadline))
        log.info("service.changed", service=state.name)
        return [(state.holder, Word(server=id, attempt=state.attempt))] if state.holder else []

    async def _start(self, service: Managed, *, at_once: bool = False) -> bool:
        id, ours = service.id, self._options.ours

        async def body(tx: Transaction) -> bool:
            state = await tx.state(SERVERS, id)
            if not isinstance(state, Absent | Stopped):
                return False
            settled = await tx.fetch(f"{_SETTLED} and section = $1 and hash = $2", id, service.digest)
            lives = await tx.fetch(_LIVES, SERVERS.stream(id), _HISTORY)
            due = tx.now if at_once else next_start([(row["type"], row["at"]) for row in lives], tx.now)
            if not settled or tx.now < due:
                return False
            if isinstance(state, Absent):
                tx.welcome(id)
                await tx.act(SERVERS, id, CreateServer(user="", name=service.name))
            command = StartServer(
                at=tx.now,
                pool=ours.pool,
                prefix=prefix_of(self._options.base_url, service.name),
                deadline=tx.now + timedelta(seconds=ours.queue_timeout),
                retries=0,  # it is asked for again as long as it is wanted
            )
            state, _ = await tx.act(SERVERS, id, command)
            log.info("service.wanted", service=service.name, attempt=state.attempt)
            return True

        return await self._committer.submit(body, Context.of("configuration"), [(SERVERS, id)])


def next_start(history: Sequence[tuple[str, datetime]], now: datetime) -> datetime:
    """When a service that is down may start again. *history*: its events, type and time, newest first.

    At once after a stop that was wished for, after a death that followed upon a long life, and after a first
    death. Then after a second, two, four: a minute at most.
    """
    deaths, died = 0, now
    end = alive = None
    for type, at in history:
        if type == _WISHED:
            break
        if type in _ENDS:
            end = end or at  # the newest: an attempt that fails has its process end later
            died = died if deaths else end
        elif type == _LIVED:
            alive = at
        elif type == _BEGINS and end is not None:
            deaths += 1
            if alive is not None and end - alive >= STEADY:
                break
            end = alive = None
    if deaths < 2:
        return now
    return died + min(LONGEST_PAUSE, timedelta(seconds=2 ** min(deaths - 2, 10)))
