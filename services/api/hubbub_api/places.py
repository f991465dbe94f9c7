"""Which place in its pool's queue a start has, and about how long it may take: for those who watch it wait."""

import asyncio
import math
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import asyncpg
import msgspec

from hubbub.batch import Batch
from hubbub.eventlog import Recorded
from hubbub_api.line import IN_ORDER, ORDER

#: Seconds between two looks at one queue, at least.
PAUSE = 1.0
#: Seconds that count as lately, and how many claims of them are remembered.
LATELY = 60.0
_MOST_CLAIMS = 256

_PLACES = f"select q.id from ({IN_ORDER}) q order by {ORDER}"

_LEAVES = frozenset({"AttemptClaimed", "SpawnFailed", "AttemptLost"})


class _Asked(msgspec.Struct):
    pool: str


_ASKED = msgspec.json.Decoder(_Asked)


@dataclass(frozen=True, kw_only=True)
class Place:
    """`place`: 1 for the next. `seconds`: until it is taken, as things go at present; null if nothing was, lately."""

    place: int
    of: int
    seconds: int | None = None


@dataclass(frozen=True)
class _Line:
    """The queue of a pool as it was `at` that time of our clock, after so many `moves`."""

    places: Mapping[str, int]
    at: float
    moves: int


@dataclass
class _Pool:
    """`claims`: when some were taken lately. `moves`: how often it has moved."""

    claims: deque[float] = field(default_factory=lambda: deque(maxlen=_MOST_CLAIMS))
    line: _Line | None = None
    moves: int = 0
    moved: asyncio.Event = field(default_factory=asyncio.Event)


class Places:
    """Those who watch the same queue share the looks at it. `hear` has to be told the log (see `hubbub.follow`)."""

    def __init__(self, source: "asyncpg.Pool[asyncpg.Record]", *, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._clock = clock
        self._pools: defaultdict[str, _Pool] = defaultdict(_Pool)
        self._waiting: dict[str, str] = {}
        self._looks = Batch(self._look)

    def hear(self, record: Recorded) -> None:
        """In the order of the log."""
        if record.type == "SpawnRequested":
            try:
                pool = _ASKED.decode(record.data).pool
            except msgspec.MsgspecError:
                return  # of a newer release: it will be seen when somebody looks
            self._waiting[record.id] = pool
            self._moves(pool)
        elif record.type in _LEAVES and (pool := self._waiting.pop(record.id, "")):
            if record.type == "AttemptClaimed":
                self._pools[pool].claims.append(self._clock())
            self._moves(pool)

    def moved(self, pool: str) -> asyncio.Event:
        """Set when the queue of *pool* moves from now on."""
        return self._pools[pool].moved

    async def of(self, server: str, pool: str) -> Place | None:
        """Null for what does not wait. It takes up to `PAUSE` seconds if somebody has just looked."""
        known = self._pools[pool]
        while (line := known.line) is None or line.moves != known.moves:
            if line is not None:
                await asyncio.sleep(max(0.0, line.at + PAUSE - self._clock()))
            if known.line is line:
                await self._looks.get(pool)
        place = line.places.get(server)
        if place is None:
            return None
        return Place(place=place, of=len(line.places), seconds=self._seconds(known, place))

    def _moves(self, pool: str) -> None:
        known = self._pools[pool]
        known.moves += 1
        known.moved.set()
        known.moved = asyncio.Event()

    async def _look(self, pools: Sequence[str]) -> dict[str, _Line]:
        for pool in pools:
            known, at = self._pools[pool], self._clock()
            moves = known.moves  # what moves while we look makes it old at once
            rows = await self._source.fetch(_PLACES, pool, "")
            known.line = _Line({row["id"]: place for place, row in enumerate(rows, 1)}, at, moves)
            if known.moves == moves:
                self._waiting.update(dict.fromkeys(known.line.places, pool))
        return {}

    def _seconds(self, known: _Pool, place: int) -> int | None:
        """By how many were taken lately. Five at a time where it is many: nobody can say it exactly."""
        now = self._clock()
        while known.claims and known.claims[0] < now - LATELY:
            known.claims.popleft()
        if len(known.claims) < 2:
            return None
        each = max(now - known.claims[0], 0.001) / len(known.claims)
        seconds = math.ceil(place * each)
        return seconds if seconds <= 10 else 5 * math.ceil(seconds / 5)
