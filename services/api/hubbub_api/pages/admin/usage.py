"""`/hub/admin/usage`: who has used how much, as a table and as a picture of days."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from aiohttp import web

from hubbub import usage
from hubbub.access import Identity
from hubbub.domain.names import escape
from hubbub.usage import By, Sums
from hubbub.web.request import ApiError, require
from hubbub_api import usage_api
from hubbub_api.answers import query_of, stamp
from hubbub_api.event_rights import SCOPE
from hubbub_api.pages import story
from hubbub_api.pages.admin.room import operator, page
from hubbub_api.usage_api import AskedUsage, Period

PAGE = 50
#: How far back, and whether the picture has hours or days.
RANGES: dict[str, tuple[str, timedelta, By]] = {
    "24h": ("Last day", timedelta(days=1), "hour"),
    "7d": ("Last week", timedelta(days=7), "day"),
    "30d": ("Last 30 days", timedelta(days=30), "day"),
    "90d": ("Last 90 days", timedelta(days=90), "day"),
    "365d": ("Last year", timedelta(days=365), "day"),
}
BYS: dict[By, str] = {
    "user": "Person",
    "group": "Group",
    "profile": "Profile",
    "pool": "Pool",
    "server": "Server",
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """`url`: of what it is about; empty if it has no page. `share`: of all, from 0 to 100."""

    name: str
    url: str
    hours: str
    share: float
    runs: int
    running: int


def routes(prefix: str) -> list[web.RouteDef]:
    return [web.get(f"{prefix}admin/usage", show), web.get(f"{prefix}admin/usage.csv", as_csv)]


@operator
async def show(request: web.Request, identity: Identity) -> web.StreamResponse:
    """`by`: what each line is of; `range`; `user`, `group`: whose alone."""
    require(identity, SCOPE)
    query = request.query
    by: By = next((each for each in BYS if each == query.get("by")), "user")
    chosen = query.get("range", "") if query.get("range", "") in RANGES else "30d"
    number = story.number(query.get("page", "")) or 1
    period = await _period(request, RANGES[chosen][1])
    asked = AskedUsage(by=by, user=query.get("user", "").strip(), group=query.get("group", "").strip())
    problem, found, steps = "", Sums(items=[], total=0, time=timedelta()), []
    try:
        found = await usage_api.used(request, asked, period, offset=(number - 1) * PAGE, limit=PAGE)
        steps = await _steps(request, asked, period, RANGES[chosen][2])
    except ApiError:
        problem = "There is nobody, or no group, of that name."
    kept: dict[str, Any] = {"by": by, "range": chosen, "user": asked.user, "group": asked.group}
    return page(
        request,
        identity,
        "usage.html",
        "/usage",
        follow="aggregate=server",
        asked=kept,
        ranges=[(key, words) for key, (words, _, _) in RANGES.items()],
        bys=list(BYS.items()),
        column=BYS[by],
        rows=[_row(request, by, each, found) for each in found.items],
        problem=problem,
        total=_hours(found.time),
        lines=found.total,
        number=number,
        more=found.total > number * PAGE,
        to=lambda **changed: story.query(**{**kept, **changed}),
        csv=story.query(**{**_csv(asked), "from": stamp(period.since), "until": stamp(period.until)}),
        steps=steps,
        step=RANGES[chosen][2],
        picture=json.dumps([[each[2] for each in steps], [each[3] for each in steps]]),
        beginning=period.beginning if period.beginning and period.beginning > period.since else None,
    )


@operator
async def as_csv(request: web.Request, identity: Identity) -> web.StreamResponse:
    """What the API has at `/usage.csv`, for a link."""
    require(identity, SCOPE)
    return await usage_api.table_of(request, query_of(request, AskedUsage))


async def _period(request: web.Request, back: timedelta) -> Period:
    whole = await usage_api.period_of(request, AskedUsage())
    return Period(since=whole.until - back, until=whole.until, beginning=whole.beginning)


async def _steps(
    request: web.Request, asked: AskedUsage, period: Period, step: By
) -> list[tuple[str, str, float, float]]:
    """Of each hour or day what it is called, its hours in words, when it began (since 1970) and its hours; also of
    those in which nothing ran.
    """
    found = await usage_api.used(request, msgspec.structs.replace(asked, by=step), period)
    hours = {datetime.fromisoformat(each.name): each.time for each in found.items}
    length = timedelta(hours=1) if step == "hour" else timedelta(days=1)
    at = period.since.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    at = at if step == "hour" else at.replace(hour=0)
    shape, steps = "%H:%M" if step == "hour" else "%-d %b %Y", []
    while at < period.until:
        time = hours.get(at, timedelta())
        steps.append((at.strftime(shape), _hours(time), at.timestamp(), round(time / timedelta(hours=1), 3)))
        at += length
    return steps


def _row(request: web.Request, by: By, each: usage.Used, found: Sums) -> Row:
    return Row(
        name=each.name or ("None chosen" if by == "profile" else "(unknown)"),
        url=_place(by, each.name),
        hours=_hours(each.time),
        share=round(100 * (each.time / found.time), 1) if found.time else 0.0,
        runs=each.runs,
        running=each.running,
    )


def _place(by: By, name: str) -> str:
    """Below `/hub/admin`."""
    owner = name.partition("/")[0]
    if by == "group" and name:
        return f"/groups/{escape(name)}"
    return (
        f"/users/{escape(owner)}" if by in ("user", "server") and owner and not owner.startswith("forgotten-") else ""
    )


def _hours(time: timedelta) -> str:
    return f"{time / timedelta(hours=1):,.2f}"


def _csv(asked: AskedUsage) -> dict[str, Any]:
    return {"by": asked.by, "user": asked.user, "group": asked.group}
