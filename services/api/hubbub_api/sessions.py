"""GET, DELETE /users/{user}/sessions; DELETE one of them; GET /users/{user}/logins; GET /logins/failed.

What may be done to somebody's tokens may be done to their sessions: with one end the tokens that were given out in it.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import asyncpg
import msgspec
from aiohttp import web
from msgspec import Meta

from hubbub import sessions
from hubbub.access import Identity
from hubbub.domain.message import NotFound
from hubbub.transaction import Transaction
from hubbub.views import SESSIONS, USERS
from hubbub.web.request import GATE, ApiError, client_address, identify, require
from hubbub_api import login_history as logins
from hubbub_api.answers import LARGEST_NUMBER, answer, page_of, query_of, stamp
from hubbub_api.commit import commit, empty
from hubbub_api.endpoint import Endpoints
from hubbub_api.keys import ACTIVITIES, VAULT, VIEWS
from hubbub_api.login_history import AnyFailedLogin, Logins
from hubbub_api.rows import UserRow
from hubbub_api.schemas import Limit, Paging, Stamp
from hubbub_api.views import Views

routes = Endpoints("sessions")

READ, WRITE = ("read:tokens", "admin:users"), ("tokens", "admin:users")

_STATE = msgspec.json.Decoder(SESSIONS.decider.states)


class Session(msgspec.Struct, kw_only=True):
    """A browser that is logged in. `agent` is what it calls itself; `current`: the request came from there."""

    id: str
    user: str
    created: Stamp | None
    last_activity: Stamp | None
    expires_at: Stamp | None
    address: str
    agent: str
    current: bool


class Which(msgspec.Struct, kw_only=True):
    """`except`: the session of the request itself stays."""

    but: Annotated[
        Literal["", "current"], Meta(description="`current`: all but the session that the request comes from.")
    ] = msgspec.field(default="", name="except")


class LoginsQuery(msgspec.Struct, kw_only=True):
    """`limit`: as of other lists."""

    before: (
        Annotated[str, Meta(pattern="^s[0-9]{1,18}$", description="Only logins before that of this session, as `s12`.")]
        | None
    ) = None
    limit: Limit | None = None


@routes.get("/users/{user}/sessions", scopes=READ, query=Paging, answers={200: list[Session]})
async def listing(request: web.Request) -> web.Response:
    """Lists the browsers that the user is logged in with, the one that logged in last at the beginning."""
    identity, owner = await _about(request, READ)
    page = page_of(request)
    found, total = await sessions_of(request, owner, identity, offset=page.offset, limit=page.limit)
    return page.answer(request, found, total)


@routes.delete("/users/{user}/sessions", scopes=WRITE, query=Which, answers={204: None})
async def end_all(request: web.Request) -> web.Response:
    """Logs the user out of every browser. All tokens that were given out to those end, too; API tokens stay."""
    identity, owner = await _about(request, WRITE)
    but = ""
    if query_of(request, Which).but:
        if identity.id != owner.id or not identity.session:
            raise ApiError(400, "This request comes from none of the user's sessions")
        but = identity.session
    return await end_others(request, identity, owner.id, but=but)


@routes.delete("/users/{user}/sessions/{session}", scopes=WRITE, answers={204: None})
async def end_one(request: web.Request) -> web.Response:
    """Logs one browser out. All tokens that were given out to it end, too."""
    identity, owner = await _about(request, WRITE)
    return await end(request, identity, owner.id, request.match_info["session"])


@routes.get("/users/{user}/logins", scopes=READ, query=LoginsQuery, answers={200: Logins})
async def history(request: web.Request) -> web.Response:
    """Lists logins of the user, how each ended, and the latest that did not work."""
    identity, owner = await _about(request, READ)
    query, limit = query_of(request, LoginsQuery), page_of(request).limit
    before = LARGEST_NUMBER if query.before is None else logins.number_of(query.before) or 0
    return answer(await logins_of(request, owner.id, before=before, limit=limit, whole=_sees_all(identity, owner)))


@routes.get("/logins/failed", scopes=("admin:users",), query=Paging, answers={200: list[AnyFailedLogin]})
async def failures(request: web.Request) -> web.Response:
    """Lists the latest logins that did not work, whoever they were about; `admin:users` for everybody is needed."""
    require(await identify(request), "admin:users")
    page = page_of(request)
    found, total = await logins.all_failed(request.app[VIEWS], offset=page.offset, limit=page.limit)
    return page.answer(request, found, total)


def _sees_all(identity: Identity, owner: UserRow) -> bool:
    return identity.may("admin:users", user=owner.name)


async def _about(request: web.Request, scopes: Sequence[str]) -> tuple[Identity, UserRow]:
    """Who asks, and about whom. Raises ApiError unless they may."""
    name = request.match_info["user"]
    identity = require(await identify(request), *scopes, user=name)
    owner = await request.app[VIEWS].user(name)
    if owner is None:
        raise ApiError(404, f"No such user: {name}")
    return identity, owner


# For the API and for pages --------------------------------------------------------------


async def sessions_of(
    request: web.Request, owner: UserRow, identity: Identity, *, offset: int = 0, limit: int
) -> tuple[list[Session], int]:
    """Some of somebody's sessions, the newest first, and how many there are; *identity* is who asks."""
    not_idle = sessions.not_idle(request.app[GATE].options.ours.session_idle_timeout)
    rows = await request.app[VIEWS].fetch(_ROWS.format(not_idle=not_idle), owner.id, limit, offset)
    models = [_model(request, owner, identity, row) for row in rows]
    if models or not offset:
        return models, rows[0]["total"] if rows else 0
    counted = await request.app[VIEWS].row("select count(*) from sessions where user_id = $1", owner.id)
    return [], counted[0] if counted else 0


