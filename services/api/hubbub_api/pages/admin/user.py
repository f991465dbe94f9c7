"""`/hub/admin/users/{user}`: one person, with what the hub knows of them and what may be done about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from hubbub.access import Identity
from hubbub.domain.names import escape
from hubbub.web.request import GATE, ApiError, require
from hubbub_api import role_book, sessions, share_models
from hubbub_api.answers import Page
from hubbub_api.endings import endings
from hubbub_api.house import Notice
from hubbub_api.keys import ACTIVITIES, VIEWS
from hubbub_api.models import READ_USER
from hubbub_api.pages.admin.lines import lines, may_administer
from hubbub_api.pages.admin.room import operator, page
from hubbub_api.pages.sessions import browser, when
from hubbub_api.role_book import Held
from hubbub_api.rows import ServerRow, UserRow
from hubbub_api.sessions import READ as READ_SESSIONS
from hubbub_api.sessions import WRITE as END_SESSIONS
from hubbub_api.share_models import Share

#: Of sessions and shares shown; the API lists the others.
MOST = 100
_FIRST = Page(offset=0, limit=MOST, wrapped=False)


@dataclass(frozen=True)
class Role:
    """A role with the reasons for which somebody has it, and what it may do in words."""

    name: str
    url: str
    why: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)


def routes(prefix: str) -> list[web.RouteDef]:
    return [web.get(f"{prefix}admin/users/{{user}}", show)]


@operator
async def show(request: web.Request, identity: Identity) -> web.StreamResponse:
    name = request.match_info["user"]
    require(identity, *READ_USER, user=name)
    options, views = request.app[GATE].options, request.app[VIEWS]
    found = await views.person(name, stopped=True)
    if found is None:
        raise ApiError(404, f"No such user: {name[:255]}")
    user, servers = found

    def may(*bases: str) -> bool:
        return any(identity.may(base, user=name) for base in bases)

    return page(
        request,
        identity,
        "user.html",
        "/users",
        follow=f"user={escape(name)}",
        person=user,
        path=f"users/{escape(name)}",
        lines=lines(servers, name, options, identity),
        ends=_by_name(servers, await endings(request.app, servers)),
        allow_named=options.hub.allow_named_servers,
        limit=options.hub.named_server_limit_per_user,
        groups=user.groups if may("read:users", "read:users:groups") else None,
        roles=await _roles(request, user) if may("read:roles:users") else None,
        active=request.app[ACTIVITIES].newer(f"user:{user.id}", user.last_activity),
        tokens=await _tokens(request, user) if may("read:tokens") else None,
        **await _sessions(request, identity, user, shown=may(*READ_SESSIONS)),
        given=await _shares(request, share_models.OF_OWNER, user) if may("read:shares") else None,
        received=await _shares(request, share_models.OF_USER, user) if may("read:users:shares") else None,
        story=f"{options.hub_prefix}admin/events?user={escape(name)}" if identity.may("read:events") else "",
        may={
            "see": may("read:users"),
            "see_admin": may("read:users", "read:users:name", "read:roles:users"),
            "see_activity": may("read:users", "read:users:activity"),
            "edit": may_administer(identity, name, admin=user.admin),
            "promote": identity.admin and may("admin:users"),
            "delete": may("delete:users") and user.id != identity.id,
            "add": may("start:servers"),
            "end": may(*END_SESSIONS),
        },
        browser=browser,
        when=when,
    )


def _by_name(servers: Sequence[ServerRow], ends: Mapping[str, Notice]) -> dict[str, Notice]:
    return {row.name: ends[row.id] for row in servers if row.id in ends}


async def _roles(request: web.Request, user: UserRow) -> list[Role]:
    gate, views = request.app[GATE], request.app[VIEWS]
    roles = gate.access.roles
    known = {each.name: each for each in await role_book.entries(views, gate.options, roles)}
    found: dict[str, Role] = {}
    for held in await role_book.held_by(views, user.id, admin=user.admin):
        if held.role not in known:
            continue  # of a configuration that no longer counts
        if held.role not in found:
            words = role_book.in_words(roles, known[held.role].scopes)
            url = f"{gate.options.hub_prefix}admin/roles/{escape(held.role)}"
            found[held.role] = Role(held.role, url, words=words)
        found[held.role].why.append(_why(held))
    return list(found.values())


def _why(held: Held) -> str:
    if held.source == "everybody":
        return "everybody has it"
    if held.source == "administrator":
        return "as an administrator"
    given = {"configuration": "by the configuration", "login": "by their login"}.get(held.source, held.source)
    return f"as a member of {held.group}" if held.group else given


async def _tokens(request: web.Request, user: UserRow) -> dict[str, int]:
    """How many tokens somebody has that count yet: their own, and those that servers and services hold for them."""
    [row] = await request.app[VIEWS].fetch(_TOKENS, user.id)
    return {"own": row["own"], "given": row["given"]}


async def _sessions(request: web.Request, identity: Identity, user: UserRow, *, shown: bool) -> dict[str, Any]:
    if not shown:
        return {"sessions": None, "sessions_total": 0}
    found, total = await sessions.sessions_of(request, user, identity, limit=MOST)
    return {"sessions": found, "sessions_total": total}


async def _shares(request: web.Request, which: str, user: UserRow) -> Sequence[Share]:
    found, _ = await share_models.shares(request.app[VIEWS], request.app[GATE].options, which, user.id, _FIRST)
    return found


_TOKENS = """
    select count(*) filter (where client = 'jupyterhub') as own, count(*) filter (where client <> 'jupyterhub') as given
    from tokens where user_id = $1 and (expires_at is null or expires_at > now())
"""
