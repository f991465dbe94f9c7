"""GET, POST /users/{user}/tokens; GET, DELETE /users/{user}/tokens/{id}; GET /authorizations/token/{token}."""

import hashlib
import hmac
from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import msgspec
from aiohttp import web

from hubbub.access import Identity, token_scopes
from hubbub.domain import scope
from hubbub.domain.token import IssueToken, RevokeToken
from hubbub.eventlog import Context
from hubbub.tokens import new_token, token_hash
from hubbub.transaction import Transaction
from hubbub.views import TOKENS
from hubbub.web.request import GATE, NO_CREDENTIALS, ApiError, bearer, identify, require
from hubbub_api.answers import answer, object_of, stamp, typed
from hubbub_api.keys import ACTIVITIES, COMMITTER, MODELS, POOL, VIEWS
from hubbub_api.servers import context_of
from hubbub_api.users import find_user
from hubbub_api.views import UserRow

routes = web.RouteTableDef()

_STATE = msgspec.json.Decoder(TOKENS.decider.states)
_ROWS = """
    select t.id, t.number, t.state, e.recorded_at as created, a.at as last_activity
    from tokens t join events e on e.position = t.number
    left join activity a on a.subject = 'token:' || t.id
    where t.user_id = $1 and (t.expires_at is null or t.expires_at > now())
"""


def _model(request: web.Request, owner: UserRow, row: asyncpg.Record, held: frozenset[str]) -> dict[str, Any]:
    state = _STATE.decode(row["state"])
    heard = request.app[ACTIVITIES].newer(f"token:{row['id']}", row["last_activity"])
    return {
        "user": owner.name,
        "id": f"a{row['number']}",
        "kind": "api_token",
        "roles": [],
        "scopes": sorted(token_scopes(held, owner.name, state.scopes)),
        "created": stamp(row["created"]),
        "last_activity": stamp(heard),
        "expires_at": stamp(state.expires_at),
        "note": state.note,
        "session_id": state.session or None,
        "oauth_client": "JupyterHub" if state.client == "jupyterhub" else state.client,
    }


def _held_by(request: web.Request, owner: UserRow) -> frozenset[str]:
    return request.app[GATE].access.roles.user_scopes(owner.name, admin=owner.admin)


@routes.get("/users/{user}/tokens")
async def listing(request: web.Request) -> web.Response:
    name = request.match_info["user"]
    require(await identify(request), "read:tokens", user=name)
    owner = await find_user(request, name)
    rows = await request.app[POOL].fetch(f"{_ROWS} order by a.at desc nulls last, t.number", owner.id)
    held = _held_by(request, owner)
    return answer({"api_tokens": [_model(request, owner, row, held) for row in rows]})


async def _one(request: web.Request, owner: UserRow) -> asyncpg.Record:
    id = request.match_info["id"]
    if not (id.startswith("a") and id[1:].isdecimal() and len(id) < 19):
        raise ApiError(404, f"Invalid token id: {id}")
    row = await request.app[POOL].fetchrow(f"{_ROWS} and t.number = $2", owner.id, int(id[1:]))
    if row is None:
        raise ApiError(404, f"Token not found: {id}")
    assert isinstance(row, asyncpg.Record)
    return row


@routes.get("/users/{user}/tokens/{id}")
async def show(request: web.Request) -> web.Response:
    name = request.match_info["user"]
    require(await identify(request), "read:tokens", user=name)
    owner = await find_user(request, name)
    return answer(_model(request, owner, await _one(request, owner), _held_by(request, owner)))


@routes.post("/users/{user}/tokens")
async def create(request: web.Request) -> web.Response:
    name = request.match_info["user"]
    identity = await identify(request)
    if identity is None:
        raise ApiError(403, NO_CREDENTIALS)
    require(identity, "tokens", user=name)
    body = await object_of(request)
    owner = await request.app[VIEWS].user(name)
    if owner is None:
        raise ApiError(403, f"No such user {name}")
    scopes, note, lifetime = _asked(request, body, identity)
    held = _held_by(request, owner)
    excess = [] if "inherit" in scopes else _excess(scopes, owner.name, held)
    if excess:
        raise ApiError(400, f"Not assigning requested scopes {', '.join(excess)}: {name} does not have them")
    context = context_of(request, identity)
    token = _token_for(request, context)

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

    await request.app[COMMITTER].submit(issue, context)
    row = await request.app[POOL].fetchrow(f"{_ROWS} and t.hash = $2", owner.id, token_hash(token))
    assert row is not None
    return answer({**_model(request, owner, row, held), "token": token}, 201)


