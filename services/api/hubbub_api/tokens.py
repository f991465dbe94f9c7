"""GET, POST /users/{user}/tokens; GET, DELETE /users/{user}/tokens/{id}."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import msgspec
from aiohttp import web

from hubbub.access import Identity
from hubbub.domain import scope
from hubbub.domain.message import LimitReached, NotFound
from hubbub.domain.token import IssueToken, RevokeToken
from hubbub.tokens import new_token, token_hash
from hubbub.transaction import Transaction
from hubbub.views import TOKENS
from hubbub.web.request import GATE, IDENTITY, ApiError, identify, require
from hubbub_api.answers import answer, asked
from hubbub_api.commit import commit
from hubbub_api.endpoint import Endpoints
from hubbub_api.forward import AUTHS
from hubbub_api.keys import VIEWS
from hubbub_api.token_models import ROWS, STATE, NewToken, Token, token_models
from hubbub_api.views import Views

routes = Endpoints("tokens")

#: Of a request for a token, in bytes, characters, scopes (or roles), and seconds.
LARGEST = 64 * 1024
LONGEST_NOTE = 1024
MOST_SCOPES = 256
LONGEST_LIFE = 100 * 366 * 86_400

#: Whether there is such a user, and how many tokens they have that they may make more of.
_HELD = """
    select (select count(*) from tokens
            where user_id = u.id and client = 'jupyterhub' and (expires_at is null or expires_at > $2)) as held
    from users u where u.id = $1
"""


class Tokens(msgspec.Struct):
    """All of a user's tokens."""

    api_tokens: list[Token]


class TokenAsked(msgspec.Struct, kw_only=True):
    """`scopes` or `roles`, not both; neither: all that its owner may do. `expires_in` is in seconds (true is 1).

    `auth` is for a request without a token or a cookie: what the login form would have sent, e.g.
    `{"username": "ada", "password": "..."}`; whatever else it is, it is nobody's.
    """

    note: str | None = None
    expires_in: int | bool | None = None
    scopes: list[str] | None = None
    roles: list[str] | None = None
    auth: Any = None


async def _owner(request: web.Request, name: str) -> Identity:
    owner = await request.app[GATE].access.user(name)
    if owner is None:
        raise ApiError(404, f"No such user: {name}")
    return owner


@routes.get("/users/{user}/tokens", scopes=("read:tokens",), answers={200: Tokens})
async def listing(request: web.Request) -> web.Response:
    """Lists the user's tokens, the one used last at the end. One that was never used was used when it was made."""
    name = request.match_info["user"]
    require(await identify(request), "read:tokens", user=name)
    owner = await _owner(request, name)
    models = await token_models(request, owner, await request.app[VIEWS].fetch(f"{ROWS} order by t.number", owner.id))
    return answer(Tokens(sorted(models, key=lambda token: _moment(token.last_activity or token.created or ""))))


def _moment(stamp: str) -> str:
    """Sorts as the times themselves do: whole seconds are written without their fraction."""
    return stamp if "." in stamp else stamp.replace("Z", ".000000Z")


async def _one(request: web.Request, owner: Identity) -> asyncpg.Record:
    id = request.match_info["id"]
    row = None
    if id.startswith("a") and id[1:].isascii() and id[1:].isdecimal() and len(id) < 19:
        row = await request.app[VIEWS].row(f"{ROWS} and t.number = $2", owner.id, int(id[1:]))
    if row is None:
        raise ApiError(404, f"No such token {id[:50]} for user {owner.name}")
    return row


@routes.get("/users/{user}/tokens/{id}", scopes=("read:tokens",), answers={200: Token})
async def show(request: web.Request) -> web.Response:
    """Shows a token, all but its secret."""
    name = request.match_info["user"]
    require(await identify(request), "read:tokens", user=name)
    owner = await _owner(request, name)
    [model] = await token_models(request, owner, [await _one(request, owner)])
    return answer(model)


