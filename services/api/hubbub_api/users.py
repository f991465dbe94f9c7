"""GET, POST /users; GET, POST, PATCH, DELETE /users/{user}; POST /users/{user}/activity; GET /user."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from aiohttp import web
from dateutil import parser as dates

from hubbub.access import Identity
from hubbub.domain import scope
from hubbub.domain.message import AlreadyExists
from hubbub.domain.names import check_user_name, normalize_user_name
from hubbub.domain.server_messages import DeleteServer
from hubbub.domain.session import CloseSession
from hubbub.domain.token import RevokeToken
from hubbub.domain.user import CreateUser, DeleteUser, RenameUser, SetAdmin
from hubbub.transaction import Transaction
from hubbub.views import SERVERS, SESSIONS, TOKENS, USERS
from hubbub.web.request import NO_CREDENTIALS, ApiError, identify, require
from hubbub_api import servers
from hubbub_api.answers import answer, object_of, page_of, typed
from hubbub_api.keys import ACTIVITIES, COMMITTER, MODELS, POOL, SECRETS, VAULT, VIEWS
from hubbub_api.models import READ_USER
from hubbub_api.servers import context_of
from hubbub_api.views import UserRow

routes = web.RouteTableDef()
MODEL_KEYS = {"name", "admin", "groups", "roles", "auth_state"}


@routes.get("/user")
async def myself(request: web.Request) -> web.Response:
    identity = await identify(request)
    if identity is None:
        raise ApiError(403)
    user, running = None, []
    views = request.app[VIEWS]
    if identity.kind == "user":
        if scope.held_at_all(identity.scopes, "read:servers"):
            user, found = await asyncio.gather(
                views.user(identity.name), views.servers_of([identity.id], stopped=False)
            )
            running = found.get(identity.id, [])
        else:
            user = await views.user(identity.name)
    return answer(request.app[MODELS].identity(identity, user, running))


@routes.get("/users")
async def listing(request: web.Request) -> web.Response:
    identity = require_listing(await identify(request))
    page = page_of(request)
    state, sort = request.query.get("state"), request.query.get("sort", "id")
    if state is not None and state not in ("active", "ready", "inactive"):
        raise ApiError(400, f"Unrecognized state filter: {state!r}")
    if sort.removeprefix("-") not in ("id", "name", "last_activity"):
        raise ApiError(400, f"Unrecognized sort: {sort!r}")
    only = scope.filters(identity.scopes, "list:users")
    users, total = await request.app[VIEWS].users(
        names=None if only is None else sorted(only.get("user", ())),
        state=state,
        name_filter=request.query.get("name_filter", ""),
        sort=sort,
        offset=page.offset,
        limit=page.limit,
    )
    return page.answer(request, await _models(request, identity, users), total)


def require_listing(identity: Identity | None) -> Identity:
    if identity is None:
        raise ApiError(403, NO_CREDENTIALS)
    if scope.held_at_all(identity.scopes, "list:users"):
        return identity
    raise ApiError(403, "Action is not authorized with current scopes; requires any of [list:users]")


async def _models(request: web.Request, identity: Identity, users: list[UserRow]) -> list[dict[str, Any]]:
    stopped = wants_stopped(request)
    found: dict[str, Any] = {}
    if (users and scope.held_at_all(identity.scopes, "read:servers")) or scope.held_at_all(
        identity.scopes, "read:users"
    ):
        found = await request.app[VIEWS].servers_of([user.id for user in users], stopped=stopped)
    options = await request.app[SECRETS].options([server for each in found.values() for server in each])
    return [
        request.app[MODELS].user(identity, user, found.get(user.id, []), options=options, stopped=stopped)
        for user in users
    ]


def wants_stopped(request: web.Request) -> bool:
    return request.query.get("include_stopped_servers", "0").lower() not in ("0", "false")


@routes.post("/users")
async def create_many(request: web.Request) -> web.Response:
    identity = require(await identify(request), "admin:users")
    body = await object_of(request, MODEL_KEYS | {"usernames"})
    names = body.get("usernames")
    if not names:
        raise ApiError(400, "Must specify at least one user to create")
    names = [normalize_user_name(name) for name in typed(names, list[str], "usernames")]
    admin = typed(body.get("admin", False), bool, "admin")
    _may_grant_admin(identity, admin=admin)
    if invalid := [name for name in names if not _is_name(name)]:
        raise ApiError(400, f"Invalid username{'s' if len(invalid) > 1 else ''}: {', '.join(invalid)}")
    there = {row["name"] for row in await request.app[POOL].fetch("select name from users where name = any($1)", names)}
    wanted = [name for name in dict.fromkeys(names) if name not in there]
    if not wanted:
        raise ApiError(409, f"All {len(names)} users already exist")
    made: list[str] = []
    for name in wanted:
        try:
            await _create(request, identity, name, admin=admin, place=f"{len(made)}")
        except AlreadyExists:
            continue
        made.append(name)
    users, _ = await request.app[VIEWS].users(
        names=made, state=None, name_filter="", sort="id", offset=0, limit=max(1, len(made))
    )
    return answer(await _models(request, identity, users), 201)


def _is_name(name: str) -> bool:
    try:
        check_user_name(name)
    except Exception:
        return False
    return True


async def _create(request: web.Request, identity: Identity, name: str, *, admin: bool, place: str = "") -> None:
    id = uuid4().hex

    async def body(tx: Transaction) -> None:
        tx.welcome(id)
        await tx.act(USERS, id, CreateUser(user=id, name=name, admin=admin))

    context = context_of(request, identity, place)
    await request.app[COMMITTER].submit(body, context, [(USERS, id)])


def _may_grant_admin(identity: Identity, *, admin: bool) -> None:
    if admin and not identity.admin:
        raise ApiError(403, "Only admins can grant admin permissions")


@routes.get("/users/{user}")
async def show(request: web.Request) -> web.Response:
    name = request.match_info["user"]
    identity = require(await identify(request), *READ_USER, user=name)
    user = await find_user(request, name)
    [model] = await _models(request, identity, [user])
    return answer(model)


async def find_user(request: web.Request, name: str) -> UserRow:
    user = await request.app[VIEWS].user(name)
    if user is None:
        raise ApiError(404)
    return user


@routes.post("/users/{user}")
async def create_one(request: web.Request) -> web.Response:
    name = request.match_info["user"]
    identity = require(await identify(request), "admin:users", user=name)
    body = await object_of(request, MODEL_KEYS)
    admin = typed(body.get("admin", False), bool, "admin")
    _may_grant_admin(identity, admin=admin)
    check_user_name(name)
    try:
        await _create(request, identity, name, admin=admin)
    except AlreadyExists:
        raise ApiError(409, f"User {name} already exists") from None
    [model] = await _models(request, identity, [await find_user(request, name)])
    return answer(model, 201)


@routes.patch("/users/{user}")
async def patch(request: web.Request) -> web.Response:
    name = request.match_info["user"]
    identity = require(await identify(request), "admin:users", user=name)
    user = await find_user(request, name)
    body = await object_of(request, MODEL_KEYS)
    if not body:
        raise ApiError(400, "Body must be a JSON dict or empty" if body is None else "Nothing to change")
    for key in ("groups", "roles", "auth_state"):
        if key in body:
            raise ApiError(400, f"{key} cannot be changed here")
    admin = typed(body.get("admin", user.admin), bool, "admin")
    if admin != user.admin and not identity.admin:
        raise ApiError(403, "Only admins can grant admin permissions")
    renamed = typed(body.get("name", user.name), str, "name")
    check_user_name(renamed)

    async def change(tx: Transaction) -> None:
        await tx.know(user.id)
        await tx.act(USERS, user.id, SetAdmin(admin=admin))
        await tx.act(USERS, user.id, RenameUser(name=renamed))

    try:
        await request.app[COMMITTER].submit(change, context_of(request, identity), [(USERS, user.id)])
    except AlreadyExists:
        raise ApiError(400, f"User {renamed} already exists, username must be unique") from None
    [model] = await _models(request, identity, [await find_user(request, renamed)])
    return answer({**model, "auth_state": None})


@routes.delete("/users/{user}")
async def remove(request: web.Request) -> web.Response:
    name = request.match_info["user"]
    identity = require(await identify(request), "delete:users", user=name)
    user = await find_user(request, name)
    if user.id == identity.id:
        raise ApiError(400, "Cannot delete yourself!")
    theirs = (await request.app[VIEWS].servers_of([user.id])).get(user.id, [])
    if any(server.pending == "stop" for server in theirs):
        raise ApiError(400, f"{name}'s server is in the process of stopping, please wait.")
    for server in theirs:
        await servers.stop(request, identity, server)
    for server in theirs:
        gone = await servers.wait_until_stopped(request, server, servers.slow_stop(request))
        if gone.active:
            raise ApiError(400, f"{name}'s server is in the process of stopping, please wait.")

    async def body(tx: Transaction) -> None:
        await tx.act(USERS, user.id, DeleteUser())
        for row in await tx.fetch("select id, kind from servers where user_id = $1", user.id):
            await tx.act(SERVERS, row["id"], DeleteServer())
            for kind in ("options", "state"):
                tx.later("delete from vault where key = $1", f"{kind}:{row['id']}")
        for row in await tx.fetch("select id from tokens where user_id = $1", user.id):
            await tx.act(TOKENS, row["id"], RevokeToken(reason="user deleted"))
        for row in await tx.fetch("select id from sessions where user_id = $1", user.id):
            await tx.act(SESSIONS, row["id"], CloseSession(reason="user deleted"))
        tx.forget(user.id)

    await request.app[COMMITTER].submit(body, context_of(request, identity), [(USERS, user.id)])
    request.app[VAULT].forget(user.id)
    return web.Response(status=204)


@routes.post("/users/{user}/activity")
async def activity(request: web.Request) -> web.Response:
    name = request.match_info["user"]
    require(await identify(request), "users:activity", user=name)
    user = await find_user(request, name)
    body = await object_of(request)
    named = typed(body.get("servers") or {}, dict[str, dict[str, Any]], "servers")
    if not body.get("last_activity") and not named:
        raise ApiError(400, "body must contain at least one of `last_activity` or `servers`")
    theirs = {}
    if named:
        rows = await request.app[POOL].fetch("select id, name from servers where user_id = $1", user.id)
        theirs = {row["name"]: row["id"] for row in rows}
    heard: list[tuple[str, datetime]] = []
    if body.get("last_activity"):
        heard.append((f"user:{user.id}", _time(body["last_activity"])))
    for server, about in named.items():
        if server not in theirs:
            raise ApiError(400, f"No such server {server!r} for user {name}")
        if about.get("last_activity"):
            heard.append((f"server:{theirs[server]}", _time(about["last_activity"])))
    for subject, at in heard:
        request.app[ACTIVITIES].heard(subject, at=at)
    return web.Response(status=200)


def _time(text: object) -> datetime:
    try:
        time = dates.parse(typed(text, str, "last_activity"))
        time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ApiError(400, f"Not a valid timestamp: {text!r}") from None
    if time > datetime.now(UTC) + timedelta(minutes=59):
        raise ApiError(400, f"Timestamp {text} is in the future")
    return time
