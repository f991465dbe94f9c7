"""`/hub/admin/groups`: the groups there are, found by name, and a way to make and delete them."""

from dataclasses import dataclass
from typing import Any

from aiohttp import web

from hubbub.access import Identity
from hubbub.domain import scope
from hubbub.domain.names import escape
from hubbub.web.request import GATE, require_any
from hubbub_api.keys import VIEWS
from hubbub_api.pages.admin.room import operator, page
from hubbub_api.pages.admin.turning import Turned, start_of, turned

#: Groups on a page.
PAGE = 50


@dataclass(frozen=True, kw_only=True)
class Row:
    """`members`, `roles`: None if the asker may not know. `path`: below the API."""

    name: str
    url: str
    path: str
    members: int | None
    roles: list[str] | None
    may_delete: bool


def routes(prefix: str) -> list[web.RouteDef]:
    return [web.get(f"{prefix}admin/groups", show)]


@operator
async def show(request: web.Request, identity: Identity) -> web.StreamResponse:
    require_any(identity, "list:groups", filters={"group"})
    search, start = request.query.get("search", "").strip()[:255], start_of(request, PAGE)
    only = scope.filters(identity.scopes, "list:groups")
    names = None if only is None else sorted(only.get("group", ()))
    rows = await request.app[VIEWS].fetch(_PAGE, names, search.lower(), PAGE, start)
    total = rows[0]["total"] if rows else 0
    return page(
        request,
        identity,
        "groups.html",
        "/groups",
        follow="aggregate=group,member,grant",
        rows=[_row(request, identity, row) for row in rows],
        search=search,
        turned=turned(request, start, PAGE, total) if rows else Turned(start=0, total=0),
        may_create=identity.may("admin:groups"),
    )


def _row(request: web.Request, identity: Identity, row: Any) -> Row:
    name, roles = row["name"], request.app[GATE].access.roles
    return Row(
        name=name,
        url=f"{request.app[GATE].options.hub_prefix}admin/groups/{escape(name)}",
        path=f"groups/{escape(name)}",
        members=row["members"] if identity.may("read:groups", group=name) else None,
        roles=[each for each in row["roles"] if each in roles]
        if identity.may("read:roles:groups", group=name)
        else None,
        may_delete=identity.may("delete:groups", group=name),
    )


#: Names (null: all), a part of the name in lower case, limit, offset.
_PAGE = """
    select g.name, g.total, (select count(*) from members m where m.group_id = g.id) as members,
           array(select role from grants where holder = g.id and kind = 'group' order by number) as roles
    from (select *, count(*) over () as total from groups
          where ($1::text[] is null or name = any($1)) and position($2 in lower(name)) > 0
          order by name limit $3 offset $4) g
    order by g.name
"""
