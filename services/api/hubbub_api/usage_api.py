"""GET /usage, /usage.csv: how long whose servers ran, exact to the microsecond, from the log.

JupyterHub has no such thing.
"""

import csv
import io
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

import msgspec
from aiohttp import web
from msgspec import Meta

from hubbub import usage
from hubbub.access import Identity
from hubbub.usage import By, Sums
from hubbub.web.request import NOT_FOUND, ApiError, identify, require
from hubbub_api.answers import answer, query_of, stamp
from hubbub_api.endpoint import Endpoints
from hubbub_api.event_rights import SCOPE, seeing
from hubbub_api.keys import POOL
from hubbub_api.schemas import Stamp

routes = Endpoints("operation")

PAGE, LARGEST_PAGE = 50, 1000
USUAL = timedelta(days=30)
#: Hours or days in one answer.
MOST_STEPS = 1000
_STEP = {"hour": timedelta(hours=1), "day": timedelta(days=1)}

# Where a part of the log is archived, its histories stay, and are as right as they were.
_TIMES = """
    select clock_timestamp() as now, case when isfinite(k.at) then k.at end as beginning from (
        select case when h.oldest > 1 then least(b.at, (select began from history.users order by number limit 1))
               else b.at end as at
        from history.beginning b, log_head h
    ) k
"""
_USER = """
    select id from users where name = $1
    union all select id from history.users where name = $1 and name like 'forgotten-%' limit 1
"""
_GROUPS = "select distinct id from history.groups where name = $1"


class UsedLine(msgspec.Struct, kw_only=True):
    """`name`: of the user, group, profile (empty: none was chosen) or pool; of a server `owner/name`; of an hour or day
    when it began. `runs`: starts that came to a server which ran in that time; `running`: those that ran on at its end.
    """

    name: str
    seconds: float
    runs: int
    running: int


class Usage(msgspec.Struct, kw_only=True):
    """Server-seconds: those of two servers at the same time count twice. `seconds`: of all lines, on whatever page.
    `lines`: how many there are. `known_since`: nothing is known of what was before; null: everything is.
    """

    from_: Stamp = msgspec.field(name="from")
    until: Stamp
    by: By
    seconds: float
    lines: int
    items: list[UsedLine]
    known_since: Stamp | None


class AskedUsage(msgspec.Struct, kw_only=True):
    """Times are days (`2026-11-01`, in UTC) or moments with their zone."""

    from_: Annotated[str, Meta(description="Since when; 30 days before the end unless told.")] = msgspec.field(
        name="from", default=""
    )
    until: Annotated[str, Meta(description="Until when, without that; now unless told.")] = ""
    by: Annotated[By, Meta(description="What each line is of.")] = "user"
    user: Annotated[str, Meta(description="Only what this user has used.")] = ""
    group: Annotated[str, Meta(description="Only what was used by those who were in this group at the time.")] = ""


class AskedLines(AskedUsage, kw_only=True):
    page: Annotated[int, Meta(ge=1, le=10**6, description="Which page, from 1 on.")] = 1
    limit: Annotated[int, Meta(ge=1, le=LARGEST_PAGE, description="Lines on a page.")] = PAGE


@dataclass(frozen=True, kw_only=True)
class Period:
    """`beginning`: of what is known; null: of all there ever was."""

    since: datetime
    until: datetime
    beginning: datetime | None


@routes.get("/usage", scopes=(SCOPE,), query=AskedLines, answers={200: Usage})
async def show(request: web.Request) -> web.Response:
    """Says how long servers ran, by user, group, profile, pool, server, hour or day: the most used first, hours and
    days in order. In a browser everybody may ask it of themselves. Who is in several groups counts in each of them,
    for as long as they were in it. JupyterHub has no such thing.
    """
    asked = query_of(request, AskedLines)
    require_reading(await identify(request), asked)
    period = await period_of(request, asked)
    found = await used(request, asked, period, offset=(asked.page - 1) * asked.limit, limit=asked.limit)
    return answer(
        Usage(
            from_=stamp(period.since) or "",
            until=stamp(period.until) or "",
            by=asked.by,
            seconds=found.time.total_seconds(),
            lines=found.total,
            items=[
                UsedLine(name=each.name, seconds=each.time.total_seconds(), runs=each.runs, running=each.running)
                for each in found.items
            ],
            known_since=stamp(period.beginning),
        )
    )


