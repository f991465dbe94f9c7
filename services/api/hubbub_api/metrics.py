"""GET /metrics: figures for Prometheus, by JupyterHub's names and ours.

Whichever api is asked says the same: what is true of the whole house comes from the database, and so does what each
process has counted of its own doings (see `hubbub.counting`). No request waits for any of it but this one.
"""

import asyncio
import gc
import platform
import time
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import asyncpg
import msgspec
import structlog
from aiohttp import web

from hubbub.away import AWAY
from hubbub.batch import Batch
from hubbub.bus import Bus
from hubbub.config import Options
from hubbub.counting import ANSWERS, CLAIMS, CSP_REPORTS, LOGOUTS, LOOPS, REPORTS, REQUESTS, STARTUPS, Counts
from hubbub.rpc import Answers, Claimed
from hubbub.settings import give_up
from hubbub.telemetry import sampled_id
from hubbub.telling import Teller
from hubbub.vitals import vitals
from hubbub.web.base import stand_in
from hubbub.web.request import GATE, identify, require
from hubbub_api import metrics_bus
from hubbub_api.endpoint import Endpoints
from hubbub_api.handler_names import name_of
from hubbub_api.keys import ACTIVITIES, POOL
from hubbub_api.metrics_house import HouseFigures
from hubbub_api.metrics_ours import OurFigures, write_vitals
from hubbub_api.metrics_text import OPENMETRICS, PLAIN, Exemplar, Text

log = structlog.get_logger()

routes = Endpoints("hub")

SPAWN_BOUNDS = (0.5, 1, 2.5, 5, 10, 15, 30, 60, 120, 180, 300, 600)
STOP_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)

Answering = Callable[[str, bytes], Awaitable[msgspec.Struct | None]]

