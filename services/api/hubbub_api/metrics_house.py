"""JupyterHub's figures, of the whole house: from Postgres, so that they are the same whichever api is asked, and go on
when any of them dies.

What processes count of their own doings (`hubbub.counting`) is summed up in the table `tallies`.
"""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence

import asyncpg
import msgspec

from hubbub.config import Options
from hubbub.counting import ALL, REQUESTS, Measure
from hubbub.route_messages import BOUNDS
from hubbub_api import route_figures
from hubbub_api.durations import Durations, Series
from hubbub_api.metrics_text import Exemplars, Labels, Text

#: Seconds that a count of active users is good for: of days, a minute is nothing, and it takes a look at everybody.
ACTIVE_KEPT = 60.0

#: People are as active as the servers they have (see `hubbub_api.models`).
_ACTIVE = """
    select count(*) filter (where at >= now() - interval '24 hours') as "24h",
           count(*) filter (where at >= now() - interval '7 days') as "7d", count(*) as "30d"
    from (
        select id, max(at) as at from (
            select u.id, a.at from activity a join users u on a.subject = 'user:' || u.id
            where a.at >= now() - interval '30 days'
            union all
            select s.user_id, a.at from activity a join servers s on a.subject = 'server:' || s.id
            where a.at >= now() - interval '30 days' and s.user_id <> ''
            union all
            select user_id, since from servers where kind <> 'Stopped' and user_id <> ''
        ) signs group by id
    ) people
"""
_TOTALS = """
    select (select number from counts where what = 'users') as users,
           (select count(*) from servers where kind = 'Running' and user_id <> '') as running
"""
_TALLIES = "select name, labels, counts, seconds from tallies"


class HouseFigures:
    """`write` must not be called by two at the same time. *spawns*, *stops*: bounds, in seconds. `requests`: exemplars
    of those that this process has answered.
    """

    def __init__(self, options: Options, spawns: tuple[float, ...], stops: tuple[float, ...]) -> None:
        self._with_active = options.periodic.active_users_enabled
        self._durations = Durations(spawns, stops)
        self._active: dict[str, int] = {}
        self._active_at = 0.0
        self.requests: Exemplars = {}

    async def write(self, text: Text, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        totals = await pool.fetchrow(_TOTALS)
        assert totals is not None
        text.gauge("total_users", "How many users there are", totals["users"])
        text.gauge("running_servers", "How many servers of people run", totals["running"])
        if self._with_active:
            active = {(period,): number for period, number in (await self._active_users(pool)).items()}
            text.gauges("active_users", "How many users were active within the period", ("period",), active.items())
        await self._write_durations(text, pool)
        _write_routes(text, await route_figures.load(pool))
        write_tallies(text, await pool.fetch(_TALLIES), {REQUESTS.name: self.requests})

    async def _active_users(self, pool: "asyncpg.Pool[asyncpg.Record]") -> dict[str, int]:
        now = time.monotonic()
        if not self._active or now - self._active_at >= ACTIVE_KEPT:
            row = await pool.fetchrow(_ACTIVE)
            assert row is not None
            self._active, self._active_at = dict(row), now
        return self._active

    async def _write_durations(self, text: Text, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        tally = await self._durations.news(pool)
        spawns = [(tuple(key.split(" ")), each.counts, each.seconds) for key, each in tally.spawns.items()]
        stops = [((key,), each.counts, each.seconds) for key, each in tally.stops.items()]
        labels = ("status", "reason")
        text.histogram(
            "server_spawn_duration_seconds",
            "How long starts took",
            labels,
            tally.spawn_bounds,
            spawns,
            self._durations.exemplars,
        )
        text.histogram("server_stop_seconds", "How long stops took", ("status",), tally.stop_bounds, stops)


def _write_routes(text: Text, found: Mapping[str, Mapping[str, Series]]) -> None:
    for name, (words, what) in route_figures.NAMES.items():
        labels = ("status",) if what in route_figures.WITH_STATUS else ()
        rows = [((status,) if labels else (), each.counts, each.seconds) for status, each in found[what].items()]
        text.histogram(name, words, labels, BOUNDS, rows)


def write_tallies(text: Text, rows: Sequence[asyncpg.Record], exemplars: Mapping[str, Exemplars]) -> None:
    """What is not as this release counts it is another release's. *exemplars*: by the name of a measure."""
    found: defaultdict[str, dict[Labels, tuple[Sequence[int], float]]] = defaultdict(dict)
    for row in rows:
        found[row["name"]][tuple(msgspec.json.decode(row["labels"], type=list[str]))] = row["counts"], row["seconds"]
    for measure in ALL:
        _write_tally(text, measure, found[measure.name], exemplars.get(measure.name))


def _write_tally(
    text: Text,
    measure: Measure,
    found: dict[Labels, tuple[Sequence[int], float]],
    exemplars: Exemplars | None,
) -> None:
    nothing = [0] * measure.length
    sums = dict.fromkeys(measure.there, (nothing, 0.0)) | {
        labels: (counts, seconds)
        for labels, (counts, seconds) in sorted(found.items())
        if len(labels) == len(measure.labels) and len(counts) == measure.length
    }
    if measure.bounds:
        rows = [(labels, counts, seconds) for labels, (counts, seconds) in sums.items()]
        text.histogram(measure.name, measure.words, measure.labels, measure.bounds, rows, exemplars)
    else:
        text.counters(
            measure.name, measure.words, measure.labels, ((each, counts[0]) for each, (counts, _) in sums.items())
        )