def _asked(request: web.Request, body: dict[str, Any], identity: Identity) -> tuple[tuple[str, ...], str, float]:
    """Scopes, note and lifetime in seconds (0: for ever), as the body asks for them."""
    if body.get("scopes") is not None and body.get("roles") is not None:
        raise ApiError(400, "Specify roles or scopes, not both")
    scopes = typed(body.get("scopes"), list[str] | None, "scopes")
    if body.get("roles") is not None:
        scopes = []
        for role in typed(body["roles"], list[str], "roles"):
            try:
                scopes += request.app[GATE].access.roles[role].scopes
            except KeyError:
                raise ApiError(400, f"No such role: {role!r}") from None
    for each in scopes or ():
        if not scope.known(each):
            raise ApiError(400, f"No such scope: {each!r}")
    note = body.get("note")
    if note is not None and not isinstance(note, str):
        raise ApiError(400, "note must be a string")
    note = note or "Requested via api" + (f" by {identity.kind} {identity.name}" if identity.token else "")
    lifetime = typed(body.get("expires_in"), int | None, "expires_in")
    if lifetime is not None and lifetime < 1:
        raise ApiError(400, "expires_in must be at least 1 second")
    longest = request.app[GATE].options.hub.token_expires_in_max_seconds
    if longest and lifetime and lifetime > longest:
        raise ApiError(400, f"expires_in must not exceed {longest} seconds")
    return tuple(["inherit"] if scopes is None else scopes), note, lifetime or longest


def _excess(scopes: tuple[str, ...], name: str, held: frozenset[str]) -> list[str]:
    wanted = scope.expand(scopes, user=name)
    return sorted(each for each in wanted if not scope.covers(held, each))


def _token_for(request: web.Request, context: Context) -> str:
    """A new token; for a command that may be repeated always the same, so that the repetition can answer."""
    if not context.repeatable:
        return new_token()
    secret = request.app[GATE].cookie_secret
    return hmac.new(secret, f"token\0{context.command}".encode(), hashlib.sha256).hexdigest()[:32]


@routes.delete("/users/{user}/tokens/{id}")
async def revoke(request: web.Request) -> web.Response:
    """Deleting one that an OAuth client holds deletes all that this client holds for the user."""
    name = request.match_info["user"]
    identity = require(await identify(request), "tokens", user=name)
    owner = await find_user(request, name)
    row = await _one(request, owner)
    state = _STATE.decode(row["state"])
    ids = [row["id"]]
    if state.client != "jupyterhub" and not await _is_a_servers_own(request, row["id"]):
        found = await request.app[POOL].fetch(
            "select id from tokens where user_id = $1 and client = $2 and id not in (select token from servers "
            "where token is not null)",
            owner.id,
            state.client,
        )
        ids = [each["id"] for each in found]

    async def body(tx: Transaction) -> None:
        for id in ids:
            if isinstance(await tx.state(TOKENS, id), type(state)):
                await tx.act(TOKENS, id, RevokeToken())

    await request.app[COMMITTER].submit(body, context_of(request, identity), [(TOKENS, id) for id in ids])
    return web.Response(status=204)


async def _is_a_servers_own(request: web.Request, id: str) -> bool:
    return bool(await request.app[POOL].fetchval("select 1 from servers where token = $1", id))


@routes.get("/authorizations/token/{token}")
async def whose(request: web.Request) -> web.Response:
    """Deprecated, and still asked by old services."""
    if bearer(request) is None or (asker := await identify(request)) is None:
        raise ApiError(403)
    identity = await request.app[GATE].access.by_token(request.match_info["token"])
    if identity is None:
        raise ApiError(404)
    user = await request.app[VIEWS].user(identity.name) if identity.kind == "user" else None
    if asker.kind == "user" and asker.id != identity.id and not asker.admin:
        raise ApiError(404)
    return answer(request.app[MODELS].identity(identity, user, []))


async def revoke_of(tx: Transaction, ids: list[str], reason: str) -> None:
    """Revoke those of *ids* that still are."""
    for id in ids:
        if await tx.state(TOKENS, id) != TOKENS.decider.initial:
            await tx.act(TOKENS, id, RevokeToken(reason=reason))
