"""GET /metrics: figures for Prometheus, by JupyterHub's names.

What is true of the whole house comes from the database, whichever api is asked; what a process sees of itself
(requests, its event loop) is its own.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any

import asyncpg
import msgspec
import structlog
from aiohttp import web
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from hubbub.batch import Batch
from hubbub.config import Options
from hubbub.settings import give_up
from hubbub.web.request import GATE, identify, require
from hubbub_api.durations import Durations, Series, Tally
from hubbub_api.endpoint import Endpoints
from hubbub_api.handler_names import name_of
from hubbub_api.keys import ACTIVITIES, POOL

log = structlog.get_logger()

routes = Endpoints("hub")

SPAWN_BOUNDS = (0.5, 1, 2.5, 5, 10, 15, 30, 60, 120, 180, 300, 600)
STOP_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
LOOP_BOUNDS = (0.05, 0.055, 0.06, 0.065, 0.07, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)

#: Others are "OTHER": clients may call a method what they like.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

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


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """What the figures are called and how finely times are told apart: bounds in seconds, rising."""

    prefix: str = "jupyterhub"
    spawn_bounds: tuple[float, ...] = SPAWN_BOUNDS
    stop_bounds: tuple[float, ...] = STOP_BOUNDS

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Shape":
        """Read JupyterHub's own variables; ends the process with a sentence if one cannot be used."""
        return cls(
            prefix=environ.get("JUPYTERHUB_METRICS_PREFIX", "jupyterhub"),
            spawn_bounds=_bounds(environ, "JUPYTERHUB_SERVER_SPAWN_DURATION_SECONDS_BUCKETS", SPAWN_BOUNDS),
            stop_bounds=_bounds(environ, "JUPYTERHUB_SERVER_STOP_DURATION_SECONDS_BUCKETS", STOP_BOUNDS),
        )


def _bounds(environ: Mapping[str, str], name: str, usual: tuple[float, ...]) -> tuple[float, ...]:
    """Infinity is always the last, said or not."""
    text = environ.get(name, "").strip()
    try:
        found = tuple(float(each) for each in text.split(",")) if text else usual
    except ValueError:
        give_up(f"{name} is not usable: {text[:100]!r} should be numbers with commas between them")
    if any(not low < high for low, high in pairwise(found)):
        give_up(f"{name} is not usable: the numbers have to rise")
    return found[:-1] if found[-1] == float("inf") else found


