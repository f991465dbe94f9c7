"""GET, POST /users/{user}/tokens; GET, DELETE /users/{user}/tokens/{id}."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import msgspec
from aiohttp import web

from hubbub.access import Identity
from hubbub.domain import scope
from hubbub.domain.token import IssueToken, RevokeToken
from hubbub.tokens import new_token, token_hash
from hubbub.transaction import Transaction
from hubbub.views import TOKENS
from hubbub.web.request import GATE, NO_CREDENTIALS, ApiError, identify, require
from hubbub_api.answers import answer, asked, stamp
from hubbub_api.commit import commit
from hubbub_api.endpoint import Endpoints
from hubbub_api.keys import ACTIVITIES, VIEWS
from hubbub_api.schemas import Stamp
from hubbub_api.views import Views

routes = Endpoints("tokens")

_STATE = msgspec.json.Decoder(TOKENS.decider.states)
_ROWS = """
    select t.id, t.number, t.state, e.recorded_at as created, a.at as last_activity, s.name as server, o.name as owner
    from tokens t join events e on e.position = t.number
    left join activity a on a.subject = 'token:' || t.id
    left join servers s on s.id = t.server and t.server <> '' left join users o on o.id = s.user_id
    where t.user_id = $1 and (t.expires_at is null or t.expires_at > now())
"""


class Token(msgspec.Struct, kw_only=True):
    """`oauth_client` describes whom it was given to; `roles` is always empty."""

    user: str
    id: str
    kind: str = "api_token"
    roles: list[str] = []
    scopes: list[str]
    created: Stamp | None
    last_activity: Stamp | None
    expires_at: Stamp | None
    note: str
    session_id: str | None
    oauth_client: str


class NewToken(Token, kw_only=True):
    """The one answer in which the token itself stands."""

    token: str


class Tokens(msgspec.Struct):
    api_tokens: list[Token]


class TokenAsked(msgspec.Struct, kw_only=True):
    """`scopes` or `roles`, not both; neither: all that its owner may do. `expires_in` is in seconds."""

    note: str | None = None
    expires_in: int | None = None
    scopes: list[str] | None = None
    roles: list[str] | None = None


async def _model(request: web.Request, owner: Identity, row: asyncpg.Record, as_: Any = Token, **more: str) -> Any:
    state = _STATE.decode(row["state"])
    heard = request.app[ACTIVITIES].newer(f"token:{row['id']}", row["last_activity"])
    server = f"{row['owner']}/{row['server']}" if row["owner"] else ""
    return as_(
        user=owner.name,
        id=f"a{row['number']}",
        scopes=sorted(await request.app[GATE].access.token_scopes(owner, state.scopes, server)),
        created=stamp(row["created"]),
        last_activity=stamp(heard),
        expires_at=stamp(state.expires_at),
        note=state.note,
        session_id=state.session or None,
        oauth_client="JupyterHub" if state.client == "jupyterhub" else state.client,
        **more,
    )


async def _owner(request: web.Request, name: str) -> Identity:
    owner = await request.app[GATE].access.user(name)
    if owner is None:
        raise ApiError(404)
    return owner


@routes.get("/users/{user}/tokens", scopes=("read:tokens",), answers={200: Tokens})
async def listing(request: web.Request) -> web.Response:
    """The user's tokens, the one used last first."""
    name = request.match_info["user"]
    require(await identify(request), "read:tokens", user=name)
    owner = await _owner(request, name)
    rows = await request.app[VIEWS].fetch(f"{_ROWS} order by a.at desc nulls last, t.number", owner.id)
    return answer(Tokens([await _model(request, owner, row) for row in rows]))


async def _one(request: web.Request, owner: Identity) -> asyncpg.Record:
    id = request.match_info["id"]
    if not (id.startswith("a") and id[1:].isascii() and id[1:].isdecimal() and len(id) < 19):
        raise ApiError(404, f"Invalid token id: {id[:50]}")
    row = await request.app[VIEWS].row(f"{_ROWS} and t.number = $2", owner.id, int(id[1:]))
    if row is None:
        raise ApiError(404, f"Token not found: {id}")
    return row


@routes.get("/users/{user}/tokens/{id}", scopes=("read:tokens",), answers={200: Token})
async def show(request: web.Request) -> web.Response:
    name = request.match_info["user"]
    require(await identify(request), "read:tokens", user=name)
    owner = await _owner(request, name)
    return answer(await _model(request, owner, await _one(request, owner)))


