"""Figures that JupyterHub has none of: the log and its relay, queues, workers, routes, leftovers, the infrastructure.

Whatever can be told from Postgres is the same on every api. Who is alive is what this one has heard; of that nothing is
said until it could have heard of everybody.
"""

import time
from collections import Counter
from collections.abc import Iterable
from datetime import timedelta

import asyncpg
import msgspec
from aiohttp import web
from nats.aio.msg import Msg

from hubbub.telling import EVERY, About, told
from hubbub.vitals import Vitals
from hubbub.watch_messages import Head, Heartbeat
from hubbub.web.request import GATE
from hubbub_api import webhook_cursors, workers
from hubbub_api.colleagues import Colleagues
from hubbub_api.keys import COLLEAGUES, FOLLOWER, POLLERS, POOL, PROXY_SYNCS
from hubbub_api.metrics_events import EventCounts
from hubbub_api.metrics_text import Text
from hubbub_api.sweeps import ROUTE_PATIENCE
from hubbub_api.workers import Worker

#: Seconds for which the size of the database is good: to find it out, all of its files are looked at.
SIZE_KEPT = 60.0
STATES = ("spawning", "started", "running", "stopping")

_RELAY = """
    select h.epoch, (select b.position from bookmarks b where b.reader = 'relay') as marked from log_head h
"""
_UNSENT = """
    select extract(epoch from clock_timestamp() - recorded_at)::float8 as seconds
    from events where position > $1 order by position limit 1
"""
_SERVERS = "select pool, kind, count(*) as number from servers where kind <> 'Stopped' group by pool, kind"
_QUEUES = """
    select pool, count(*) as number, extract(epoch from clock_timestamp() - min(since))::float8 as oldest
    from servers where kind = 'Spawning' and holder is null group by pool
"""
# Of servers of people: what their routes should be does not depend on the configuration.
_ROUTES = """
    select p.id as proxy, count(s.id) as wanted, count(r.id) as there,
           count(s.id) filter (where r.id is null and s.deadline < now() + $1::interval) as overdue
    from proxies p left join servers s on s.kind = 'Running' and s.user_id <> ''
    left join routes r on r.id = p.id || '.' || s.id and r.attempt = s.attempt group by p.id
"""
_LEFTOVERS = "select coalesce(sum(leftovers), 0) from servers where leftovers > 0"
_TELLERS = """
    select distinct on (service, process) service, process, about from tellers
    where at > now() - $1 * interval '1 second' and about <> '' order by service, process, at desc
"""
_DATABASE = """
    select pg_database_size(d.datname) as bytes, d.numbackends as connections,
           current_setting('max_connections')::int as most
    from pg_stat_database d where d.datname = current_database()
"""


class Heads:
    """How far the log was sent, as the api that sends it says every second."""

    def __init__(self) -> None:
        self._last: Head | None = None

    async def hear(self, message: Msg) -> None:
        try:
            self._last = msgspec.json.decode(message.data, type=Head)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return

    def position(self, epoch: str) -> int | None:
        return self._last.position if self._last is not None and self._last.epoch == epoch else None