class Metrics:
    """What this process sees of itself, and how the house's figures are asked for."""

    def __init__(self, shape: Shape, options: Options) -> None:
        self._shape = shape
        self._options = options
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        about: dict[str, Any] = {"namespace": shape.prefix, "registry": self._registry}
        self._requests = Histogram(
            "request_duration_seconds", "How long requests took", ["method", "handler", "code"], **about
        )
        self._seen: dict[tuple[str, str, int], Histogram] = {}
        self.startup = Histogram("hub_startup_duration_seconds", "How long this api took to start", **about)
        self.csp_reports = Counter("csp_reports", "Reports of pages that broke the rules", **about)
        self._loop = Histogram(
            "event_loop_interval_seconds", "How long the event loop went without a turn", buckets=LOOP_BOUNDS, **about
        )
        self._durations = Durations(shape.spawn_bounds, shape.stop_bounds)
        self._active: dict[str, int] = {}
        self._active_at = 0.0
        self._texts = Batch(self._load, at_once=1)

    def answered(self, method: str, shape: str, status: int, seconds: float) -> None:
        """*shape*: the path with `{name}` for each part that varies, so that nobody is named."""
        key = method, shape, status
        if (series := self._seen.get(key)) is None:
            kind = method if method in METHODS else "OTHER"
            labels = kind, name_of(shape, self._options.hub_prefix), str(status)
            series = self._requests.labels(*labels)
            if kind == method:
                self._seen[key] = series
        series.observe(seconds)

    async def watch_loop(self) -> None:
        """For ever: what keeps the loop from its turns is seen by being late oneself. Run it as a task."""
        periodic = self._options.periodic
        if not periodic.event_loop_interval_enabled:
            await asyncio.Event().wait()
        every, last = periodic.event_loop_interval_resolution, time.perf_counter()
        while True:
            await asyncio.sleep(every)
            now = time.perf_counter()
            # Whatever held it up came somewhere within the pause, so less than a pause cannot be told.
            late, last = max(every, now - last - every), now
            self._loop.observe(late)
            if late >= periodic.event_loop_interval_log_threshold:
                log.warning("loop.late", seconds=round(late, 2))

    async def text(self, pool: "asyncpg.Pool[asyncpg.Record]") -> bytes:
        """All of it. Those who ask at the same time are answered together."""
        found = await self._texts.get(pool)
        assert found is not None
        return found

    async def _load(self, pools: "Sequence[asyncpg.Pool[asyncpg.Record]]") -> "dict[Any, bytes]":
        return {pool: await self._text(pool) for pool in pools}

    async def _text(self, pool: "asyncpg.Pool[asyncpg.Record]") -> bytes:
        house = _House(self._shape.prefix)
        totals = await pool.fetchrow(_TOTALS)
        assert totals is not None
        house.gauge("total_users", "How many users there are", totals["users"])
        house.gauge("running_servers", "How many servers of people run", totals["running"])
        if self._options.periodic.active_users_enabled:
            active = await self._active_users(pool)
            house.gauge_of("active_users", "How many users were active within the period", "period", active)
        house.durations(await self._durations.news(pool))
        registry = CollectorRegistry()
        registry.register(house)
        return generate_latest(self._registry) + generate_latest(registry)

    async def _active_users(self, pool: "asyncpg.Pool[asyncpg.Record]") -> dict[str, int]:
        now = time.monotonic()
        if not self._active or now - self._active_at >= ACTIVE_KEPT:
            row = await pool.fetchrow(_ACTIVE)
            assert row is not None
            self._active, self._active_at = dict(row), now
        return self._active


class _House(Collector):
    """Figures that were asked for just now."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._found: list[Metric] = []

    def collect(self) -> list[Metric]:
        return self._found

    def gauge(self, name: str, words: str, value: int) -> None:
        self._found.append(GaugeMetricFamily(f"{self._prefix}_{name}", words, value))

    def gauge_of(self, name: str, words: str, label: str, values: Mapping[str, int]) -> None:
        family = GaugeMetricFamily(f"{self._prefix}_{name}", words, labels=[label])
        for which, value in values.items():
            family.add_metric([which], value)
        self._found.append(family)

    def durations(self, tally: Tally) -> None:
        spawns = HistogramMetricFamily(
            f"{self._prefix}_server_spawn_duration_seconds", "How long starts took", labels=["status", "reason"]
        )
        for key, series in tally.spawns.items():
            spawns.add_metric(key.split(" "), _cumulated(series, tally.spawn_bounds), series.seconds)
        stops = HistogramMetricFamily(f"{self._prefix}_server_stop_seconds", "How long stops took", labels=["status"])
        for key, series in tally.stops.items():
            stops.add_metric([key], _cumulated(series, tally.stop_bounds), series.seconds)
        self._found += [spawns, stops]


def _cumulated(series: Series, bounds: tuple[float, ...]) -> list[tuple[str, float]]:
    names = [floatToGoString(bound) for bound in (*bounds, float("inf"))]  # type: ignore[no-untyped-call]
    return list(zip(names, accumulate(series.counts), strict=True))


METRICS = web.AppKey("metrics", Metrics)


@routes.get("/metrics", scopes=("read:metrics",), content="text/plain", answers={200: str})
async def show(request: web.Request) -> web.Response:
    """Shows figures for Prometheus. A refusal is a page, as in JupyterHub. With
    `c.JupyterHub.authenticate_prometheus = False` anybody may ask.
    """
    if request.app[GATE].options.hub.authenticate_prometheus:
        request.app[ACTIVITIES].asks(require(await identify(request), "read:metrics"))
    text = await request.app[METRICS].text(request.app[POOL])
    return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})
