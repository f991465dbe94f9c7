"""What happened in each step of time, and how many servers there were at its end: counted from the log, for pictures.

What is over never changes. So each step is counted once, in bites small enough that nobody waits behind a month of
them, and kept; only those that the log may still add to are counted again. Of a million events in thirty days a step
of that takes some milliseconds, and all of them together, once in the life of a process, a few seconds: no table is
kept for it.
"""

import asyncio
import time
from array import array
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from math import ceil
from typing import Any
from weakref import WeakValueDictionary

import asyncpg

from hubbub_api.durations import tag

#: Steps that are remembered, and those that may be asked for at once.
KEPT = 4000
MOST = 400
#: Events that one query goes through, about.
BITE = 20_000
#: Seconds for which what is not over yet is taken as counted.
FRESH = 1.0

CANCELLED = "cancelled"
#: What the picture of each kind of server is called.
STATES = {"Spawning": "starting", "Started": "starting", "Running": "running", "Stopping": "stopping"}

_HEAD = """
    select extract(epoch from h.at)::float8 as head, extract(epoch from b.at)::float8 as beginning
    from log_head h, history.beginning b
"""
_HOW_MANY = """
    select coalesce((select position from events where recorded_at >= $2 order by recorded_at limit 1), h.position + 1)
        - coalesce((select position from events where recorded_at >= $1 order by recorded_at limit 1), h.position + 1)
    from log_head h
"""
# Read from an index alone (`events_figures`): the log itself is looked at only for what a failure was, and for when a
# start was asked for that began before these steps. What was lost and asked for again in one commit is the same start.
_EVENTS = """
    with told as materialized (
        select recorded_at as at, position, type, stream, version from events
        where recorded_at >= $1 and recorded_at < $2
            and type in ('SpawnRequested', 'ServerResponded', 'SpawnFailed', 'AttemptLost', 'SessionOpened')
            and position >= (select oldest from log_head)
    ), beside as (
        select *, lag(type) over w as before, lag(at) over w as at_before,
               lead(type) over w as after, lead(at) over w as at_after
        from told where stream not like 'server-managed:%' window w as (partition by stream order by position)
    ), once as (
        select * from beside where not coalesce(
            type = 'SpawnRequested' and before = 'AttemptLost' and at_before = at
            or type = 'AttemptLost' and after = 'SpawnRequested' and at_after = at, false)
    ), asked as (
        select *, max(at) filter (where type = 'SpawnRequested') over (partition by stream order by position) as wish
        from once
    )
    select floor(extract(epoch from at) / $3)::bigint as step, type, count(*) as number,
           case type when 'AttemptLost' then 'lost' when 'SpawnFailed' then (
               select f.data::json #>> '{failure,reason}' from events f where f.position = a.position
           ) else '' end as reason,
           array_agg(extract(epoch from at - coalesce(wish, (
               select (r.data::json ->> 'at')::timestamptz from events r
               where r.stream = a.stream and r.version < a.version and r.type = 'SpawnRequested'
               order by r.version desc limit 1)))::float8) filter (where type = 'ServerResponded') as seconds
    from asked a group by 1, 2, 4
"""
_SERVERS = """
    select floor(extract(epoch from greatest(v.at, $1)) / $3)::bigint as step, s.kind, sum(v.by)::bigint as by
    from (
        select kind, began, ended from history.servers
        where ended = 'infinity' and kind <> 'Stopped' and user_id <> '' and began < $2
        union all
        select kind, began, ended from history.servers
        where ended < 'infinity' and kind <> 'Stopped' and user_id <> ''
            and tstzrange(began, ended) && tstzrange($1, $2)
    ) s cross join lateral (values (s.began, 1), (s.ended, -1)) as v (at, by)
    where v.at < $2 group by 1, 2 order by 1
"""


@dataclass(kw_only=True, slots=True)
class Step:
    """`servers`: people's servers that there were at its end, by what they are called in a picture; null if that is
    not known. `seconds`: how long starts took that became ready in it. `failed`: by reason.
    """

    servers: dict[str, int] | None = None
    asked: int = 0
    seconds: "array[float]" = field(default_factory=lambda: array("d"))
    failed: dict[str, int] = field(default_factory=dict)
    cancelled: int = 0
    logins: int = 0


