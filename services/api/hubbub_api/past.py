"""What was so at another moment: `?as_of=` of the reads that have it (docs/time-travel.md), and tables for pages.

The queries are those of the present. They are asked over connections whose search_path finds the schema `past` first:
views of the same names as the tables, which show these as they were at the moment that a setting names.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Self

import asyncpg
import msgspec
from aiohttp import web
from msgspec import Meta

from hubbub import database
from hubbub.access import Identity
from hubbub.eventlog import PLANS
from hubbub.vault import Vault
from hubbub.web.request import HEADERS, ApiError, require
from hubbub_api.answers import stamp
from hubbub_api.endpoint import Endpoints
from hubbub_api.keys import MODELS, VIEWS
from hubbub_api.models import Models
from hubbub_api.rows import ServerRow, server_of
from hubbub_api.schemas import Limit, Offset
from hubbub_api.views import SERVERS_SHOWN, Views

#: The answer of such a read says which event was the newest one then, and when that was.
HEADER = "Hubbub-As-Of"
SCOPE = "read:events"

_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(\.\d+)?([Zz]|[+ -]\d\d:\d\d)", re.ASCII)
_POSITION = re.compile(r"\d{1,18}", re.ASCII)
_CONNECTIONS = 2
#: Of a connection that looks back. To begin parallel workers would take longer than all that there is to read.
SETTINGS = {**PLANS, "max_parallel_workers_per_gather": "0", "search_path": "past, public"}


class AsOf(msgspec.Struct, kw_only=True):
    """The query of a read that can look back."""

    as_of: (
        Annotated[
            str,
            Meta(
                description="Answer as it would have been then: a time with its zone, or the position of an event. "
                "Activity, and what is kept outside of the log, are left out. "
                f"Needs the scope `{SCOPE}` besides, without a filter.",
                examples=["2026-11-20T21:48:00Z", "1234"],
            ),
        ]
        | None
    ) = None


class PagingThen(AsOf, kw_only=True):
    """Which page, as in `Paging`, and of which moment."""

    offset: Offset = 0
    limit: Limit | None = None


@dataclass(frozen=True)
class Moment:
    """Just after the commit that the event at `position` was in, which was at `time`; 0 and None: before the first."""

    position: int
    time: datetime | None

    @property
    def header(self) -> str:
        return f"{self.position}; {stamp(self.time)}" if self.time else str(self.position)


class Unheard:
    """In place of `Activities`: when something was heard of last has no past."""

    def newer(self, subject: str, stored: datetime | None) -> datetime | None:
        return None


class Past:
    """To be entered. *models*: made with `Unheard`. It has no connection until somebody looks back."""

    def __init__(self, dsn: str, vault: Vault, models: Models) -> None:
        self._dsn = dsn
        self._vault = vault
        self.models = models
        self._shown: dict[int, Moment] = {}  # by the process of each connection's server

    async def __aenter__(self) -> Self:
        self._pool = await asyncpg.create_pool(
            self._dsn,
            min_size=0,
            max_size=_CONNECTIONS,
            command_timeout=30,
            init=self._begin,
            reset=_keep,
            server_settings=SETTINGS,
            connect=database.connect,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self._pool.terminate()

    async def _begin(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._shown.pop(connection.get_server_pid(), None)

    async def fetch(self, moment: Moment, query: str, *args: Any) -> list[asyncpg.Record]:
        """Ask as of *moment*."""
        async with self._pool.acquire() as connection:
            server = connection.get_server_pid()
            if self._shown.get(server) != moment:
                self._shown.pop(server, None)
                time = moment.time.isoformat() if moment.time else "-infinity"
                await connection.execute(_SHOW, time, str(moment.position))
                self._shown[server] = moment
            found: list[asyncpg.Record] = await connection.fetch(query, *args)
            return found

    def views(self, moment: Moment) -> Views:
        """All that `Views` reads, as of *moment*."""
        return Views(_Source(self, moment), self._vault)

    async def moment(self, asked: str) -> Moment:
        """What *asked* means: a time (RFC 3339, with its zone) or a position. 400 says why it means nothing.

        A time means the newest event by then: so what is read in several queries, or pages, is of one moment.
        """
        if _POSITION.fullmatch(asked):
            return await self._at(await self._time_of(int(asked)), until_now=False)
        return await self._at(_parsed(asked), until_now=True)

    async def _time_of(self, position: int) -> datetime | None:
        async with self._pool.acquire() as connection:
            row = await connection.fetchrow(_EVENT, position)
        assert row is not None
        if position > row["newest"]:
            raise ApiError(400, f"as_of: there is no event {position} yet, the newest is {row['newest']}")
        if 0 < position < row["oldest"] - 1 or (position == 0 and row["oldest"] > 1):
            raise _archived(row["oldest"])
        time: datetime | None = row["at"]
        return time

    async def _at(self, time: datetime | None, *, until_now: bool) -> Moment:
        async with self._pool.acquire() as connection:
            row = await connection.fetchrow(_MOMENT, time)
        assert row is not None
        if until_now and time is not None and time > row["now"]:
            raise ApiError(400, f"as_of: {stamp(time)} is yet to come, it is {stamp(row['now'])}")
        if row["unknown"] and row["oldest"] > 1:
            raise _archived(row["oldest"])
        if row["unknown"]:
            raise ApiError(400, f"as_of: what was so is known since {stamp(row['beginning'])} (see `hubbub rebuild`)")
        return Moment(row["position"], row["time"])

    async def active(self, moment: Moment, *, offset: int = 0, limit: int = 100) -> tuple[list[ServerRow], int]:
        """A page of people's servers that were not stopped at *moment*, the oldest first; how many there were."""
        rows = await self.fetch(moment, ACTIVE, offset, limit)
        if rows or offset == 0:
            return [server_of(row) for row in rows], rows[0]["total"] if rows else 0
        [counted] = await self.fetch(moment, _HOW_MANY_ACTIVE)
        return [], counted[0]