#: Others are "OTHER": clients may call a method what they like.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


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
    """What this process counts of its own doings, and how all figures are asked for."""

    def __init__(self, shape: Shape, options: Options) -> None:
        self.counts = Counts()
        self.ours = OurFigures()
        self._shape = shape
        self._options = options
        self._names: dict[tuple[str, str, int], tuple[str, str, str]] = {}
        self._house = HouseFigures(options, shape.spawn_bounds, shape.stop_bounds)
        self._process = "api"
        self._bus: Bus | None = None
        self._teller: Teller | None = None
        self._texts = Batch(self._load, at_once=1)

    def teller(self, pool: "asyncpg.Pool[asyncpg.Record]", process: str, bus: Bus | None = None) -> Teller:
        """Who tells what is counted here, for as long as it runs. *process*: what this one is called."""
        self._process, self._bus = process, bus
        reached = (lambda: bus.connected) if bus else None
        self._teller = Teller(pool, self.counts, service="api", process=process, bus=reached)
        return self._teller

    # What is counted ----------------------------------------------------------------------

    def answered(self, method: str, shape: str, status: int, seconds: float) -> None:
        """*shape*: the path with `{name}` for each part that varies, so that nobody is named."""
        key = method, shape, status
        if (labels := self._names.get(key)) is None:
            kind = method if method in METHODS else "OTHER"
            labels = kind, name_of(shape, stand_in(self._options.hub_prefix)), str(status)
            if kind == method:
                self._names[key] = labels
        self.counts.note(REQUESTS, labels, seconds)
        if trace := sampled_id():
            place = labels, bisect_left(REQUESTS.bounds, seconds)
            self._house.requests[place] = Exemplar(trace, seconds, time.time())

    def logged_out(self, seconds: float) -> None:
        self.counts.note(LOGOUTS, (), seconds)

    def began(self, seconds: float) -> None:
        """This api is ready, after so long."""
        self.counts.note(STARTUPS, (), seconds)

    def csp_report(self) -> None:
        self.counts.add(CSP_REPORTS)

    def _answered_bus(self, verb: str, answer: msgspec.Struct | None, seconds: float) -> None:
        self.counts.note(ANSWERS, (verb,), seconds)
        if isinstance(answer, Answers):
            for each in answer.answers:
                self.counts.add(REPORTS, (each.refused.kind if each.refused else "accepted",))
        elif isinstance(answer, Claimed):
            given = {"start": answer.specs, "takeover": answer.inherited, "leftover": answer.leftovers}
            for what, servers in given.items():
                if servers:
                    self.counts.add(CLAIMS, (what,), len(servers))

    def counted(self, verb: str, handler: Answering) -> Answering:
        """*handler* of requests `hub.rpc.<verb>`, which does not notice."""

        async def answer(subject: str, payload: bytes) -> msgspec.Struct | None:
            began, reply = time.perf_counter(), None
            try:
                reply = await handler(subject, payload)
                return reply
            finally:
                self._answered_bus(verb, reply, time.perf_counter() - began)

        return answer

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
            self.counts.note(LOOPS, (), late)
            if late >= periodic.event_loop_interval_log_threshold:
                log.warning("loop.late", seconds=round(late, 2))

    # What is said -------------------------------------------------------------------------

    async def text(self, app: web.Application, *, openmetrics: bool = False) -> bytes:
        """All of it. Those who ask at the same time are answered together."""
        found = await self._texts.get((app, openmetrics))
        assert found is not None
        return found

    async def _load(self, asked: Sequence[tuple[web.Application, bool]]) -> dict[Any, bytes]:
        return {each: await self._text(*each) for each in asked}

    async def _text(self, app: web.Application, openmetrics: bool) -> bytes:  # noqa: FBT001 - see `_load`
        text = Text(self._shape.prefix, openmetrics=openmetrics)
        try:
            # What is said here must never be lost again: it is first added to what all others will say.
            await (self._teller or self.teller(app[POOL], self._process)).tell()
            await self._house.write(text, app[POOL])
            await self.ours.write(text, app)
        except (asyncpg.PostgresError, *AWAY) as error:
            log.warning("metrics.no_database", error=str(error) or type(error).__name__)
            text = Text(self._shape.prefix, openmetrics=openmetrics)  # nothing by halves
            write_vitals(text, {("api", self._process): vitals()})
            text.gauge("hubbub_postgres_up", "Whether Postgres answers", 0)
        else:
            text.gauge("hubbub_postgres_up", "Whether Postgres answers", 1)
        if self._bus is not None:
            await metrics_bus.write(text, self._bus, list(self._options.pools))
        self._write_python(text)
        return text.bytes()

    def _write_python(self, text: Text) -> None:
        """Of the process that answers."""
        version = platform.python_implementation(), platform.python_version()
        text.gauges("python_info", "Python of the api that answers", ("implementation", "version"), [(version, 1)])
        stats = gc.get_stats()
        for name, words in _GARBAGE.items():
            found = {(self._process, str(generation)): each[name] for generation, each in enumerate(stats)}
            text.counters(f"python_gc_{words[0]}_total", words[1], ("process", "generation"), found.items())


_GARBAGE = {
    "collected": ("objects_collected", "Objects that were collected as garbage"),
    "uncollectable": ("objects_uncollectable", "Objects that could not be"),
    "collections": ("collections", "How often garbage was looked for"),
}


METRICS = web.AppKey("metrics", Metrics)


@routes.get("/metrics", scopes=("read:metrics",), content="text/plain", answers={200: str})
async def show(request: web.Request) -> web.Response:
    """Shows figures for Prometheus. A refusal is a page, as in JupyterHub. With
    `c.JupyterHub.authenticate_prometheus = False` anybody may ask.
    """
    if request.app[GATE].options.hub.authenticate_prometheus:
        request.app[ACTIVITIES].asks(require(await identify(request), "read:metrics"))
    openmetrics = "application/openmetrics-text" in request.headers.get("Accept", "")
    text = await request.app[METRICS].text(request.app, openmetrics=openmetrics)
    return web.Response(body=text, headers={"Content-Type": OPENMETRICS if openmetrics else PLAIN})
