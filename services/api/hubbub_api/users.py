"""GET, POST /users; GET, POST, PATCH, DELETE /users/{user}."""

from typing import Annotated, Any

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from hubbub.access import Identity
from hubbub.domain import scope
from hubbub.domain.message import AlreadyExists, Invalid, Json
from hubbub.domain.names import check_user_name, normalize_user_name
from hubbub.domain.user import RenameUser, SetAdmin
from hubbub.transaction import Transaction
from hubbub.views import USERS
from hubbub.web.request import ApiError, identify, require, require_any
from hubbub_api import newcomers, servers
from hubbub_api.answers import answer, asked, page_of, query_of
from hubbub_api.commit import commit
from hubbub_api.endpoint import LONG_LIST, Endpoints
from hubbub_api.keys import ACTIVITIES, FAREWELLS, MODELS, VIEWS
from hubbub_api.models import READ_USER, infos_for, states_for
from hubbub_api.past import AsOf, then
from hubbub_api.removal import remove_user
from hubbub_api.rows import UserRow
from hubbub_api.schemas import Limit, Offset, User, needing, some_of
from hubbub_api.views import Views

routes = Endpoints("users")

#: Users in one request; each is a stream of its own, and all are made in one commit.
MOST_AT_ONCE = 10_000

STATES = ["active", "ready", "inactive"]
SORTS = [sign + key for key in ("id", "name", "last_activity") for sign in ("", "-")]


class WithStopped(AsOf, kw_only=True):
    """`include_stopped_servers`: anything but `0` and `false` means yes, and so does nothing at all."""

    include_stopped_servers: Annotated[
        str, Meta(description="Whether `servers` has stopped ones too: anything but `0` and `false` means so.")
    ] = "0"

    @property
    def stopped(self) -> bool:
        return self.include_stopped_servers.lower() not in ("0", "false")


class UsersQuery(WithStopped, kw_only=True):
    offset: Offset = 0
    limit: Limit | None = None
    state: (
        Annotated[
            str,
            Meta(
                description="Only users who have such a server, or none that is active.",
                extra_json_schema={"enum": STATES},
            ),
        ]
        | None
    ) = None
    name_filter: Annotated[str, Meta(description="Only users in whose names this stands; case does not matter.")] = ""
    sort: Annotated[
        str, Meta(description="With `-` in front, the other way round.", extra_json_schema={"enum": SORTS})
    ] = "id"


class NewUsers(msgspec.Struct, kw_only=True):
    """`admin` is for all of them. `groups`, `roles`, `auth_state` and `name` are known, and mean nothing here."""

    usernames: Annotated[list[str], Meta(extra_json_schema={"minItems": 1, "maxItems": MOST_AT_ONCE})] = []
    admin: bool = False
    name: Any = None
    groups: Any = None
    roles: Any = None
    auth_state: Any = None


class NewUser(msgspec.Struct, kw_only=True):
    """`groups`, `roles`, `auth_state` and `name` are known, and mean nothing here."""

    admin: bool = False
    name: Any = None
    groups: Any = None
    roles: Any = None
    auth_state: Any = None


class ChangedUser(msgspec.Struct, kw_only=True):
    """At least one of them. `groups` and `roles` are known, and refused."""

    name: str | UnsetType = UNSET
    admin: bool | UnsetType = UNSET
    groups: Any = UNSET
    roles: Any = UNSET
    auth_state: Json | UnsetType = UNSET


