"""How long starts and stops of people's servers took: counted from the log, when somebody asks.

So every api answers the same, whoever did the work and whenever it was started itself. What was counted is kept with
its position (`bookmarks`), and nobody reads an event twice.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime

import asyncpg
import msgspec
from cryptography.fernet import Fernet

from hubbub.domain.message import Event
from hubbub.domain.server_events import (
    AttemptLost,
    ServerResponded,
    ServerStopped,
    SpawnFailed,
    SpawnRequested,
    StopRequested,
)
from hubbub.domain.server_messages import Failure
from hubbub.eventlog import COLUMNS, Recorded, decode, recorded
from hubbub.telemetry import sampled_id
from hubbub.vault import Vault
from hubbub_api.metrics_text import Exemplar, Exemplars

READER = "durations"
#: Positions that are read at a time, and those that are worth keeping what was counted in them.
WINDOW = 2000
WORTH_KEEPING = 1000

_KINDS = (SpawnRequested, ServerResponded, SpawnFailed, AttemptLost, StopRequested, ServerStopped)
_HEAD = "select position from log_head"
_NEWS = f"""
    select {COLUMNS} from events where position > $1 and position <= $2 and type = any($3)
       and stream like 'server-%' and stream not like 'server-managed:%' order by position
"""
_KEPT = "select about from bookmarks where reader = $1"
_KEEP = """
    insert into bookmarks (reader, position, about) values ($1, $2, $3)
    on conflict (reader) do update set position = excluded.position, about = excluded.about
    where bookmarks.position < excluded.position