@routes.get("/usage.csv", scopes=(SCOPE,), query=AskedUsage, content="text/csv", answers={200: str})
async def as_csv(request: web.Request) -> web.Response:
    """Says the same as a table with a line for each, all at once. JupyterHub has no such thing."""
    asked = query_of(request, AskedUsage)
    require_reading(await identify(request), asked)
    return await table_of(request, asked)


async def table_of(request: web.Request, asked: AskedUsage) -> web.Response:
    """Raises ApiError."""
    found = await used(request, asked, await period_of(request, asked))
    table = io.StringIO()
    lines = csv.writer(table, lineterminator="\r\n")
    lines.writerow([asked.by, "seconds", "hours", "runs", "running"])
    for each in found.items:
        seconds = each.time.total_seconds()
        lines.writerow([_cell(each.name), f"{seconds:.6f}", f"{seconds / 3600:.4f}", each.runs, each.running])
    named = {"Content-Disposition": f'attachment; filename="usage-by-{asked.by}.csv"'}
    return web.Response(text=table.getvalue(), content_type="text/csv", charset="utf-8", headers=named)


def _cell(name: str) -> str:
    """A name that a spreadsheet would take for a formula is text."""
    return f"'{name}" if name.startswith(("=", "+", "-", "@", "\t", "\r")) else name


def require_reading(identity: Identity | None, asked: AskedUsage) -> None:
    """Raises ApiError."""
    who: dict[str, Any] = {"user": asked.user} if asked.user else {"group": asked.group} if asked.group else {}
    require(seeing(identity), SCOPE, **who)


async def period_of(request: web.Request, asked: AskedUsage) -> Period:
    """Up to now at the most. Raises ApiError."""
    row = await request.app[POOL].fetchrow(_TIMES)
    assert row is not None
    until = min(_moment("until", asked.until), row["now"]) if asked.until else row["now"]
    try:
        since = _moment("from", asked.from_) if asked.from_ else until - USUAL
        length = until - since
    except OverflowError:
        raise ApiError(400, "Invalid query: there is no such time") from None
    if length <= timedelta():
        raise ApiError(400, "Invalid query: from has to be before until, and before now")
    if asked.by in _STEP and length / _STEP[asked.by] > MOST_STEPS:
        raise ApiError(400, f"Invalid query: these are more than {MOST_STEPS} {asked.by}s")
    return Period(since=since, until=until, beginning=row["beginning"])


def _moment(name: str, said: str) -> datetime:
    try:
        if len(said) == len("2026-11-01"):
            return datetime.combine(date.fromisoformat(said), datetime.min.time(), UTC)
        moment = datetime.fromisoformat(said)
        if moment.tzinfo is None:
            raise ValueError(said)
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ApiError(
            400, f"Invalid query: {name} is a day (2026-11-01) or a moment with its zone (2026-11-01T12:00:00Z)"
        ) from None


async def used(
    request: web.Request, asked: AskedUsage, period: Period, *, offset: int = 0, limit: int | None = None
) -> Sums:
    """Raises ApiError if there is no such user or group."""
    return await usage.used(
        request.app[POOL],
        period.since,
        period.until,
        asked.by,
        users=await _ids(request, _USER, asked.user),
        groups=await _ids(request, _GROUPS, asked.group),
        offset=offset,
        limit=limit,
    )


async def _ids(request: web.Request, query: str, name: str) -> list[str] | None:
    if not name:
        return None
    rows = await request.app[POOL].fetch(query, name)
    if not rows:
        raise ApiError(404, NOT_FOUND)
    return [row["id"] for row in rows]
