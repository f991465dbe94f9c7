"""`/hub/admin/groups/{group}`: who is in a group, what it holds, and what is kept about it."""

import json
from typing import Any

import msgspec
from aiohttp import web

from hubbub.access import Identity
from hubbub.domain.message import Json
from hubbub.domain.names import escape
from hubbub.web.request import GATE, ApiError, require
from hubbub_api import role_book, share_models
from hubbub_api.answers import Page
from hubbub_api.groups import READ_GROUP
from hubbub_api.keys import VIEWS
from hubbub_api.pages.admin.room import operator, page
from hubbub_api.pages.admin.turning import start_of, turned

#: Members on a page, and shares shown.
PAGE, MOST = 100, 100

_SOURCES = {"login": "by their login", "configuration": "by the configuration", "api": ""}


class _State(msgspec.Struct):
    properties: Json


_STATE = msgspec.json.Decoder(_State)


def routes(prefix: str) -> list[web.RouteDef]:
    return [web.get(f"{prefix}admin/groups/{{group}}", show)]


@operator
async def show(request: web.Request, identity: Identity) -> web.StreamResponse:
    name = request.match_info["group"]
    require(identity, *READ_GROUP, group=name)
    views, options = request.app[VIEWS], request.app[GATE].options
    group = await views.row("select id, state from groups where name = $1", name)
    if group is None:
        raise ApiError(404, f"No such group: {name[:255]}")

    def may(base: str) -> bool:
        return identity.may(base, group=name)

    return page(
        request,
        identity,
        "group.html",
        "/groups",
        follow=f"group={escape(name)}",
        name=name,
        path=f"groups/{escape(name)}",
        **await _members(request, group["id"], shown=may("read:groups")),
        properties=_pretty(group["state"]) if may("read:groups") else None,
        roles=await _roles(request, group["id"]) if may("read:roles:groups") else None,
        shares=await _shares(request, group["id"]) if may("read:groups:shares") else None,
        users_at=f"{options.hub_prefix}admin/users/",
        escape=escape,
        sources=_SOURCES,
        may={"change": may("groups"), "delete": may("delete:groups")},
    )


async def _members(request: web.Request, group: str, *, shown: bool) -> dict[str, Any]:
    if not shown:
        return {"members": None, "turned": None, "search": ""}
    search, start = request.query.get("search", "").strip()[:255], start_of(request, PAGE)
    rows = await request.app[VIEWS].fetch(_MEMBERS, group, search.lower(), PAGE, start)
    total = rows[0]["total"] if rows else 0
    return {"members": rows, "turned": turned(request, start, PAGE, total), "search": search}


def _pretty(state: str) -> str:
    return json.dumps(_STATE.decode(state).properties, indent=2, ensure_ascii=False, sort_keys=True)


async def _roles(request: web.Request, group: str) -> list[dict[str, Any]]:
    gate = request.app[GATE]
    known = {each.name: each for each in await role_book.entries(request.app[VIEWS], gate.options, gate.access.roles)}
    rows = await request.app[VIEWS].fetch(_ROLES, group)
    return [
        {"name": row["role"], "words": role_book.in_words(gate.access.roles, known[row["role"]].scopes)}
        for row in rows
        if row["role"] in known
    ]


async def _shares(request: web.Request, group: str) -> list[share_models.Share]:
    first = Page(offset=0, limit=MOST, wrapped=False)
    found, _ = await share_models.shares(
        request.app[VIEWS], request.app[GATE].options, share_models.OF_GROUP, group, first
    )
    return found


#: Group, a part of the name in lower case, limit, offset.
_MEMBERS = """
    select u.name, m.state::json ->> 'source' as source, e.recorded_at as since, count(*) over () as total
    from members m join users u on u.id = m.user_id left join events e on e.position = m.position
    where m.group_id = $1 and position($2 in lower(u.name)) > 0 order by u.name limit $3 offset $4
"""
_ROLES = "select role from grants where holder = $1 and kind = 'group' order by number"