"""

#: Reasons are tags; what else a plug-in may call one, and the hundredth tag, is "other".
_TAG = re.compile(r"[a-z0-9][a-z0-9_.-]{0,39}")
MOST_REASONS = 50
#: What goes wrong by itself.
ERRORS = frozenset({"", "changed", "error", "exited", "lost", "timeout", "token", "unrouted"})

#: What is there at 0 before anything has happened: status, and for starts the reason.
SPAWNS = ("success ", "failure ", "failure cancelled", "error ", "error exited", "error lost", "error timeout")
STOPS = ("success", "failure")


class Series(msgspec.Struct):
    """`counts`: how many took up to each bound and longer than the one before; the last: longer than all."""

    counts: list[int]
    seconds: float = 0.0


class Wish(msgspec.Struct):
    at: datetime
    retries: int


class Stop(msgspec.Struct):
    at: datetime
    deadline: datetime


class Tally(msgspec.Struct):
    """What the log says up to `position`: a function of that and of the bounds (seconds, rising) alone.

    `spawns` by "<status> <reason>", `stops` by status; `starting` and `stopping` by server.
    """

    spawn_bounds: tuple[float, ...]
    stop_bounds: tuple[float, ...]
    position: int = 0
    starting: dict[str, Wish] = {}
    stopping: dict[str, Stop] = {}
    spawns: dict[str, Series] = {}
    stops: dict[str, Series] = {}

    def __post_init__(self) -> None:
        for key in SPAWNS:
            self.spawns.setdefault(key, Series([0] * (len(self.spawn_bounds) + 1)))
        for key in STOPS:
            self.stops.setdefault(key, Series([0] * (len(self.stop_bounds) + 1)))

    def add(self, server: str, event: Event, at: datetime) -> tuple[str, float] | None:
        """*at*: when it was recorded. Of a start or stop that this has not seen begin, nothing is known.

        If a start has ended with it: what it counts as, and seconds.
        """
        match event:
            case SpawnRequested():
                self.starting[server] = Wish(at=event.at, retries=event.retries)
            case ServerResponded():
                return self._spawned(server, "success", "", at)
            case SpawnFailed():
                return self._spawned(server, *outcome(event.failure), at)
            case AttemptLost():
                # The next attempt, if there is one, is of the same start.
                if (wish := self.starting.get(server)) and wish.retries <= 0:
                    return self._spawned(server, "error", "lost", at)
            case StopRequested():
                self.stopping[server] = Stop(at=at, deadline=event.deadline)
            case ServerStopped():
                self._stopped(server, at)
            case _:
                pass
        return None

    def _spawned(self, server: str, status: str, reason: str, at: datetime) -> tuple[str, float] | None:
        if (wish := self.starting.pop(server, None)) is None:
            return None
        key = f"{status} {reason}"
        if key not in self.spawns and len(self.spawns) >= MOST_REASONS:
            key = f"{status} other"
        series = self.spawns.setdefault(key, Series([0] * (len(self.spawn_bounds) + 1)))
        seconds = max(0.0, (at - wish.at).total_seconds())
        _count(series, self.spawn_bounds, seconds)
        return key, seconds

    def _stopped(self, server: str, at: datetime) -> None:
        """Whatever took longer than it had has failed: nobody knows whether it has ended."""
        if stop := self.stopping.pop(server, None):
            series = self.stops["success" if at <= stop.deadline else "failure"]
            _count(series, self.stop_bounds, (at - stop.at).total_seconds())


def outcome(failure: Failure) -> tuple[str, str]:
    """Status and reason, as JupyterHub tells them apart: a failure is somebody's doing, an error is nobody's.

    A reason that is none of ours is of an exception that refuses on purpose (SpawnException), whatever its status.
    """
    reason = tag(failure.reason)
    status = "error" if failure.reason in ERRORS and failure.status >= 500 else "failure"
    return status, "" if reason == "error" else reason


def tag(reason: str) -> str:
    """*reason*, or "other" for what only a plug-in can have called one."""
    return reason if _TAG.fullmatch(reason) else "other"


def _count(series: Series, bounds: tuple[float, ...], seconds: float) -> None:
    seconds = max(0.0, seconds)
    series.counts[bisect_left(bounds, seconds)] += 1
    series.seconds += seconds


class Durations:
    """One reader of the log. `news` must not be called by two at the same time. `exemplars`: of starts."""

    def __init__(self, spawn_bounds: tuple[float, ...], stop_bounds: tuple[float, ...]) -> None:
        self._empty = Tally(spawn_bounds, stop_bounds)
        self._tally: Tally | None = None
        self._kept = 0
        self.exemplars: Exemplars = {}
        # It knows nobody's key: names in events stay sealed.
        self._vault = Vault(Fernet.generate_key().decode())

    async def news(self, pool: "asyncpg.Pool[asyncpg.Record]") -> Tally:
        """Everything that has been committed is in it."""
        head = await pool.fetchval(_HEAD)
        if self._tally is None or self._tally.position > head:
            self._tally = await self._load(pool, head)
            self._kept = self._tally.position
        tally, kinds = self._tally, [kind.__name__ for kind in _KINDS]
        for until in _windows(tally.position, head):
            rows = await pool.fetch(_NEWS, tally.position, until, kinds)
            for record in map(recorded, rows):
                if ended := tally.add(record.id, decode(record, self._vault), record.recorded_at):
                    self._remember(*ended, record)
            tally.position = until
        if tally.position - self._kept >= WORTH_KEEPING:
            await pool.execute(_KEEP, READER, tally.position, msgspec.json.encode(tally).decode())
            self._kept = tally.position
        return tally

    def _remember(self, key: str, seconds: float, record: Recorded) -> None:
        if trace := sampled_id(record.context.traceparent):
            place = tuple(key.split(" ")), bisect_left(self._empty.spawn_bounds, seconds)
            self.exemplars[place] = Exemplar(trace, seconds, record.recorded_at.timestamp())

    async def _load(self, pool: "asyncpg.Pool[asyncpg.Record]", head: int) -> Tally:
        """What was kept, unless it was counted with other bounds: then the whole log is read once more."""
        bounds = self._empty.spawn_bounds, self._empty.stop_bounds
        with suppress(msgspec.MsgspecError):  # another release may have kept other things
            kept = msgspec.json.decode(await pool.fetchval(_KEPT, READER) or "", type=Tally)
            if (kept.spawn_bounds, kept.stop_bounds) == bounds and kept.position <= head:
                return kept
        return Tally(*bounds)


def _windows(position: int, head: int) -> Iterator[int]:
    yield from range(position + WINDOW, head, WINDOW)
    if position < head:
        yield head
