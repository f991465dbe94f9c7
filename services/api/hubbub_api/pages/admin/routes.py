"""The routes of each proxy: what there should be, beside what it has reported; what differs stands first."""

from dataclasses import dataclass
from datetime import datetime

import asyncpg
import msgspec
from aiohttp import web

from hubbub.access import Identity
from hubbub.web.request import GATE, ApiError
from hubbub_api import registry
from hubbub_api.answers import LARGEST_NUMBER
from hubbub_api.event_models import EventModel
from hubbub_api.keys import EVENTS, POOL, PROXY_SYNCS
from hubbub_api.pages.admin.room import operator, page
from hubbub_api.pages.card import label
from hubbub_api.views import escaped

SIZE = 50
#: Corrections that are shown.
LATELY = 10

# What the log says of each; the last event of a kind is found from the end.
_PROXIES = """
    select p.id, j.recorded_at as joined, m.data::json ->> 'api_url' as moved_to, count(r.id) as routes
    from proxies p left join routes r on r.proxy = p.id
    left join lateral (select e.recorded_at from events e where e.stream = 'proxy-' || p.id and e.type = 'ProxyJoined'
        order by e.version desc limit 1) j on true
    left join lateral (select e.data from events e where e.stream = 'proxy-' || p.id and e.type = 'ProxyMoved'
        order by e.version desc limit 1) m on true
    group by p.id, j.recorded_at, m.data order by p.id
"""
# $1, $2: what is not a server's, and where it leads. Materialized, or Postgres would have others help it with what
# takes it alone some milliseconds.
_PAIRS = """
    wanted as materialized (
        select s.id as server, s.attempt, s.url as target, s.user_id, s.name from servers s
        where s.kind = 'Running' and s.user_id <> ''
        union all select o.server, 0, o.target, '', '' from unnest($1::text[], $2::text[]) as o (server, target)
    ), reported as materialized (
        select r.proxy, r.server, r.target from routes r join proxies p on p.id = r.proxy
    ), pairs as materialized (
        select p.id as proxy, w.server, w.user_id, w.name, w.target as wanted, r.target as actual,
            case when r.id is null then 'missing'
                when r.target <> w.target or r.attempt <> w.attempt then 'elsewhere' else 'right' end as state
        from proxies p cross join wanted w left join routes r on r.id = p.id || '.' || w.server
        union all
        select r.proxy, r.server, coalesce(s.user_id, ''), coalesce(s.name, ''), null, r.target, 'unwanted'
        from reported r left join servers s on s.id = r.server
        where r.server <> all($1)
            and r.server not in (select id from servers where kind = 'Running' and user_id <> '')
    ), counted as (
        select json_object_agg(state, number) as counts
        from (select state, count(*) as number from pairs group by state) c
    )
"""
_PAGE = f"""
    with {_PAIRS}, named as (
        select q.*, coalesce(u.name, '') as owner from pairs q left join users u on u.id = q.user_id
    ), found as (
        select * from named where ($3 = '' or lower(owner || '/' || name) like $3 or lower(server) like $3
            or lower(coalesce(wanted, actual)) like $3)
            and ($4 = '' or state = $4 or ($4 = 'different' and state <> 'right'))
    )
    select f.*, count(*) over () as total, c.counts from found f cross join counted c
    order by state = 'right', state, owner = '' desc, owner, name, server, proxy limit {SIZE} offset $5
"""
#: If nothing is on the page.
_COUNTS = f"with {_PAIRS} select counts from counted"

STATES = {
    "missing": "Missing",
    "elsewhere": "Leads elsewhere",
    "unwanted": "Not wanted",
    "right": "As wanted",
}


@dataclass(frozen=True, kw_only=True)
class ProxyNow:
    """`heard`: seconds ago, null if its proxy-sync was not heard of since this api began. `moved_to`: "" if it is where
    it was configured.
    """

    name: str
    joined: datetime | None
    heard: float | None
    alive: bool
    moved_to: str
    routes: int


@dataclass(frozen=True, kw_only=True)
class RouteNow:
    """`whose`: a server, a service or the hub. `wanted`, `actual`: where it should lead, and does; "" for nowhere."""

    key: str
    proxy: str
    whose: str
    wanted: str
    actual: str
    state: str

    @property
    def words(self) -> str:
        return STATES[self.state]


@operator
async def show(request: web.Request, identity: Identity) -> web.StreamResponse:
    """`?q=`: what to look for. `?state=`: one of `STATES`, or `different`. `?offset=`."""
    query, state, offset = (request.query.get(name, "") for name in ("q", "state", "offset"))
    if not (offset.isascii() and (offset or "0").isdecimal() and int((offset or "0")[:20]) <= LARGEST_NUMBER):
        raise ApiError(400, "offset is not a number")
    others = await _others(request.app)
    like = f"%{escaped(query.strip().lower())}%" if query.strip() else ""
    pool = request.app[POOL]
    rows = await pool.fetch(_PAGE, *others, like, state, int(offset or 0))
    said = rows[0]["counts"] if rows else await pool.fetchval(_COUNTS, *others)
    counts: dict[str, int] = msgspec.json.decode(said or "{}")
    return page(
        request,
        identity,
        "routes.html",
        "/routes",
        follow="aggregate=route,proxy",
        proxies=await proxies(request.app),
        routes=[_route(row, request.app) for row in rows],
        total=rows[0]["total"] if rows else 0,
        first=int(offset or 0) + 1,
        size=SIZE,
        counts=counts,
        different=sum(number for each, number in counts.items() if each != "right"),
        states=STATES,
        asked={"q": query, "state": state},
        corrections=await corrections(request.app),
        may_compare=identity.may("proxy"),
    )


async def proxies(app: web.Application) -> list[ProxyNow]:
    """Those that have joined, and those whose proxy-sync was heard of."""
    rows = {row["id"]: row for row in await app[POOL].fetch(_PROXIES)}
    heard = app[PROXY_SYNCS].known()
    found = []
    for name in sorted({*rows, *heard}):
        row, beat = rows.get(name), heard.get(name)
        found.append(
            ProxyNow(
                name=name,
                joined=row["joined"] if row else None,
                heard=beat.ago if beat else None,
                alive=beat.alive if beat else False,
                moved_to=(row["moved_to"] or "") if row else "",
                routes=row["routes"] if row else 0,
            )
        )
    return found


async def corrections(app: web.Application) -> list[EventModel]:
    events = app[EVENTS]
    return await events.models(await events.page(types=["RoutesCorrected"], limit=LATELY))


async def _others(app: web.Application) -> tuple[list[str], list[str]]:
    """Whose routes there should be besides those of servers, and where they lead. What the operator adds
    (`c.Proxy.extra_routes`) is reported by no proxy.
    """
    options = app[GATE].options
    owners = {"hub": options.hub_connect_url}
    for entry in await registry.everything(app[POOL], options):
        if entry.target:
            owners[entry.owner] = entry.target
    return list(owners), list(owners.values())


def _route(row: asyncpg.Record, app: web.Application) -> RouteNow:
    server: str = row["server"]
    if row["owner"]:
        whose = label(row["owner"], row["name"])
    elif server == "hub":
        whose = "The hub"
    elif server.startswith("service:"):
        id = server.removeprefix("service:")
        whose = f"Service {id if id in app[GATE].options.services else 'registered as ' + id[:8]}"
    else:
        whose = f"Unknown: {server[:40]}"
    return RouteNow(
        key=f"{row['proxy']}-{server}",
        proxy=row["proxy"],
        whose=whose,
        wanted=row["wanted"] or "",
        actual=row["actual"] or "",
        state=row["state"],
    )
