"""Time travel: the tables of users, servers and routes as of any moment in the log."""

from datetime import UTC
from typing import Any

from aiohttp import web

from hubbub.access import Identity
from hubbub.web.request import ApiError, require
from hubbub_api import looking_back
from hubbub_api.answers import stamp
from hubbub_api.event_models import EventModel
from hubbub_api.keys import EVENTS, POOL, VIEWS
from hubbub_api.looking_back import Span
from hubbub_api.pages import story
from hubbub_api.pages.admin.room import operator, page
from hubbub_api.past import PAST, SCOPE, Moment

PAGE = 50
#: Events after the moment that are told, to see what came of it.
NEXT = 5
TABLES = {"users": "Users", "servers": "Servers", "routes": "Routes"}
_READS = {"users": looking_back.users, "servers": looking_back.servers, "routes": looking_back.routes}


def routes(prefix: str) -> list[web.RouteDef]:
    return [web.get(f"{prefix}admin/past", show)]


@operator
async def show(request: web.Request, identity: Identity) -> web.StreamResponse:
    """`at`: a position, or `time`: a moment in UTC; else now. `show`: which table; `q`: a part of a name."""
    require(identity, SCOPE)
    asked = request.query
    table = asked.get("show", "") if asked.get("show", "") in TABLES else "users"
    search, number = asked.get("q", "").strip(), story.number(asked.get("page", "")) or 1
    span = await looking_back.span(request.app[POOL])
    moment, problem = await _moment(request, span)
    rows, total = await _READS[table](
        request.app[PAST], request.app[VIEWS], moment, search=search, offset=(number - 1) * PAGE, limit=PAGE
    )
    before, after = await _around(request, moment.position)
    where: dict[str, Any] = {"show": table, "q": search}
    return page(
        request,
        identity,
        "past.html",
        "/past",
        whole=span,
        moment=moment,
        when=moment.time.astimezone(UTC).strftime("%-d %B %Y, %H:%M:%S") if moment.time else "before the first event",
        iso=stamp(moment.time) or "",
        field=moment.time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S") if moment.time else "",
        problem=problem,
        table=table,
        tables=TABLES,
        search=search,
        rows=rows,
        total=total,
        number=number,
        pages=looking_back.pages(total, number, PAGE),
        first=(number - 1) * PAGE + 1,
        before=before,
        days=await story.days(request, identity, after, None),
        steps=_steps(span, moment.position),
        to=lambda **changed: story.query(**{**where, "at": moment.position, **changed}),
    )


async def _moment(request: web.Request, span: Span) -> tuple[Moment, str]:
    """The one that is asked for, or the newest, and why it is not the one."""
    past, problem = request.app[PAST], ""
    asked, time = request.query.get("at", ""), request.query.get("time", "")
    if time and not asked:
        parsed = story.moment(time)
        asked = (stamp(parsed) or "") if parsed else time
    elif asked.isdecimal():
        asked = str(max(span.first, min(int(asked[:18]), span.last)))
    if asked:
        try:
            return await past.moment(asked), ""
        except ApiError as error:
            problem = (error.message or "").removeprefix("as_of: ")
    return await past.moment(str(span.last)), problem


async def _around(request: web.Request, position: int) -> tuple[EventModel | None, list[EventModel]]:
    """The newest event of that moment, and the first ones after it."""
    reads = request.app[EVENTS]
    records = await reads.page(after=position - 1, limit=NEXT + 1, newest_first=False)
    models = await reads.models(records)
    here = models[0] if models and models[0].position == position else None
    return here, [each for each in models if each.position > position][:NEXT]


def _steps(span: Span, position: int) -> list[tuple[str, str, int | None]]:
    """Words, for whom they are too short, and where each leads; None: one is there already."""
    leads = [
        ("⇤", "To the beginning", span.first),
        ("-100", "100 events earlier", max(span.first, position - 100)),
        ("-1", "One event earlier", max(span.first, position - 1)),
        ("+1", "One event later", min(span.last, position + 1)),
        ("+100", "100 events later", min(span.last, position + 100)),
        ("Now", "To the newest event", span.last),
    ]
    return [(short, words, None if place == position else place) for short, words, place in leads]