@routes.get("/users", scopes=("list:users",), query=UsersQuery, answers={200: list[User]})
async def listing(request: web.Request) -> web.Response:
    """Lists the users whom the asker may list, a page at a time."""
    identity = require_any(await identify(request), "list:users", filters={"user", "group"})
    page, query = page_of(request), query_of(request, UsersQuery)
    if query.state is not None and query.state not in STATES:
        raise ApiError(400, f"Unrecognized state filter: {query.state[:50]!r}")
    if query.sort not in SORTS:
        raise ApiError(400, f"Unrecognized sort: {query.sort[:50]!r}")
    views, models = await then(request, identity)
    if query.sort.endswith("last_activity"):
        if query.as_of is not None:
            raise ApiError(400, "as_of: when somebody was active last is only known as it is now")
        await request.app[ACTIVITIES].write()
    only = scope.filters(identity.scopes, "list:users")
    users, total = await views.users(
        names=None if only is None else sorted(only.get("user", ())),
        groups=sorted((only or {}).get("group", ())),
        state=query.state,
        name_filter=query.name_filter,
        sort=query.sort,
        offset=page.offset,
        limit=page.limit,
    )
    shown = await models.users(views, identity, users, stopped=query.stopped)
    return page.answer(request, shown, total)


@routes.post(
    "/users",
    scopes=("admin:users",),
    body=needing(NewUsers, "usernames"),
    answers={201: list[User], 409: None},
    largest=LONG_LIST,
)
async def create_many(request: web.Request) -> web.Response:
    """Makes users: those that there are not yet, which are the answer. Names are put into lower case."""
    identity = require(await identify(request), "admin:users")
    body = await asked(request, NewUsers)
    if not body.usernames:
        raise ApiError(400, "Must specify at least one user to create")
    if len(body.usernames) > MOST_AT_ONCE:
        raise ApiError(400, f"At most {MOST_AT_ONCE} users can be created at once")
    _may_grant_admin(identity, admin=body.admin)
    names = list(dict.fromkeys(normalize_user_name(name) for name in body.usernames))
    if invalid := [name[:50] for name in names if not _is_name(name)]:
        raise ApiError(400, f"Invalid username{'s' if len(invalid) > 1 else ''}: {', '.join(invalid[:20])}")
    await newcomers.introduce(request, names)

    async def make(tx: Transaction) -> list[str]:
        there = {row["name"] for row in await tx.fetch("select name from users where name = any($1)", names)}
        wanted = [name for name in names if name not in there]
        if not wanted:
            raise AlreadyExists(f"All {len(names)} users already exist")
        await newcomers.create(tx, wanted, admin=body.admin)
        return wanted

    async def render(views: Views, made: list[str]) -> web.Response:
        users = await views.users_named(made)
        return answer(await request.app[MODELS].users(views, identity, users), 201)

    return await commit(request, identity, make, render)


def _is_name(name: str) -> bool:
    try:
        check_user_name(name)
    except Invalid:
        return False
    return True


def _may_grant_admin(identity: Identity, *, admin: bool) -> None:
    if admin and not identity.admin:
        raise ApiError(403, "Only admins can grant admin permissions")


@routes.get("/users/{user}", scopes=READ_USER, query=WithStopped, answers={200: User})
async def show(request: web.Request) -> web.Response:
    """Shows a user, as far as the asker may see them."""
    name = request.match_info["user"]
    identity = require(await identify(request), *READ_USER, user=name)
    views, models = await then(request, identity)
    stopped = query_of(request, WithStopped).stopped
    found = await views.person(name, stopped=stopped)
    if found is None:
        raise ApiError(404)
    user, theirs = found
    states = await states_for(views, identity, theirs)
    infos = await infos_for(views, identity, [user])
    model = models.user(identity, user, theirs, await views.options(theirs), states, infos, stopped=stopped)
    if model.auth_state is not UNSET:
        model.auth_state = await views.auth_state(user)
    return answer(model)


async def find_user(request: web.Request, name: str) -> UserRow:
    user = await request.app[VIEWS].user(name)
    if user is None:
        raise ApiError(404)
    return user


