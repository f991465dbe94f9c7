"""GET, POST /groups; GET, POST, DELETE /groups/{group}; .../users; .../properties."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import uuid4

import msgspec
from aiohttp import web
from msgspec import UNSET, Struct, UnsetType

from hubbub.access import Identity
from hubbub.declared import LARGEST_PROPERTIES
from hubbub.domain import scope
from hubbub.domain.group import CreateGroup, SetProperties
from hubbub.domain.member import AddMember, MemberCommand, RemoveMember, member_id
from hubbub.domain.message import AlreadyExists, Invalid, Json, NotFound
from hubbub.domain.names import check_group_name, normalize_user_name
from hubbub.roles import Roles
from hubbub.transaction import Transaction
from hubbub.views import GROUPS, MEMBERS
from hubbub.web.request import GATE, ApiError, identify, require, require_any
from hubbub_api.answers import answer, asked, body_of, object_of, page_of, shaped
from hubbub_api.commit import commit
from hubbub_api.endpoint import LONG_LIST, Endpoints
from hubbub_api.past import AsOf, PagingThen, then
from hubbub_api.removal import remove_group
from hubbub_api.views import Views

routes = Endpoints("groups")

READ_GROUP = ("read:groups", "read:groups:name", "read:roles:groups")

#: Groups times users in one request: each member is a stream of its own, and all are written in one commit.
MOST_AT_ONCE = 10_000


class Group(Struct, kw_only=True):
    """A group. `users` are in the order of joining; `properties` are whatever its administrators keep there."""

    kind: str = "group"
    name: str
    users: list[str] | UnsetType = UNSET
    properties: Json | UnsetType = UNSET
    roles: list[str] | UnsetType = UNSET


class NewGroup(Struct, kw_only=True):
    """`name` and `roles` are known, and mean nothing here."""

    users: list[str] = []
    name: str | UnsetType = UNSET
    roles: list[Any] | UnsetType = UNSET


class NewGroups(NewGroup, kw_only=True):
    """All of `users` come into each of `groups`. `name` and `roles` are known, and mean nothing here."""

    groups: list[str]


class SomeUsers(NewGroup, kw_only=True):
    """`name` and `roles` are known, and mean nothing here."""

    users: list[str]


@routes.get("/groups", scopes=("list:groups",), query=PagingThen, answers={200: list[Group]})
async def listing(request: web.Request) -> web.Response:
    """Lists groups, a page at a time, the oldest first. `total` counts those too that the asker may not see."""
    identity = require_any(await identify(request), "list:groups", filters={"group"})
    page = page_of(request)
    only = scope.filters(identity.scopes, "list:groups")
    names = None if only is None else sorted(only["group"])
    views, _ = await then(request, identity)
    # Whoever may only list them is spared the look at who is in them.
    rows = await views.fetch(_PAGE, names, scope.held_at_all(identity.scopes, "read:groups"), page.limit, page.offset)
    total = rows[0]["total"] if rows else (await views.fetch("select count(*) from groups"))[0][0]
    return page.answer(request, _models(request, identity, rows), total)


@routes.post(
    "/groups", scopes=("admin:groups",), body=NewGroups, answers={201: list[Group], 409: None}, largest=LONG_LIST
)
async def create_many(request: web.Request) -> web.Response:
    """Makes groups, with the same users in each: all of them, or none if there is one of those names already."""
    identity = require(await identify(request), "admin:groups")
    given = await body_of(request)
    if not isinstance(given, dict) or not given.get("groups"):
        raise ApiError(400, "Must specify at least one group to create")
    body = shaped(given, NewGroups)

    async def render(views: Views, _: None) -> web.Response:
        return answer(_models(request, identity, await views.fetch(_NAMED, body.groups)), 201)

    return await commit(request, identity, _making(body.groups, body.users), render)


@routes.get("/groups/{group}", scopes=READ_GROUP, query=AsOf, answers={200: Group})
async def show(request: web.Request) -> web.Response:
    """Shows a group, as far as the asker may see it."""
    name = request.match_info["group"]
    identity = require(await identify(request), *READ_GROUP, group=name)
    views, _ = await then(request, identity)
    return await _show(request, identity, views, name)


@routes.post(
    "/groups/{group}", scopes=("admin:groups",), body=NewGroup, answers={201: Group, 409: None}, largest=LONG_LIST
)
async def create_one(request: web.Request) -> web.Response:
    """Makes a group, perhaps with users in it."""
    name = request.match_info["group"]
    identity = require(await identify(request), "admin:groups", group=name)
    body = await asked(request, NewGroup)

    async def render(views: Views, _: None) -> web.Response:
        return await _show(request, identity, views, name, 201)

    return await commit(request, identity, _making([name], body.users), render)


@routes.delete("/groups/{group}", scopes=("delete:groups",), answers={204: None})
async def remove(request: web.Request) -> web.Response:
    """Deletes a group. Its users lose the roles and shares that they had by it."""
    name = request.match_info["group"]
    identity = require(await identify(request), "delete:groups", group=name)

    async def body(tx: Transaction) -> None:
        await remove_group(tx, await _find(tx, name))

    async def render(_: Views, __: None) -> web.Response:
        return web.Response(status=204)

    return await commit(request, identity, body, render)


@routes.post("/groups/{group}/users", scopes=("groups",), body=SomeUsers, answers={200: Group}, largest=LONG_LIST)
async def add_users(request: web.Request) -> web.Response:
    """Puts users into a group. Those who are in already stay where they are."""
    return await _change_users(request, "add")


@routes.delete("/groups/{group}/users", scopes=("groups",), body=SomeUsers, answers={200: Group}, largest=LONG_LIST)
async def remove_users(request: web.Request) -> web.Response:
    """Takes users out of a group. Those who are not in it are passed over."""
    return await _change_users(request, "delete")


@routes.put("/groups/{group}/properties", scopes=("groups",), body=Json, answers={200: Group})
async def set_properties(request: web.Request) -> web.Response:
    """Replaces all properties of a group. Any JSON object of 64 kB at most will do."""
    name = request.match_info["group"]
    identity = require(await identify(request), "groups", group=name)
    properties = await body_of(request)
    if not isinstance(properties, dict):
        raise ApiError(400, "Must specify properties")
    if len(msgspec.json.encode(properties)) > LARGEST_PROPERTIES:
        raise ApiError(400, f"The properties of a group are {LARGEST_PROPERTIES} bytes of JSON at most")

    async def body(tx: Transaction) -> None:
        await tx.act(GROUPS, await _find(tx, name), SetProperties(properties=properties))

    async def render(views: Views, _: None) -> web.Response:
        return await _show(request, identity, views, name)

    return await commit(request, identity, body, render)


# What they share ------------------------------------------------------------------------


def _making(names: Sequence[str], users: Sequence[str]) -> Callable[[Transaction], Awaitable[None]]:
    """What makes groups with *users* in each, or refuses."""
    people = _people(users, times=len(names))
    for name in names:
        check_group_name(name)
    often, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise AlreadyExists(f"Group {often} is named {times} times")

    async def make(tx: Transaction) -> None:
        there = {row["name"] for row in await tx.fetch("select name from groups where name = any($1)", names)}
        if there:
            raise AlreadyExists(f"Group {next(name for name in names if name in there)} already exists")
        members = await _ids(tx, people)
        groups = {uuid4().hex: name for name in names}
        await tx.load([(GROUPS, group) for group in groups])
        for group, name in groups.items():
            await tx.act(GROUPS, group, CreateGroup(name=name))
        await tx.load([(MEMBERS, member_id(group, user)) for group in groups for user in members])
        for group in groups:
            await _act_on_each(tx, group, members, "add")

    return make


async def _change_users(request: web.Request, how: str) -> web.Response:
    name = request.match_info["group"]
    identity = require(await identify(request), "groups", group=name)
    if "users" not in await object_of(request):
        raise ApiError(400, f"Must specify users to {how}")
    people = _people((await asked(request, SomeUsers)).users)

    async def change(tx: Transaction) -> None:
        group = await _find(tx, name)
        await _act_on_each(tx, group, await _ids(tx, people), how)

    async def render(views: Views, _: None) -> web.Response:
        return await _show(request, identity, views, name)

    return await commit(request, identity, change, render)


def _people(users: Sequence[str], times: int = 1) -> list[str]:
    """The names as users have them, each once."""
    if max(len(users), 1) * times > MOST_AT_ONCE:
        raise Invalid(f"At most {MOST_AT_ONCE} users, or groups times users, in one request")
    return list(dict.fromkeys(normalize_user_name(name) for name in users))


async def _ids(tx: Transaction, people: Sequence[str]) -> list[str]:
    """The ids of users, in the order of their names. 400 names the first who does not exist."""
    asked = [name for name in people if "\0" not in name]  # Postgres cannot even be asked for such a name
    rows = await tx.fetch("select name, id from users where name = any($1)", asked) if asked else []
    found = {row["name"]: row["id"] for row in rows}
    for name in people:
        if name not in found:
            raise Invalid(f"No such user: {name}")
    return [found[name] for name in people]


async def _act_on_each(tx: Transaction, group: str, users: Sequence[str], how: str) -> None:
    await tx.load([(MEMBERS, member_id(group, user)) for user in users])
    for user in users:
        command: MemberCommand = AddMember(group=group, user=user) if how == "add" else RemoveMember()
        await tx.act(MEMBERS, member_id(group, user), command)


async def _find(tx: Transaction, name: str) -> str:
    rows = await tx.fetch("select id from groups where name = $1", name)
    if not rows:
        raise _no_group(name)
    return str(rows[0]["id"])


async def _show(request: web.Request, identity: Identity, views: Views, name: str, status: int = 200) -> web.Response:
    models = _models(request, identity, await views.fetch(_NAMED, [name]))
    if not models:
        raise _no_group(name)
    return answer(models[0], status)


def _no_group(name: str) -> NotFound:
    return NotFound(f"No such group: {name}")


def _models(request: web.Request, asker: Identity, rows: Sequence[Any]) -> list[Group]:
    roles = request.app[GATE].access.roles
    return [_model(asker, row, roles) for row in rows]


def _model(asker: Identity, row: Any, roles: Roles) -> Group:
    """Each field only if *asker* may read it (contract, 2.3)."""
    model = Group(name=row["name"])
    if asker.may("read:groups", group=model.name):
        model.users = row["users"]
        model.properties = _STATE.decode(row["state"]).properties
    if asker.may("read:roles:groups", group=model.name):
        model.roles = [role for role in row["roles"] if role in roles]
    return model


class _State(Struct):
    properties: Json


_STATE = msgspec.json.Decoder(_State)

# A member's row is as old as the last time they joined.
_USERS = """
    array(select u.name from members m join users u on u.id = m.user_id
          where m.group_id = g.id order by m.position)
"""
_ROLES = "array(select role from grants where holder = g.id and kind = 'group' order by number)"
#: Names (null: all), whether users are wanted, limit, offset.
_PAGE = f"""
    select g.name, g.state, case when $2 then {_USERS} end as users, {_ROLES} as roles,
           (select count(*) from groups) as total
    from (select * from groups where $1::text[] is null or name = any($1)
          order by number limit $3 offset $4) g order by g.number
"""
_NAMED = f"""
    select g.name, g.state, {_USERS} as users, {_ROLES} as roles
    from groups g where g.name = any($1) order by g.number
"""