class _Source:
    """Of a moment's rows: what `Views` reads from."""

    def __init__(self, past: Past, moment: Moment) -> None:
        self._past = past
        self._moment = moment

    async def fetch(self, query: str, *args: Any) -> list[asyncpg.Record]:
        return await self._past.fetch(self._moment, query, *args)


PAST = web.AppKey("past", Past)
#: The handlers that take `as_of`: see `taking`.
TAKING: "web.AppKey[frozenset[object]]" = web.AppKey("taking_as_of", frozenset)


def taking(tables: Iterable[Endpoints]) -> frozenset[object]:
    """The handlers of the endpoints that declare it."""
    queries = ((each.handler, each.query) for table in tables for each in table)
    return frozenset(handler for handler, query in queries if isinstance(query, type) and issubclass(query, AsOf))


def check(request: web.Request) -> None:
    """400 for a read that has no past: what is so now is no answer to what was so then."""
    if "as_of" in request.query and request.match_info.handler not in request.app[TAKING]:
        raise ApiError(400, "as_of: this can only be asked as it is now")


async def then(request: web.Request, asker: Identity) -> tuple[Views, Models]:
    """What to answer *request* from: the moment that its `as_of` names, or the present."""
    asked = request.query.get("as_of")
    if asked is None:
        return request.app[VIEWS], request.app[MODELS]
    require(asker, SCOPE)
    past = request.app[PAST]
    moment = await past.moment(asked)
    request[HEADERS][HEADER] = moment.header
    return past.views(moment), past.models


def _parsed(asked: str) -> datetime:
    """A time with its zone; digits beyond microseconds are left out. A `+` in an address may arrive as a space."""
    if (match := _TIME.fullmatch(asked)) is None:
        raise ApiError(
            400, f"as_of: {asked[:50]!r} is neither a time like 2026-11-20T21:48:00Z nor an event's position"
        )
    day, time, fraction, zone = match.groups()
    zone = "+00:00" if zone in "Zz" else zone.replace(" ", "+")
    try:
        return datetime.fromisoformat(f"{day}T{time}{(fraction or '.0')[:7].ljust(7, '0')}{zone}").astimezone(UTC)
    except (ValueError, OverflowError):
        raise ApiError(400, f"as_of: there is no such time as {asked[:50]!r}") from None


def _archived(oldest: int) -> ApiError:
    return ApiError(400, f"as_of: events up to {oldest - 1} were archived, and what was so then with them")


async def _keep(_: object) -> None:
    """What a connection shows stays as it is: the next to use it may ask about the same moment."""


_SHOW = "select set_config('hubbub.as_of', $1, false), set_config('hubbub.position', $2, false)"
_EVENT = """
    select h.position as newest, h.oldest, (select recorded_at from events where position = $1) as at from log_head h
"""
#: The newest event until then (null: before all). Unknown: something happened since, and before there was a history.
_MOMENT = """
    select clock_timestamp() as now, (select oldest from log_head) as oldest, b.at as beginning,
           coalesce(e.position, 0) as position,
           case when e.position is not null then greatest(e.recorded_at, b.at) end as time,
           exists (select from events n where n.recorded_at > coalesce(e.recorded_at, '-infinity')
                   and n.recorded_at <= b.at) as unknown
    from history.beginning b left join lateral (
        select position, recorded_at from events where recorded_at <= $1::timestamptz
        order by recorded_at desc, position desc limit 1
    ) e on true
"""
#: Number of servers to pass over, and how many to show.
ACTIVE = f"""
    with page as (
        select a.*, count(*) over () as total from active_servers a where a.user_id <> ''
        order by a.number offset $1 limit $2
    ), servers as (select * from page)
    select q.*, (select total from page limit 1) as total from ({SERVERS_SHOWN}) q order by q.number
"""
_HOW_MANY_ACTIVE = "select count(*) from active_servers where user_id <> ''"
