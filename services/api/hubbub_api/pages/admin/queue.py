"""Which starts wait, in what order, and what for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg
from aiohttp import web

from hubbub.access import Identity
from hubbub.domain.names import escape
from hubbub.web.request import GATE, ApiError
from hubbub_api import workers
from hubbub_api.answers import LARGEST_NUMBER
from hubbub_api.keys import POOL
from hubbub_api.line import IN_ORDER, ORDER
from hubbub_api.pages.admin.room import operator, page
from hubbub_api.pages.card import label
from hubbub_api.workers import Worker, WorkerPool

#: Places of a pool on a page.
SIZE = 50

_LINE = f"""
    select q.id, q.waiting, q.since, q.asker, s.name, s.deadline, u.name as owner, a.name as asked_by
    from (select q.* from ({IN_ORDER}) q order by {ORDER} limit {SIZE} offset $3) q
    join servers s on s.id = q.id left join users u on u.id = q.user_id left join users a on a.id = q.asker
    order by {ORDER}
"""
_BLOCKED = f"""
    select s.id, count(*) over () as waiting, s.since, coalesce(s.asker, s.user_id) as asker, s.name, s.deadline,
           u.name as owner, a.name as asked_by
    from servers s left join users u on u.id = s.user_id left join users a on a.id = coalesce(s.asker, s.user_id)
    where s.kind = 'Spawning' and s.holder is null and s.pool = $1 and s.leftovers > 0 and exists (
        select from json_array_elements(s.state::json -> 'leftovers') l where l ->> 'reach' in ('pool', 'host'))
    order by s.since limit {SIZE}
"""
_UNDER_WAY = """
    select count(*) from servers where kind in ('Spawning', 'Started') and holder is not null and user_id <> ''
"""


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """`place`: 1 for the next; null for one that is kept back. `path`: of its server below the API, if the viewer may
    cancel it. `asked_by`: "" for its owner. `owner`: "" of a managed service.
    """

    key: str
    place: int | None
    owner: str
    name: str
    asked_by: str
    since: datetime
    deadline: datetime
    path: str

    @property
    def label(self) -> str:
        return label(self.owner, self.name)


@dataclass(frozen=True, kw_only=True)
class Line:
    """The queue of a pool, or a part of it. `why`: what they wait for. `kept_back`: by leftovers of earlier starts."""

    pool: str
    why: str
    total: int
    first: int
    waiting: Sequence[Waiting]
    kept_back: Sequence[Waiting]

    @property
    def last(self) -> int:
        return self.first + len(self.waiting) - 1


@operator
async def show(request: web.Request, identity: Identity) -> web.StreamResponse:
    """`?pool=` and `?offset=`: a later part of one of them."""
    offset = request.query.get("offset", "0")
    if not (offset.isascii() and offset.isdecimal() and int(offset[:20]) <= LARGEST_NUMBER):
        raise ApiError(400, "offset is not a number")
    pools = await workers.pools(request.app)
    chosen = request.query.get("pool", "")
    lines = await lines_of(request.app, identity, [each for each in pools if chosen in ("", each.name)], int(offset))
    return page(
        request,
        identity,
        "queue.html",
        "/queue",
        follow="type=SpawnRequested,AttemptClaimed,SpawnFailed,AttemptLost,OrphanRemoved",
        lines=lines,
        size=SIZE,
        pools=pools,
    )


async def lines_of(
    app: web.Application, identity: Identity, pools: Sequence[WorkerPool], offset: int = 0
) -> list[Line]:
    """Of those of *pools* in which somebody waits."""
    waiting = [pool for pool in pools if pool.waiting]
    if not waiting:
        return []
    there, under_way = await workers.workers(app), await app[POOL].fetchval(_UNDER_WAY)
    options = app[GATE].options
    limit = options.hub.concurrent_spawn_limit if options.ours.queue_spawns else 0
    limited = f"{under_way} starts are under way, as many as there may be at once." if 0 < limit <= under_way else ""
    found = []
    for pool in waiting:
        rows = await app[POOL].fetch(_LINE, pool.name, "", offset)
        back = await app[POOL].fetch(_BLOCKED, pool.name)
        total = rows[0]["waiting"] if rows else pool.waiting - (back[0]["waiting"] if back else 0)
        found.append(
            Line(
                pool=pool.name,
                why=_why(pool, [each for each in there if each.pool == pool.name and each.status == "up"], limited),
                total=total,
                first=offset + 1,
                waiting=[_waiting(row, identity, place) for place, row in enumerate(rows, offset + 1)],
                kept_back=[_waiting(row, identity, None) for row in back],
            )
        )
    return found


def _why(pool: WorkerPool, up: Sequence[Worker], limited: str) -> str:
    if not up:
        if pool.draining:
            return "Its workers are being drained: none of them takes anything."
        return "Its workers are silent." if pool.silent else "There is no worker in this pool."
    if limited:
        return limited
    held = sum(each.holds.all for each in up)
    if pool.capacity is not None and held >= pool.capacity:
        return f"Its workers are full: they hold {held} servers, and may hold {pool.capacity}."
    starting = [(each.holds.spawning + each.holds.started, each.starts) for each in up]
    if all(most is not None and now >= most for now, most in starting):
        return f"Its workers start {sum(now for now, _ in starting)} servers, as many as they may at once."
    return "A worker is about to take the next ones."


def _waiting(row: asyncpg.Record, identity: Identity, place: int | None) -> Waiting:
    owner, name = row["owner"] or "", row["name"]
    may = bool(owner) and identity.may("delete:servers", user=owner, server=name)
    path = f"users/{escape(owner)}/servers/{escape(name)}" if name else f"users/{escape(owner)}/server"
    asker = row["asked_by"] or row["asker"].removeprefix("service:")
    return Waiting(
        key=row["id"],
        place=place,
        owner=owner,
        name=name,
        asked_by="" if not owner or asker == owner else asker,
        since=row["since"],
        deadline=row["deadline"],
        path=path if may else "",
    )