@routes.post("/users/{user}/tokens", scopes=("tokens",), body=TokenAsked, answers={201: NewToken})
async def create(request: web.Request) -> web.Response:
    """Makes a token; this answer is the only place where it can ever be read."""
    name = request.match_info["user"]
    identity = await identify(request)
    if identity is None:
        raise ApiError(403, NO_CREDENTIALS)
    require(identity, "tokens", user=name)
    body = await asked(request, TokenAsked)
    owner = await request.app[GATE].access.user(name)
    if owner is None:
        raise ApiError(403, f"No such user {name}")
    scopes, lifetime = _scopes(request, body), _lifetime(request, body)
    await _check_held(request, owner, scopes)
    note = body.note or "Requested via api" + (f" by {identity.kind} {identity.name}" if identity.token else "")
    token = new_token()

    async def issue(tx: Transaction) -> None:
        await tx.know(owner.id)
        command = IssueToken(
            user=owner.id,
            hash=token_hash(token),
            scopes=scopes,
            note=note,
            expires_at=tx.now + timedelta(seconds=lifetime) if lifetime else None,
        )
        await tx.act(TOKENS, uuid4().hex, command)

    async def render(views: Views, _: None) -> web.Response:
        row = await views.row(f"{_ROWS} and t.hash = $2", owner.id, token_hash(token))
        assert row is not None
        return answer(await _model(request, owner, row, NewToken, token=token), 201)

    return await commit(request, identity, issue, render)


def _scopes(request: web.Request, body: TokenAsked) -> tuple[str, ...]:
    """The scopes asked for; those of roles for names of roles."""
    roles = request.app[GATE].access.roles
    if body.scopes is not None and body.roles is not None:
        raise ApiError(400, "Specify roles or scopes, not both")
    if body.roles is None:
        scopes = ["inherit"] if body.scopes is None else body.scopes
    else:
        if unknown := [role for role in body.roles if role not in roles]:
            raise ApiError(400, f"No such role: {unknown[0][:50]!r}")
        scopes = [each for role in body.roles for each in roles[role]]
    if unknown := [each for each in scopes if not roles.tree.known(each)]:
        raise ApiError(400, f"No such scope: {unknown[0][:50]!r}")
    return tuple(dict.fromkeys(scopes))


def _lifetime(request: web.Request, body: TokenAsked) -> float:
    """Seconds; 0: for ever."""
    longest = request.app[GATE].options.hub.token_expires_in_max_seconds
    if body.expires_in is None:
        return longest
    if body.expires_in < 1:
        raise ApiError(400, "expires_in must be at least 1 second")
    if longest and body.expires_in > longest:
        raise ApiError(400, f"expires_in must not exceed {longest} seconds")
    return body.expires_in


async def _check_held(request: web.Request, owner: Identity, scopes: tuple[str, ...]) -> None:
    if "inherit" in scopes:
        return
    access = request.app[GATE].access
    wanted = access.roles.tree.expand(scopes, user=owner.name)
    members = await access.members([*wanted, *owner.scopes])
    if excess := sorted(each for each in wanted if not scope.covers(owner.scopes, each, members)):
        raise ApiError(400, f"Not assigning requested scopes {', '.join(excess)} not held by {owner.kind} {owner.name}")


@routes.delete("/users/{user}/tokens/{id}", scopes=("tokens",), answers={204: None})
async def revoke(request: web.Request) -> web.Response:
    """Deleting one that an OAuth client holds deletes all that this client holds for the user."""
    name = request.match_info["user"]
    identity = require(await identify(request), "tokens", user=name)
    owner = await _owner(request, name)
    row = await _one(request, owner)
    state = _STATE.decode(row["state"])

    async def body(tx: Transaction) -> None:
        ids = [row["id"]]
        if state.client != "jupyterhub" and not await tx.fetch("select 1 from servers where token = $1", row["id"]):
            ids = [each["id"] for each in await tx.fetch(_OF_CLIENT, owner.id, state.client)]
        await revoke_of(tx, ids, "asked")

    async def render(_: Views, __: None) -> web.Response:
        return web.Response(status=204)

    return await commit(request, identity, body, render, [(TOKENS, row["id"])])


#: All but the servers' own.
_OF_CLIENT = """
    select id from tokens where user_id = $1 and client = $2
    and id not in (select token from servers where token is not null)
"""


async def revoke_of(tx: Transaction, ids: list[str], reason: str) -> None:
    """Revoke those of *ids* that still are."""
    for id in ids:
        if await tx.state(TOKENS, id) != TOKENS.decider.initial:
            await tx.act(TOKENS, id, RevokeToken(reason=reason))