@routes.post("/users/{user}", scopes=("admin:users",), body=NewUser, answers={201: User, 409: None})
async def create_one(request: web.Request) -> web.Response:
    """Makes a user, of exactly this name."""
    name = request.match_info["user"]
    identity = require(await identify(request), "admin:users", user=name)
    body = await asked(request, NewUser)
    _may_grant_admin(identity, admin=body.admin)
    check_user_name(name)
    await newcomers.introduce(request, [name], one=True)

    async def make(tx: Transaction) -> None:
        if await tx.fetch("select 1 from users where name = $1", name):
            raise AlreadyExists(f"User {name} already exists")
        await newcomers.create(tx, [name], admin=body.admin)

    async def render(views: Views, _: None) -> web.Response:
        return answer((await request.app[MODELS].users(views, identity, await views.users_named([name])))[0], 201)

    return await commit(request, identity, make, render)


@routes.patch("/users/{user}", scopes=("admin:users",), body=some_of(ChangedUser), answers={200: User})
async def patch(request: web.Request) -> web.Response:
    """Changes a user's name, their `auth_state`, or whether they are an administrator. A name is put into lower case.

    Only an administrator can change another one. The answer always has `auth_state`.
    """
    name = request.match_info["user"]
    identity = require(await identify(request), "admin:users", user=name)
    user = await find_user(request, name)
    body = await asked(request, ChangedUser)
    if body == ChangedUser():
        raise ApiError(400, "Nothing to change")
    for key in ("groups", "roles"):
        if getattr(body, key) is not UNSET:
            raise ApiError(400, f"{key} cannot be changed here")
    admin = user.admin if body.admin is UNSET else body.admin
    if user.admin and not identity.admin:
        raise ApiError(403, "Only admins can modify other admins")
    _may_grant_admin(identity, admin=admin)
    keeps_name = body.name is UNSET or body.name == name
    renamed = name if body.name is UNSET or keeps_name else normalize_user_name(body.name)
    if not keeps_name:
        check_user_name(renamed)

    async def change(tx: Transaction) -> None:
        if not keeps_name and await tx.fetch("select 1 from users where name = $1", renamed):
            raise Invalid(f"User {renamed} already exists, username must be unique")
        await tx.know(user.id)
        await tx.act(USERS, user.id, SetAdmin(admin=admin))
        await tx.act(USERS, user.id, RenameUser(name=renamed))
        if body.auth_state is not UNSET:
            tx.remember(f"auth_state:{user.id}", user.id, msgspec.json.encode(body.auth_state))

    async def render(views: Views, _: None) -> web.Response:
        [changed] = await views.users_named([renamed])
        [model] = await request.app[MODELS].users(views, identity, [changed])
        model.auth_state = await views.auth_state(changed)
        return answer(model)

    return await commit(request, identity, change, render, [(USERS, user.id)])


@routes.delete("/users/{user}", scopes=("delete:users",), answers={204: None, 500: None})
async def remove(request: web.Request) -> web.Response:
    """Deletes a user. Their servers are stopped; they, the user, and all that is personal in the log are forgotten.
    500: the authenticator, which is told first, cannot have it.
    """
    name = request.match_info["user"]
    identity = require(await identify(request), "delete:users", user=name)
    user = await find_user(request, name)
    if user.id == identity.id:
        raise ApiError(400, "Cannot delete yourself!")
    theirs = (await request.app[VIEWS].servers_of([user.id], stopped=False)).get(user.id, [])
    if any(server.pending == "stop" for server in theirs):
        raise ApiError(400, f"{name}'s server is in the process of stopping, please wait.")
    for server in theirs:
        await servers.stop(request, identity, server)
    for server in theirs:
        gone = await servers.wait_until_stopped(request.app, server, servers.slow_stop(request))
        if gone.active:
            raise ApiError(400, f"{name}'s server is in the process of stopping, please wait.")
    await newcomers.take_leave(request, user)

    known = (await request.app[VIEWS].servers_of([user.id])).get(user.id, [])
    forgotten = await request.app[FAREWELLS].gather(request.app[VIEWS], user, known)

    async def body(tx: Transaction) -> None:
        await remove_user(tx, user.id)

    async def render(_: Views, __: None) -> web.Response:
        return web.Response(status=204)

    response = await commit(request, identity, body, render, [(USERS, user.id)])
    request.app[FAREWELLS].say(forgotten)
    return response
