"""The starts of the whole hub, the slowest or the newest first, each with what took the most of it."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg
from aiohttp import web

from hubbub.access import Identity
from hubbub.eventlog import COLUMNS, decode, people_in, recorded
from hubbub.vault import FORGOTTEN
from hubbub.web.request import require
from hubbub_api.event_models import EventModel
from hubbub_api.keys import EVENTS, POOL, VAULT
from hubbub_api.pages import story
from hubbub_api.pages.admin.room import operator, page
from hubbub_api.pages.asking import prefix_of
from hubbub_api.pages.start import ACROSS, OUTCOMES
from hubbub_api.start_words import said, title
from hubbub_api.waterfall import Story, Told, stories

SCOPE = "read:events"
#: Starts on the page, and those of a range that are looked at: the newest.
PAGE, MOST = 50, 1000

#: How far back.
RANGES = {
    "1h": ("Last hour", timedelta(hours=1)),
    "24h": ("Last day", timedelta(days=1)),
    "7d": ("Last week", timedelta(days=7)),
    "30d": ("Last 30 days", timedelta(days=30)),
}
ORDERS = {"slow": "The slowest first", "new": "The newest first"}
#: How they ended: title, and the events that say so.
ENDS = {
    "": ("All", ("ServerResponded", "SpawnFailed", "AttemptLost")),
    "well": ("That answered", ("ServerResponded",)),
    "ill": ("That failed", ("SpawnFailed", "AttemptLost")),
}
_FOLLOW = "type=ServerResponded,SpawnFailed,AttemptLost"


@dataclass(frozen=True, kw_only=True)
class Row:
    """`most`: which part took the most, and how long. `url`: of its waterfall, if the server is there still."""

    id: str
    server: str
    asked: str
    iso: str
    by: str
    look: str
    outcome: str
    message: str
    took: str
    width: float
    most: str
    url: str


def routes(prefix: str) -> list[web.RouteDef]:
    return [web.get(f"{prefix}admin/starts", show)]


@operator
async def show(request: web.Request, identity: Identity) -> web.StreamResponse:
    require(identity, SCOPE)
    asked = {
        name: request.query.get(name, "") if request.query.get(name, "") in known else usual
        for name, known, usual in (("range", RANGES, "24h"), ("order", ORDERS, "slow"), ("end", ENDS, ""))
    }
    since = datetime.now(UTC) - RANGES[asked["range"]][1]
    order = "seconds desc" if asked["order"] == "slow" else "last desc"
    found = await request.app[POOL].fetch(_ENDED.format(order=order), list(ENDS[asked["end"]][1]), since)
    return page(
        request,
        identity,
        "starts.html",
        "/starts",
        follow=_FOLLOW,
        asked=asked,
        ranges=[(key, words) for key, (words, _) in RANGES.items()],
        orders=list(ORDERS.items()),
        ends=[(key, words) for key, (words, _) in ENDS.items()],
        rows=await _rows(request, found),
        most=MOST,
        limit=PAGE,
        across=ACROSS,
    )


async def _rows(request: web.Request, found: list[asyncpg.Record]) -> list[Row]:
    by_stream = await _told(request, found)
    told = {each.request.position: each for events in by_stream.values() for each in stories(events)}
    shown = [(told[row["first"]], row) for row in found if row["first"] in told]
    models = await request.app[EVENTS].models([each.request for each, _ in shown])
    rows = await request.app[POOL].fetch(_THERE, [each.request.id for each, _ in shown])
    there = {row["id"] for row in rows}
    longest = max((row["seconds"] for _, row in shown), default=0) or 1
    base = f"{prefix_of(request)}activity/"
    return [
        _row(each, model, row["seconds"], longest, base if each.request.id in there else "")
        for (each, row), model in zip(shown, models, strict=True)
    ]


async def _told(request: web.Request, found: list[asyncpg.Record]) -> dict[str, list[Told]]:
    """By stream, in order: the events of those starts."""
    columns = [[row[name] for row in found] for name in ("stream", "since", "until")]
    vault, pool = request.app[VAULT], request.app[POOL]
    records = [recorded(row) for row in await pool.fetch(_BETWEEN, *columns)]
    await vault.load(pool, people_in(records))
    by_stream: defaultdict[str, list[Told]] = defaultdict(list)
    for record in sorted({each.position: each for each in records}.values(), key=lambda each: each.position):
        by_stream[record.stream].append((record, decode(record, vault)))
    return by_stream


def _row(each: Story, model: EventModel, seconds: float, longest: float, base: str) -> Row:
    outcome = "ready" if each.responded is not None else each.outcome
    server, most = model.server, each.longest
    owner = server.user if server else ""
    return Row(
        id=f"s{each.request.position}",
        server=story.called(server) if server else "A server",
        asked=each.asked.strftime("%-d %b, %H:%M:%S"),
        iso=model.at,
        by=model.actor.name,
        look=OUTCOMES[outcome][0],
        outcome="Answered" if outcome == "ready" else OUTCOMES[outcome][1],
        message=each.message,
        took=said(seconds),
        width=round(seconds / longest * ACROSS, 1),
        most=f"{title(most.name)}, {said(most.seconds)}" if most else "",
        url=f"{base}{story.place(owner, server.name)}/{each.attempt}"
        if base and server and owner not in ("", FORGOTTEN)
        else "",
    )


#: Of each kind of end the newest; where each began; in the order that is asked for. Of a retry only itself counts.
_ENDED = f"""
    select r.stream, r.version - 3 as since, d.version as until, r.position as first, d.position as last,
           greatest(0, extract(epoch from d.recorded_at - r.recorded_at))::float as seconds
    from (
        select distinct q.position from unnest($1::text[]) as t (type) cross join lateral (
            select e.position from events e where e.type = t.type and e.position > coalesce(
                (select b.position from events b where b.recorded_at < $2 order by b.recorded_at desc limit 1), 0)
                and e.position >= (select oldest from log_head)
            order by e.position desc limit {MOST}
        ) q order by q.position desc limit {MOST}
    ) n join events d on d.position = n.position cross join lateral (
        select e.stream, e.version, e.position, e.recorded_at from events e
        where e.stream = d.stream and e.version < d.version and e.type = 'SpawnRequested'
        order by e.version desc limit 1
    ) r where r.stream not like 'server-managed:%' order by {{order}} limit {PAGE}
"""
_BETWEEN = f"""
    select {", ".join(f"e.{name}" for name in COLUMNS.split(", "))}
    from unnest($1::text[], $2::int[], $3::int[]) as i (stream, since, until)
    join events e on e.stream = i.stream and e.version between i.since and i.until
"""
_THERE = "select id from servers where id = any($1)"