def _model(request: web.Request, owner: UserRow, identity: Identity, row: asyncpg.Record) -> Session:
    state = _STATE.decode(row["state"])
    used = request.app[ACTIVITIES].newer(sessions.subject(row["id"]), row["used"])
    return Session(
        id=logins.public_id(row["number"]),
        user=owner.name,
        created=stamp(row["created"]),
        last_activity=stamp(used),
        expires_at=stamp(state.expires_at),
        address=logins.place(state.address),
        agent=state.agent,
        current=row["id"] == identity.session,
    )


async def logins_of(request: web.Request, user: str, *, before: int, limit: int, whole: bool) -> Logins:
    """Of *user* (an id); see `hubbub_api.login_history`."""
    views, vault = request.app[VIEWS], request.app[VAULT]
    return Logins(
        logins=await logins.logins(views, vault, user, before=before, limit=limit, whole=whole),
        failed=await logins.failed(views, user, limit),
    )


async def end(request: web.Request, identity: Identity, user: str, id: str) -> web.Response:
    """End the session of *user* that is called *id* in public. Raises `NotFound`."""
    number, address = logins.number_of(id), client_address(request)

    async def body(tx: Transaction) -> None:
        rows = await tx.fetch("select id from sessions where user_id = $1 and number = $2", user, number or 0)
        if not rows:
            raise NotFound(f"No such session: {id[:50]}")
        await sessions.close(tx, rows[0]["id"], reason="ended", address=address)

    return await commit(request, identity, body, _nothing_to_say, [(USERS, user)])


async def end_others(request: web.Request, identity: Identity, user: str, *, but: str = "") -> web.Response:
    """End all sessions of *user* (an id) but *but*."""
    address = client_address(request)

    async def body(tx: Transaction) -> None:
        await sessions.close_all(tx, user, but=but, reason="ended", address=address)

    return await commit(request, identity, body, _nothing_to_say, [(USERS, user)])


async def _nothing_to_say(_: Views, __: None) -> web.Response:
    return await empty(204)


_ROWS = f"""
    select x.id, x.number, x.state, e.recorded_at as created, xa.at as used, count(*) over () as total
    from sessions x join events e on e.position = x.number {sessions.USED}
    where x.user_id = $1 and x.expires_at > now() {{not_idle}} order by x.number desc limit $2 offset $3
"""
