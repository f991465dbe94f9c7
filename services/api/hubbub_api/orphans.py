"""GET /orphans; POST, DELETE /orphans/{server_id}/{attempt}; POST .../force-stop: what is left of earlier starts.

JupyterHub has none of it. Whatever may still be there is ended by workers, over and over; here an administrator
sees it.
"""

from datetime import datetime, timedelta
from typing import Any, Literal

import asyncpg
import msgspec
from aiohttp import web

from hubbub.domain.message import NotFound
from hubbub.domain.names import prefix
from hubbub.domain.server_messages import AdoptOrphan, ForceStop, ForgetOrphan, Leftover, Reach
from hubbub.domain.server_states import Known
from hubbub.rpc import Done
from hubbub.subjects import token
from hubbub.transaction import Transaction
from hubbub.views import SERVERS
from hubbub.web.request import GATE, ApiError, identify, require
from hubbub_api import remains
from hubbub_api.answers import LARGEST_NUMBER, asked, page_of, stamp
from hubbub_api.commit import commit
from hubbub_api.endpoint import Endpoints
from hubbub_api.keys import BUS, VIEWS
from hubbub_api.schemas import Paging
from hubbub_api.views import Views

routes = Endpoints("servers")

ONE = "/orphans/{server_id}/{attempt}"
SCOPE = "admin:servers"

LISTED = """
    select l.*, u.name as user, e.recorded_at, split_part(x.holder, ' ', 1) as worker from (
        select s.id, s.number, s.user_id, s.name, s.kind, l.*, count(*) over () as total from servers s
        cross join lateral json_to_recordset(s.state::json -> 'leftovers')
            as l (attempt int, host text, pool text, reach text, reason text, url text)
        where s.leftovers > 0 order by s.number, l.attempt limit $1 offset $2
    ) l left join users u on u.id = l.user_id
    left join leases x on x.name = 'leftover:' || l.id || ':' || l.attempt and x.until > now()
    left join lateral (select recorded_at from events e where e.stream = 'server-' || l.id and e.type = 'OrphanFound'
        and (e.data::json ->> 'attempt')::int = l.attempt order by e.version desc limit 1) e on true
    order by l.number, l.attempt
"""
_TOTAL = "select coalesce(sum(leftovers), 0) from servers where leftovers > 0"
_OWNER = "select name from users where id = $1"


class Orphan(msgspec.Struct, kw_only=True):
    """What may be left of an attempt that is over. `server`: its id, for the address of this orphan.

    `reach`: who can get at it: its `host`, by a process or otherwise, or every worker of its `pool`. `state`: of the
    server now. `worker`: who is about to end it; null for nobody at the moment. `adoptable`: it had started, and
    nothing was started since.
    """

    server: str
    user: str | None
    name: str
    attempt: int
    host: str
    pool: str
    reach: Reach
    reason: str
    since: str | None
    state: str
    worker: str | None
    adoptable: bool


class Asked(msgspec.Struct, kw_only=True):
    """`remove`: try at once to end it. `adopt`: it is to be the server again, and to go on running."""

    action: Literal["adopt", "remove"]


@routes.get("/orphans", scopes=(SCOPE,), query=Paging, answers={200: list[Orphan]})
async def listing(request: web.Request) -> web.Response:
    """Lists what may be left of attempts that are over, a page at a time. JupyterHub has no such thing."""
    require(await identify(request), SCOPE)
    page, views = page_of(request), request.app[VIEWS]
    rows = await views.fetch(LISTED, page.limit, page.offset)
    total = rows[0]["total"] if rows else (await views.fetch(_TOTAL))[0][0]
    return page.answer(request, [model_of(row) for row in rows], total)


def model_of(row: asyncpg.Record) -> Orphan:
    reach: Reach = row["reach"] or "process"
    since: datetime | None = row["recorded_at"]
    return Orphan(
        server=row["id"],
        user=row["user"],
        name=row["name"],
        attempt=row["attempt"],
        host=row["host"] or "",
        pool=row["pool"] or "",
        reach=reach,
        reason=row["reason"] or "",
        since=stamp(since),
        state=row["kind"].lower(),
        worker=row["worker"],
        adoptable=bool(row["url"]) and reach != "process" and row["kind"] == "Stopped",
    )


@routes.post(ONE, scopes=(SCOPE,), body=Asked, answers={202: None})
async def settle(request: web.Request) -> web.Response:
    """Tries again at once to end what is left, or lets it be the server again. JupyterHub has no such thing."""
    identity = require(await identify(request), SCOPE)
    server, attempt = _target(request)
    action = (await asked(request, Asked)).action
    options = request.app[GATE].options

    async def body(tx: Transaction) -> str:
        state, left = await _known(tx, server, attempt)
        if action == "remove":
            remains.free(tx, server, attempt)
            return left.pool
        owners = await tx.fetch(_OWNER, state.user)
        command = AdoptOrphan(
            at=tx.now,
            attempt=attempt,
            prefix=prefix(options.base_url, owners[0]["name"], state.name) if owners else "",
            deadline=tx.now + timedelta(seconds=options.ours.adoption_timeout),
        )
        await remains.act(tx, server, command)
        return ""

    pools: list[str] = []

    async def render(_: Views, pool: str) -> web.Response:
        pools.append(pool)
        return web.Response(status=202, content_type="text/plain")

    response = await commit(request, identity, body, render, [(SERVERS, server)])
    for pool in filter(None, pools):  # adopting says so in the log, which brings the word itself
        await request.app[BUS].signal(f"hub.ticket.pool.{token(pool)}", Done())
    return response


@routes.delete(ONE, scopes=(SCOPE,), answers={204: None})
async def forget(request: web.Request) -> web.Response:
    """Forgets what is left of an attempt, whether it is still there or not. JupyterHub has no such thing."""
    identity = require(await identify(request), SCOPE)
    server, attempt = _target(request)

    async def body(tx: Transaction) -> None:
        await _known(tx, server, attempt)
        await remains.act(tx, server, ForgetOrphan(attempt=attempt))

    return await commit(request, identity, body, _empty, [(SERVERS, server)])


@routes.post("/users/{user}/server/force-stop", scopes=(SCOPE,), answers={204: None})
@routes.post("/users/{user}/servers/{name:[^/]*}/force-stop", scopes=(SCOPE,), answers={204: None})
async def force_stop(request: web.Request) -> web.Response:
    """Waits no longer for a server to stop: it counts as stopped, and what is left of it as an orphan.

    It goes on being ended. JupyterHub has no such thing.
    """
    user, name = request.match_info["user"], request.match_info.get("name", "")
    identity = require(await identify(request), SCOPE, user=user, server=name)
    server = await request.app[VIEWS].server(user, name)
    if server is None:
        raise ApiError(404)
    id = server.id

    async def body(tx: Transaction) -> None:
        await remains.act(tx, id, ForceStop())

    return await commit(request, identity, body, _empty, [(SERVERS, id)])


async def _empty(_: Views, __: Any) -> web.Response:
    return web.Response(status=204)


def _target(request: web.Request) -> tuple[str, int]:
    attempt = request.match_info["attempt"]
    if not (attempt.isascii() and attempt.isdecimal() and int(attempt[:20]) <= LARGEST_NUMBER):
        raise ApiError(404)
    return request.match_info["server_id"], int(attempt)


async def _known(tx: Transaction, server: str, attempt: int) -> tuple[Known, Leftover]:
    state = await tx.state(SERVERS, server)
    if isinstance(state, Known):
        for left in state.leftovers:
            if left.attempt == attempt:
                return state, left
    raise NotFound("Nothing is known to be left of that attempt")