@routes.post(
    "/users/{user}/tokens", scopes=("tokens",), body=TokenAsked, answers={201: NewToken, 429: None}, largest=LARGEST
)
async def create(request: web.Request) -> web.Response:
    """Makes a token. This answer is the only place where it can ever be read.

    Whoever has neither a token nor a cookie yet sends credentials in the body (`auth`).
    """
    name = request.match_info["user"]
    asker = await identify(request)
    body = await asked(request, TokenAsked)
    if asker is None:
        asker = await _by_credentials(request, body.auth)
    owner = await request.app[GATE].access.user(name)
    if owner is None or not asker.may("tokens", user=name):
        raise ApiError(403, f"{asker.kind.title()} {name} not found or no permissions to generate tokens")
    _check_size(body)
    scopes, lifetime = _scopes(request, body), _lifetime(request, body)
    await _check_held(request, owner, scopes)
    by = "" if asker.id == owner.id else f" by {asker.kind} {asker.name}"
    note = body.note or f"Requested via api{by}"
    most = request.app[GATE].options.ours.token_limit_per_user
    token = new_token()

    async def issue(tx: Transaction) -> None:
        found = await tx.fetch(_HELD, owner.id, tx.now)
        if not found:
            raise NotFound(f"No such user: {name}")
        if most and found[0]["held"] >= most:
            raise LimitReached(
                f"{name} has {most} API tokens, which is the limit (c.Hubbub.token_limit_per_user): revoke one first"
            )
        await tx.know(owner.id)
        command = IssueToken(
            user=owner.id,
            hash=token_hash(token),
            scopes=scope.nameless(scopes, user=name),
            note=note,
            expires_at=tx.now + timedelta(seconds=lifetime) if lifetime else None,
        )
        await tx.act(TOKENS, uuid4().hex, command)

    async def render(views: Views, _: None) -> web.Response:
        rows = await views.fetch(f"{ROWS} and t.hash = $2", owner.id, token_hash(token))
        [model] = await token_models(request, owner, rows)
        return answer(NewToken(**msgspec.structs.asdict(model), token=token), 201)

    return await commit(request, asker, issue, render)


async def _by_credentials(request: web.Request, credentials: Any) -> Identity:
    """Whoever the authenticator says it is: they must be known already. From here on the request is theirs."""
    name = None
    if isinstance(credentials, dict) and all(isinstance(each, str) for each in credentials.values()):
        name = await request.app[AUTHS].whose(request, credentials)
    access = request.app[GATE].access
    found = None if name is None else await access.user(name)
    if found is None:
        raise ApiError(403)
    request[IDENTITY] = asker = replace(found, members=await access.members(found.scopes))
    return asker


def _check_size(body: TokenAsked) -> None:
    if body.note is not None and len(body.note) > LONGEST_NOTE:
        raise ApiError(400, f"note has {len(body.note)} characters; {LONGEST_NOTE} are allowed")
    for kind in ("scopes", "roles"):
        if len(getattr(body, kind) or ()) > MOST_SCOPES:
            raise ApiError(400, f"A token has at most {MOST_SCOPES} {kind}")


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
        raise ApiError(400, f"expires_in must be a positive integer or null, not {body.expires_in!r}")
    if body.expires_in > (longest or LONGEST_LIFE):
        raise ApiError(400, f"token expires_in: {body.expires_in} must not exceed {longest or LONGEST_LIFE}")
    return int(body.expires_in)


async def _check_held(request: web.Request, owner: Identity, scopes: tuple[str, ...]) -> None:
    """400 for those that the owner lacks; `inherit` brings none of its own, and does not hide the others."""
    access = request.app[GATE].access
    wanted = access.roles.tree.expand(scopes, user=owner.name)
    members = await access.members([*wanted, *owner.scopes])
    if excess := sorted(each for each in wanted if not scope.covers(owner.scopes, each, members)):
        raise ApiError(400, f"Not assigning requested scopes {', '.join(excess)} not held by {owner.kind} {owner.name}")


@routes.delete("/users/{user}/tokens/{id}", scopes=("tokens",), answers={204: None})
async def revoke(request: web.Request) -> web.Response:
    """Revokes a token; if an OAuth client holds it, all that this client holds for the user."""
    name = request.match_info["user"]
    identity = require(await identify(request), "tokens", user=name)
    owner = await _owner(request, name)
    row = await _one(request, owner)
    state = STATE.decode(row["state"])

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
    select t.id from tokens t left join servers s on s.id = t.server and t.server <> ''
    where t.user_id = $1 and t.client = $2 and s.token is distinct from t.id
"""


async def revoke_of(tx: Transaction, ids: Sequence[str], reason: str) -> None:
    """Revoke those of *ids* that still are."""
    await tx.load([(TOKENS, id) for id in ids])
    for id in ids:
        if await tx.state(TOKENS, id) != TOKENS.decider.initial:
            await tx.act(TOKENS, id, RevokeToken(reason=reason))
