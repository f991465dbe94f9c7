"""GET /workers, /workers/{worker}, /pools: who works here, and what waits. JupyterHub has no such thing.

Pages of the hub call `workers`, `worker` and `pools`. Who is there is what this api has heard of since it began; what
they hold is what the log says.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Literal

import asyncpg
import msgspec
from aiohttp import web

from hubbub import house
from hubbub.domain.house import HouseState
from hubbub.vault import Fetches
from hubbub.web.request import GATE, ApiError, identify, require
from hubbub_api.answers import answer, stamp
from hubbub_api.colleagues import Heard
from hubbub_api.endpoint import Endpoints
from hubbub_api.house import SCOPE, Draining, draining_of
from hubbub_api.keys import COLLEAGUES, POOL
from hubbub_api.schemas import Stamp

routes = Endpoints("operation")

ONE = "/workers/{worker}"
#: Servers of a worker that are listed.
MOST = 1000

Status = Literal["up", "draining", "drained", "silent"]

_HELD = """
    select holder, min(pool) as pool, min(host) as host, kind, count(*) as n
    from servers where holder is not null group by holder, kind
"""
_SERVERS = f"""
    select u.name as user, s.name, s.kind, s.attempt, s.since, a.at as last_activity
    from servers s left join users u on u.id = s.user_id left join activity a on a.subject = 'server:' || s.id
    where s.holder = $1 order by s.number limit {MOST}
"""
_POOLS = """
    select pool, holder is null and kind = 'Spawning' as waits, kind, count(*) as n, min(since) as since
    from servers where kind <> 'Stopped' group by 1, 2, 3
