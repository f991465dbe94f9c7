"""The tables of another moment, for pages: servers and routes with a search, and what has become of each row since."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from hubbub_api.past import Moment, Past
from hubbub_api.rows import ServerRow, UserRow
from hubbub_api.views import Views


@dataclass(frozen=True, kw_only=True)
class Span:
    """What can be looked at: `first` is the position of the first event since there is a history, `last` the newest."""

    first: int
    last: int


@dataclass(frozen=True, kw_only=True)
class ThenUser:
    """`now`: what is different today, in words; "" if nothing is. `servers`: those that were not stopped."""

    row: UserRow
    servers: list[ServerRow]
    now: str

    @property
    def forgotten(self) -> bool:
        return self.now == FORGOTTEN


@dataclass(frozen=True, kw_only=True)
class ThenServer:
    id: str
    owner: str
    name: str
    state: str
    since: datetime | None
    worker: str
    attempt: int
    now: str


@dataclass(frozen=True, kw_only=True)
class ThenRoute:
    """`counted`: whether its proxy did. `whose`: a server's owner and name, or what it is else."""

    id: str
    proxy: str
    counted: bool
    whose: str
    server: str
    target: str
    now: str


FORGOTTEN = "Forgotten since then"

_STATES = {
    "Spawning": "Starting",
    "Started": "Starting",
    "Running": "Running",
    "Stopping": "Stopping",
    "Stopped": "Stopped",
}


async def span(pool: "asyncpg.Pool[asyncpg.Record]") -> Span:
    row = await pool.fetchrow(_SPAN)
    assert row is not None
    return Span(first=min(row["first"], row["last"]), last=row["last"])


async def users(
    past: Past, now: Views, moment: Moment, *, search: str, offset: int, limit: int
) -> tuple[list[ThenUser], int]:
    """A page of users by name, and how many there were."""
    then = past.views(moment)
    rows, total = await then.users(
        names=None, groups=(), state=None, name_filter=search, sort="name", offset=offset, limit=limit
    )
    active = await then.servers_of([row.id for row in rows], stopped=False)
    today = {row["id"]: row for row in await now.fetch(_USERS_NOW, [row.id for row in rows])}
    found = [ThenUser(row=row, servers=active.get(row.id, []), now=_of_user(row, today.get(row.id))) for row in rows]
    return found, total


def _of_user(then: UserRow, now: asyncpg.Record | None) -> str:
    if now is None:
        return FORGOTTEN
    said = []
    if now["name"] != then.name:
        said.append(f"Called {now['name']}")
    if now["admin"] != then.admin:
        said.append("An administrator" if now["admin"] else "No administrator")
    return "; ".join(said)


async def servers(
    past: Past, now: Views, moment: Moment, *, search: str, offset: int, limit: int
) -> tuple[list[ThenServer], int]:
    """A page of people's servers that were not stopped, the oldest first, and how many there were."""
    rows = await _page(past, moment, _SERVERS_THEN, _SERVER_SEARCHED, search, offset, limit)
    today = {row["id"]: row for row in await now.fetch(_SERVERS_NOW, [row["id"] for row in rows])}
    found = [
        ThenServer(
            id=row["id"],
            owner=row["owner"],
            name=row["name"],
            state=_STATES[row["kind"]],
            since=row["since"],
            worker=row["holder"] or "",
            attempt=row["attempt"],
            now=_of_server(row, today.get(row["id"])),
        )
        for row in rows
    ]
    return found, rows[0]["total"] if rows else 0


def _of_server(then: asyncpg.Record, now: asyncpg.Record | None) -> str:
    if now is None:
        return "Deleted"
    if now["attempt"] != then["attempt"]:
        return f"{_STATES[now['kind']]}, start {now['attempt']}"
    return _STATES[now["kind"]] if now["kind"] != then["kind"] else ""


async def routes(
    past: Past, now: Views, moment: Moment, *, search: str, offset: int, limit: int
) -> tuple[list[ThenRoute], int]:
    """A page of the routes that proxies had reported, and how many there were."""
    rows = await _page(past, moment, _ROUTES_THEN, _ROUTE_SEARCHED, search, offset, limit)
    today = {row["id"]: row["target"] for row in await now.fetch(_ROUTES_NOW, [row["id"] for row in rows])}
    found = [
        ThenRoute(
            id=row["id"],
            proxy=row["proxy"],
            counted=row["counted"],
            whose=_whose(row),
            server=row["server"],
            target=row["target"],
            now=_of_route(row, today),
        )
        for row in rows
    ]
    return found, rows[0]["total"] if rows else 0


def _whose(row: asyncpg.Record) -> str:
    if row["owner"]:
        return f"{row['owner']}/{row['name']}" if row["name"] else str(row["owner"])
    server: str = row["server"]
    return "The hub" if server == "hub" else f"Service {server.removeprefix('service:')}" if ":" in server else server


def _of_route(then: asyncpg.Record, today: dict[str, Any]) -> str:
    if then["id"] not in today:
        return "Gone"
    return "" if today[then["id"]] == then["target"] else f"Leads to {today[then['id']]}"


async def _page(
    past: Past, moment: Moment, query: str, searched: str, search: str, offset: int, limit: int
) -> list[asyncpg.Record]:
    if not search:
        return await past.fetch(moment, query.format(searched=""), offset, limit)
    escaped = search.lower().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return await past.fetch(moment, query.format(searched=searched), offset, limit, f"%{escaped}%")


def pages(total: int, page: int, limit: int) -> Sequence[int]:
    """The numbers of the pages before and after *page* (from 1), if there are any."""
    return [each for each in (page - 1, page + 1) if 1 <= each <= max(1, -(-total // limit))]


_SPAN = """
    select h.position as last,
           coalesce((select e.position from events e, history.beginning b where e.recorded_at >= b.at
                     order by e.recorded_at limit 1), h.position) as first
    from log_head h
"""
_USERS_NOW = "select id, name, admin from users where id = any($1)"

# Whose they are is looked up for the page alone, unless one searches for that.
_SERVERS_THEN = """
    with page as materialized (
        select s.*, count(*) over () as total from active_servers s where s.user_id <> '' {searched}
        order by s.number offset $1 limit $2
    )
    select p.id, p.number, p.name, p.kind, p.attempt, p.since, p.holder, p.total, u.name as owner
    from page p join users u on u.id = p.user_id order by p.number
"""
_SERVER_SEARCHED = """
    and exists (select from users u where u.id = s.user_id and lower(u.name || '/' || s.name) like $3)
"""
_SERVERS_NOW = "select id, kind, attempt from servers where id = any($1)"
_ROUTES_THEN = """
    with page as materialized (
        select r.*, count(*) over () as total from routes r where true {searched} order by r.number offset $1 limit $2
    )
    select r.id, r.proxy, r.server, r.target, r.number, r.total, s.name, u.name as owner,
           exists (select from proxies p where p.id = r.proxy) as counted
    from page r left join servers s on s.id = r.server left join users u on u.id = s.user_id order by r.number
"""
_ROUTE_SEARCHED = """
    and (lower(r.proxy) like $3 or lower(r.server) like $3 or exists (
        select from servers s join users u on u.id = s.user_id
        where s.id = r.server and lower(u.name || '/' || s.name) like $3))
"""
_ROUTES_NOW = "select id, target from routes where id = any($1)"