class Steps:
    """*fresh*: see `FRESH`."""

    def __init__(self, *, fresh: float = FRESH) -> None:
        self._fresh = fresh
        self._over: OrderedDict[tuple[int, int], Step] = OrderedDict()
        self._open: dict[tuple[int, int], tuple[float, Step]] = {}
        self._turns: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    async def between(
        self, pool: "asyncpg.Pool[asyncpg.Record]", since: datetime, until: datetime, seconds: int
    ) -> list[Step]:
        """Steps of that many *seconds*, counted from 1970 on, from the one that *since* is in to the one that ends at
        *until* or has it in it. Those who ask for the same at the same time wait for each other.
        """
        first, last = int(since.timestamp() // seconds), ceil(until.timestamp() / seconds)
        turn = self._turns.setdefault(seconds, asyncio.Lock())
        async with turn:
            row = await pool.fetchrow(_HEAD)
            assert row is not None
            found = {number: known for number in range(first, last) if (known := self._known(seconds, number))}
            for run in _runs(number for number in range(first, last) if number not in found):
                async for bite in _bites(pool, run, seconds):
                    counted = await _count(pool, bite, seconds, row["beginning"])
                    found.update(counted)
                    self._keep(seconds, counted, row["head"])
        return [found[number] for number in range(first, last)]

    def _known(self, seconds: int, number: int) -> Step | None:
        key = seconds, number
        if (step := self._over.get(key)) is not None:
            self._over.move_to_end(key)
            return step
        counted_at, step = self._open.get(key, (0.0, None))
        return step if time.monotonic() - counted_at < self._fresh else None

    def _keep(self, seconds: int, counted: dict[int, Step], head: float) -> None:
        """Every commit to come is later than *head*, in seconds since 1970."""
        now = time.monotonic()
        self._open = {key: kept for key, kept in self._open.items() if now - kept[0] < self._fresh}
        for number, step in counted.items():
            if (number + 1) * seconds <= head:
                self._over[seconds, number] = step
            else:
                self._open[seconds, number] = now, step
        while len(self._over) > KEPT:
            self._over.popitem(last=False)


def _at(number: int, seconds: int) -> datetime:
    return datetime.fromtimestamp(number * seconds, UTC)


def _runs(numbers: Iterable[int]) -> Iterator[range]:
    """Those that follow each other without a gap."""
    for _, group in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        members = [number for _, number in group]
        yield range(members[0], members[-1] + 1)


async def _bites(pool: "asyncpg.Pool[asyncpg.Record]", run: range, seconds: int) -> Any:
    """Parts of *run*, with about as many events in them as a bite may have if they are evenly spread."""
    events = await pool.fetchval(_HOW_MANY, _at(run.start, seconds), _at(run.stop, seconds))
    size = ceil(len(run) / max(1, ceil(events / BITE)))
    for first in range(run.start, run.stop, size):
        yield range(first, min(first + size, run.stop))


async def _count(pool: "asyncpg.Pool[asyncpg.Record]", bite: range, seconds: int, beginning: float) -> dict[int, Step]:
    since, until = _at(bite.start, seconds), _at(bite.stop, seconds)
    found = {number: Step() for number in bite}
    for row in await pool.fetch(_EVENTS, since, until, seconds):
        _add(found[row["step"]], row)
    moved: defaultdict[int, list[asyncpg.Record]] = defaultdict(list)
    for row in await pool.fetch(_SERVERS, since, until, seconds):
        moved[row["step"]].append(row)
    servers = dict.fromkeys(STATES.values(), 0)
    for number, step in found.items():
        for row in moved[number]:
            servers[STATES[row["kind"]]] += row["by"]
        # Of a log that is older than its history, only what came later is known.
        step.servers = dict(servers) if (number + 1) * seconds > beginning else None
    return found


def _add(step: Step, row: asyncpg.Record) -> None:
    number: int = row["number"]
    match row["type"]:
        case "SessionOpened":
            step.logins += number
        case "SpawnRequested":
            step.asked += number
        case "ServerResponded":
            step.seconds.extend(sorted(row["seconds"] or ()))
        case _ if row["reason"] == CANCELLED:
            step.cancelled += number
        case _:
            reason = tag(row["reason"] or "error")
            step.failed[reason] = step.failed.get(reason, 0) + number


def share_of(seconds: Sequence[float], part: float) -> float | None:
    """The time within which *part* of the starts were done, e.g. 0.5; null if there were none. *seconds* rise."""
    return seconds[min(len(seconds) - 1, int(part * len(seconds)))] if seconds else None


def together(steps: Sequence[Step]) -> Step:
    """All of them as one: with the servers at the end of the last."""
    whole = Step(servers=steps[-1].servers if steps else None)
    for step in steps:
        whole.asked += step.asked
        whole.cancelled += step.cancelled
        whole.logins += step.logins
        whole.seconds.extend(step.seconds)
        for reason, number in step.failed.items():
            whole.failed[reason] = whole.failed.get(reason, 0) + number
    whole.seconds = array("d", sorted(whole.seconds))
    return whole