"""


class Holds(msgspec.Struct, kw_only=True):
    """How many servers, by what they are doing; managed services count, too."""

    spawning: int = 0
    started: int = 0
    running: int = 0
    stopping: int = 0

    @property
    def all(self) -> int:
        return self.spawning + self.started + self.running + self.stopping

    def add(self, kind: str, number: int) -> None:
        setattr(self, kind.lower(), getattr(self, kind.lower()) + number)


class Worker(msgspec.Struct, kw_only=True):
    """A worker. `host`: the id of its host, which is called `machine`. `alive`: it was heard of within a lease;
    `heard`: seconds ago, null if this api has not heard of it since it began. `status`: `drained` is a draining one
    that holds nothing any more. `capacity`: how many servers it holds at most, null for any number; `starts`: how many
    of them may be on their way up. `began`: when its process did.
    """

    name: str
    pool: str
    host: str
    machine: str
    version: str
    status: Status
    alive: bool
    heard: float | None
    began: Stamp | None
    holds: Holds
    capacity: int | None
    starts: int | None
    draining: Draining | None


class HeldServer(msgspec.Struct, kw_only=True):
    """A server that a worker holds. `user`: null for a managed service. `since`: when it was asked for."""

    user: str | None
    name: str
    state: Literal["spawning", "started", "running", "stopping"]
    attempt: int
    since: Stamp | None
    last_activity: Stamp | None


class WorkerInDetail(Worker, kw_only=True):
    """A worker with what it holds: the first 1000, oldest first."""

    servers: list[HeldServer]


class WorkerPool(msgspec.Struct, kw_only=True):
    """A pool of workers. `workers`: those that take work; `draining`, `silent`: those that do not. `capacity`: of those
    that do, null for any number. `waiting`: starts that no worker has taken yet; `oldest`: since when the first waits.
    """

    name: str
    workers: int
    draining: int
    silent: int
    capacity: int | None
    holds: Holds
    waiting: int
    oldest: Stamp | None


# REST -----------------------------------------------------------------------------------


@routes.get("/workers", scopes=(SCOPE,), answers={200: list[Worker]})
async def listing(request: web.Request) -> web.Response:
    """Lists the workers: those that are heard of, those that hold something, and those that are draining."""
    require(await identify(request), SCOPE)
    return answer(await workers(request.app))


@routes.get(ONE, scopes=(SCOPE,), answers={200: WorkerInDetail})
async def show(request: web.Request) -> web.Response:
    """Shows a worker with the servers that it holds."""
    require(await identify(request), SCOPE)
    found = await worker(request.app, request.match_info["worker"])
    if found is None:
        raise ApiError(404)
    return answer(found)


@routes.get("/pools", scopes=(SCOPE,), answers={200: list[WorkerPool]})
async def pool_listing(request: web.Request) -> web.Response:
    """Lists the pools of workers: what they could hold, what they hold, and what waits for them."""
    require(await identify(request), SCOPE)
    return answer(await pools(request.app))


# For pages, too -------------------------------------------------------------------------


async def workers(app: web.Application, source: Fetches | None = None) -> list[Worker]:
    """By pool and name: two queries."""
    source = source or app[POOL]
    return _workers(app[COLLEAGUES].known(), await source.fetch(_HELD), await house.read(source))


async def worker(app: web.Application, name: str, source: Fetches | None = None) -> WorkerInDetail | None:
    """Null if nothing is known of it: three queries."""
    source = source or app[POOL]
    found = next((each for each in await workers(app, source) if each.name == name), None)
    if found is None:
        return None
    servers = [
        HeldServer(
            user=row["user"],
            name=row["name"],
            state=row["kind"].lower(),
            attempt=row["attempt"],
            since=stamp(row["since"]),
            last_activity=stamp(row["last_activity"]),
        )
        for row in await source.fetch(_SERVERS, name)
    ]
    return WorkerInDetail(**msgspec.structs.asdict(found), servers=servers)


async def pools(app: web.Application) -> list[WorkerPool]:
    """Those of the configuration, in its order, then any others that something is known of: three queries."""
    source = app[POOL]
    there: defaultdict[str, list[Worker]] = defaultdict(list)
    for each in await workers(app):
        there[each.pool].append(each)
    rows: defaultdict[str, list[asyncpg.Record]] = defaultdict(list)
    for row in await source.fetch(_POOLS):
        rows[row["pool"]].append(row)
    names = [*app[GATE].options.pools, *sorted({*there, *rows} - {*app[GATE].options.pools, ""})]
    return [_pool(name, there[name], rows[name]) for name in names]


def _pool(name: str, there: Iterable[Worker], rows: Iterable[asyncpg.Record]) -> WorkerPool:
    up = [each for each in there if each.status == "up"]
    limits = [each.capacity for each in up]
    found = WorkerPool(
        name=name,
        workers=len(up),
        draining=sum(each.draining is not None for each in there),
        silent=sum(each.status == "silent" for each in there),
        capacity=None if None in limits else sum(limit or 0 for limit in limits),
        holds=Holds(),
        waiting=0,
        oldest=None,
    )
    for row in rows:
        if row["waits"]:
            found.waiting, found.oldest = row["n"], stamp(row["since"])
        else:
            found.holds.add(row["kind"], row["n"])
    return found


def _workers(known: dict[str, Heard], rows: Iterable[asyncpg.Record], state: HouseState) -> list[Worker]:
    held: defaultdict[str, list[asyncpg.Record]] = defaultdict(list)
    for row in rows:
        held[row["holder"]].append(row)
    names = {*known, *held, *(drain.worker for drain in state.draining)}
    found = [_worker(name, known.get(name), held[name], state) for name in names]
    return sorted(found, key=lambda each: (each.pool, each.name))


def _worker(name: str, heard: Heard | None, held: list[asyncpg.Record], state: HouseState) -> Worker:
    drain, beat, alive = state.drain_of(name), heard.beat if heard else None, bool(heard and heard.alive)
    holds = Holds()
    for row in held:
        holds.add(row["kind"], row["n"])
    return Worker(
        name=name,
        pool=beat.pool if beat else held[0]["pool"] if held else "",
        host=beat.host if beat else (held[0]["host"] or "") if held else "",
        machine=beat.machine if beat else "",
        version=beat.version if beat else "",
        status=("draining" if holds.all else "drained") if drain else "up" if alive else "silent",
        alive=alive,
        heard=round(heard.ago, 1) if heard else None,
        began=stamp(beat.began) if beat else None,
        holds=holds,
        capacity=(beat.capacity or None) if beat else None,
        starts=(beat.starts or None) if beat else None,
        draining=draining_of(drain) if drain else None,
    )
