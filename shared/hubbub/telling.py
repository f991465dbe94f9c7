"""Adds what a process has counted to the sums of the house, which are in Postgres: so that every api can say them all,
and none of them is lost with the process that counted it.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

import asyncpg
import msgspec
import structlog

from hubbub import __version__
from hubbub.away import AWAY
from hubbub.counting import WAITS, Counts, Part
from hubbub.vitals import Vitals, vitals

log = structlog.get_logger()

#: Seconds: how old a sum may be, of whatever another process has counted.
EVERY = 5.0
#: Seconds for what was counted last, when the process ends: whoever ends it has no more patience.
LAST_WORDS = 0.4

# One statement, so it is done or not; in one order, so that two of them never wait for each other.
_ADD = """
    with told as (
        insert into tellers (run, service, process, number, about, at)
        values ($1, $2, $3, $4, $5, clock_timestamp())
        on conflict (run) do update set number = excluded.number, about = excluded.about, at = excluded.at
            where tellers.number < excluded.number
        returning run
    )
    insert into tallies (name, labels, counts, seconds)
    select s.name, s.labels, s.counts::bigint[], s.seconds
    from unnest($6::text[], $7::text[], $8::text[], $9::float8[]) as s(name, labels, counts, seconds)
    where exists (select from told) order by s.name, s.labels
    on conflict (name, labels) do update set seconds = tallies.seconds + excluded.seconds, counts = (
        select array_agg(coalesce(a, 0) + coalesce(b, 0) order by place)
        from unnest(tallies.counts, excluded.counts) with ordinality as both_of(a, b, place))
"""
_FORGET = "delete from tellers where at < now() - interval '7 days'"


class About(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a process that reaches Postgres says of itself. `bus`: whether it reaches NATS, if it is to. `connections`:
    to Postgres, for reading, of which some are `idle`.
    """

    version: str = __version__
    vitals: Vitals = Vitals()
    bus: bool | None = None
    connections: int = 0
    idle: int = 0


async def add(
    pool: "asyncpg.Pool[asyncpg.Record]", part: Part, service: str, process: str, about: About | None = None
) -> None:
    """*part*, once, however often it is told. Raises asyncpg's errors."""
    await pool.execute(
        _ADD,
        part.run,
        service,
        process,
        part.number,
        msgspec.json.encode(about).decode() if about else "",
        [each.name for each in part.sums],
        [msgspec.json.encode(each.labels).decode() for each in part.sums],
        ["{" + ",".join(map(str, each.counts)) + "}" for each in part.sums],
        [each.seconds for each in part.sums],
    )


class Teller:
    """Run `run` as a task. *bus*: whether NATS is reached."""

    def __init__(
        self,
        pool: "asyncpg.Pool[asyncpg.Record]",
        counts: Counts,
        *,
        service: str,
        process: str,
        bus: Callable[[], bool] | None = None,
    ) -> None:
        self._pool = pool
        self._counts = counts
        self._service = service
        self._process = process
        self._bus = bus
        self._telling = asyncio.Lock()
        self._away = False

    async def run(self) -> None:
        try:
            while True:
                await self._tell_or_say_why_not()
                await asyncio.sleep(EVERY)
        finally:
            with suppress(asyncpg.PostgresError, *AWAY):
                async with asyncio.timeout(LAST_WORDS):
                    await self.tell()

    async def _tell_or_say_why_not(self) -> None:
        try:
            await self._try_a_connection()
            await self.tell()
            self._away = False
        except (asyncpg.PostgresError, *AWAY) as error:
            if not self._away:
                log.warning("figures.not_told", error=str(error) or type(error).__name__)
            self._away = True

    async def tell(self) -> None:
        """Everything that was counted until now. Raises asyncpg's errors: it is told the next time, then."""
        async with self._telling:
            old = True
            while old:  # one of which nobody knows whether it was added is told first, as it was
                old, part = self._counts.is_telling, self._counts.part()
                await add(self._pool, part, self._service, self._process, self.about())
                self._counts.told(part)

    def about(self) -> About:
        """What is so now."""
        return About(
            vitals=vitals(),
            bus=self._bus() if self._bus else None,
            connections=self._pool.get_size(),
            idle=self._pool.get_idle_size(),
        )

    async def _try_a_connection(self) -> None:
        """How long others wait for one, as well as one can tell without asking in their place."""
        began = time.perf_counter()
        async with self._pool.acquire() as connection:
            self._counts.note(WAITS, (), time.perf_counter() - began)
            await connection.execute(_FORGET)


def told(text: str) -> About | None:
    """What stands in `tellers.about`; None if nothing does that this release can read."""
    try:
        return msgspec.json.decode(text, type=About) if text else None
    except msgspec.MsgspecError:
        return None