class OurFigures:
    """`write` must not be called by two at the same time."""

    def __init__(self) -> None:
        self.heads = Heads()
        self._events = EventCounts()
        self._size: asyncpg.Record | None = None
        self._size_at = 0.0

    async def write(self, text: Text, app: web.Application) -> None:
        pool = app[POOL]
        await self._write_log(text, pool)
        await _write_servers(text, app)
        await _write_workers(text, app)
        await _write_routes(text, app)
        await _write_webhooks(text, app)
        await _write_processes(text, app)
        await self._write_database(text, pool)

    async def _write_log(self, text: Text, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        head, counted = await self._events.news(pool)
        text.gauge("hubbub_log_position", "The position of the last event", head)
        by_type = {(kind,): number for kind, number in sorted(counted.items())}
        text.counters("hubbub_events_total", "How many events the log has", ("type",), by_type.items())
        row = await pool.fetchrow(_RELAY)
        assert row is not None
        sent = self.heads.position(row["epoch"])
        sent = min(head, (row["marked"] or 0) if sent is None else sent)
        seconds = await pool.fetchval(_UNSENT, sent) if sent < head else 0.0
        text.gauge("hubbub_relay_lag_events", "How many events the bus has not got", head - sent)
        text.gauge("hubbub_relay_lag_seconds", "How long the first of them has been there", max(0.0, seconds or 0.0))

    async def _write_database(self, text: Text, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        now = time.monotonic()
        if self._size is None or now - self._size_at >= SIZE_KEPT:
            self._size, self._size_at = await pool.fetchrow(_DATABASE), now
        if self._size is not None:
            text.gauge("hubbub_database_bytes", "How large the database is", self._size["bytes"])
            text.gauge("hubbub_database_connections", "Connections to it, of anybody", self._size["connections"])
            text.gauge("hubbub_database_most_connections", "How many it allows", self._size["most"])


async def _write_servers(text: Text, app: web.Application) -> None:
    pool, pools = app[POOL], app[GATE].options.pools
    numbers = {(name, state): 0 for name in pools for state in STATES}
    for row in await pool.fetch(_SERVERS):
        numbers[row["pool"] or "", row["kind"].lower()] = row["number"]
    waiting = dict.fromkeys(((name,) for name in pools), 0)
    oldest = dict.fromkeys(waiting, 0.0)
    for row in await pool.fetch(_QUEUES):
        waiting[row["pool"] or "",], oldest[row["pool"] or "",] = row["number"], max(0.0, row["oldest"] or 0.0)
    text.gauges("hubbub_servers", "Servers, services among them, by what they do", ("pool", "state"), numbers.items())
    text.gauges("hubbub_queue_length", "Starts that no worker has taken yet", ("pool",), waiting.items())
    text.gauges("hubbub_queue_oldest_seconds", "How long the first of them has waited", ("pool",), oldest.items())
    text.gauge("hubbub_orphans", "Attempts that may not have ended", await pool.fetchval(_LEFTOVERS))


# Who works here -------------------------------------------------------------------------


async def _write_workers(text: Text, app: web.Application) -> None:
    """Somebody silent is there for as long as the log has something for them: other apis may never have heard them."""
    if not app[COLLEAGUES].has_heard:
        return
    known = [each for each in await workers.workers(app) if each.alive or each.holds.all]
    number: Counter[tuple[str, str]] = Counter((each.pool, each.status) for each in known)
    statuses = ("up", "draining", "drained", "silent")
    pools = {**dict.fromkeys(app[GATE].options.pools), **dict.fromkeys(each.pool for each in known)}
    by_pool = {(pool, each): number[pool, each] for pool in pools for each in statuses}
    text.gauges("hubbub_workers", "Workers", ("pool", "status"), by_pool.items())
    held = {(each.pool, each.name, state): getattr(each.holds, state) for each in known for state in STATES}
    text.gauges("hubbub_worker_servers", "Servers that a worker holds", ("pool", "worker", "state"), held.items())
    _write_limits(text, known)


def _write_limits(text: Text, known: Iterable[Worker]) -> None:
    """Nothing for a worker without one."""
    capacity = {(each.pool, each.name): each.capacity for each in known if each.capacity}
    starts = {(each.pool, each.name): each.starts for each in known if each.starts}
    text.gauges("hubbub_worker_capacity", "How many servers it holds at most", ("pool", "worker"), capacity.items())
    text.gauges("hubbub_worker_starts", "How many of them may be on their way up", ("pool", "worker"), starts.items())


async def _write_routes(text: Text, app: web.Application) -> None:
    left = max(0.0, app[GATE].options.ours.route_timeout - ROUTE_PATIENCE.total_seconds())
    rows = await app[POOL].fetch(_ROUTES, timedelta(seconds=left))
    found = {(row["proxy"], state): row[state] for row in rows for state in ("wanted", "there", "overdue")}
    text.gauges("hubbub_routes", "Routes of servers of people", ("proxy", "state"), found.items())
    text.gauge("hubbub_proxies", "Proxies that count", len(rows))


async def _write_webhooks(text: Text, app: web.Application) -> None:
    cursors = await webhook_cursors.all_of(app[POOL], [each.name for each in app[GATE].options.ours.webhooks])
    ends = app[FOLLOWER].position
    behind = {(name,): max(0, ends - each.position) for name, each in cursors.items()}
    failed = {(name,): each.attempts for name, each in cursors.items()}
    text.gauges("hubbub_webhook_behind_events", "Events that its receiver has not got", ("webhook",), behind.items())
    text.gauges("hubbub_webhook_failures", "How often what is next was sent in vain", ("webhook",), failed.items())


# Processes ------------------------------------------------------------------------------


async def _write_processes(text: Text, app: web.Application) -> None:
    """Those of all services that were heard of lately."""
    rows = await app[POOL].fetch(_TELLERS, 3 * EVERY)
    tellers = {(row["service"], row["process"]): about for row in rows if (about := told(row["about"])) is not None}
    beats = {(beat.service, beat.name): beat for who in _signals(app) for beat in _alive(who)}
    versions = Counter((service, about.version) for (service, _), about in tellers.items())
    versions.update((beat.service, beat.version or "unknown") for beat in beats.values())
    found = dict(sorted(versions.items()))
    text.gauges("hubbub_processes", "Processes that are alive", ("service", "version"), found.items())
    seen = {key: about.vitals for key, about in tellers.items()}
    seen |= {key: beat.vitals for key, beat in beats.items() if beat.vitals is not None}
    write_vitals(text, seen)
    write_connections(text, tellers)


def _signals(app: web.Application) -> tuple[Colleagues, ...]:
    return app[COLLEAGUES], app[PROXY_SYNCS], app[POLLERS]


def _alive(who: Colleagues) -> list[Heartbeat]:
    return [heard.beat for heard in who.known().values() if heard.alive]


_VITALS = (
    ("process_resident_memory_bytes", "Memory of a process of the house", "memory"),
    ("process_virtual_memory_bytes", "Addresses that it has", "virtual"),
    ("process_open_fds", "Files that it has open", "files"),
    ("process_max_fds", "How many it may have open", "most_files"),
    ("process_start_time_seconds", "When it began", "began"),
)


def write_vitals(text: Text, seen: dict[tuple[str, str], Vitals]) -> None:
    """By service and name of a process."""
    labels = ("service", "process")
    for name, words, field in _VITALS:
        values = {key: getattr(each, field) for key, each in sorted(seen.items())}
        text.gauges(name, words, labels, values.items())
    spent = {key: each.cpu for key, each in sorted(seen.items())}
    text.counters("process_cpu_seconds_total", "Time that it has computed for", labels, spent.items())


def write_connections(text: Text, tellers: dict[tuple[str, str], About]) -> None:
    """By service and name of a process."""
    bus = {key: each.bus for key, each in tellers.items() if each.bus is not None}
    text.gauges("hubbub_bus_connected", "Whether it reaches NATS", ("service", "process"), bus.items())
    pooled: dict[tuple[str, ...], float] = {}
    for key, each in tellers.items():
        pooled[*key, "busy"], pooled[*key, "idle"] = each.connections - each.idle, each.idle
    words = "Its connections to Postgres, for reading"
    text.gauges("hubbub_postgres_connections", words, ("service", "process", "state"), pooled.items())
