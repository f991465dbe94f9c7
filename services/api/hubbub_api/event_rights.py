"""Which events somebody may see: those about what they hold `read:events` for; in a browser, those about themselves."""

from dataclasses import dataclass, replace

import asyncpg
from aiohttp import web

from hubbub.access import Identity
from hubbub.domain import scope
from hubbub.web.request import NO_CREDENTIALS, NOT_FOUND, ApiError, require, require_any
from hubbub_api.keys import EVENTS, VIEWS

SCOPE = "read:events"

#: Of the servers that the people of a filter had, those that are looked at: the newest.
MOST_SERVERS = 10_000


@dataclass(frozen=True)
class Asked:
    """Whose events are asked for: names, at most one of them. `about`: an id, of anything."""

    user: str = ""
    server: str = ""
    group: str = ""
    about: str = ""


def seeing(identity: Identity | None) -> Identity:
    """Who asks, and what they may see: a person in a browser what is about themselves."""
    if identity is None:
        raise ApiError(403, NO_CREDENTIALS)
    if not identity.by_cookie:
        return identity
    return replace(identity, scopes=identity.scopes | {f"{SCOPE}!user={identity.name}"})


def watched(identity: Identity) -> frozenset[str]:
    """Subjects of *identity*, whose events may change what they may see."""
    return frozenset(each for each in (identity.id, identity.token_stream, identity.session) if each)


async def subjects(request: web.Request, identity: Identity | None, asked: Asked) -> frozenset[str] | None:
    """What events must be about; None for anything. Raises ApiError, the same for what is not there and what is not
    theirs to see.
    """
    who, events = seeing(identity), request.app[EVENTS]
    if sum(map(bool, (asked.user, asked.server, asked.group, asked.about))) > 1:
        raise ApiError(400, "Invalid query: only one of user, server, group and about")
    if asked.about:
        require(who, SCOPE)
        return frozenset({asked.about})
    if asked.user:
        require(who, SCOPE, user=asked.user)
        found = await request.app[VIEWS].row("select id from users where name = $1", asked.user)
        return await events.of_users([_there(found)["id"]])
    if asked.server:
        owner, _, name = asked.server.partition("/")
        require(who, SCOPE, user=owner, server=name)
        return frozenset({_there(await request.app[VIEWS].row(_SERVER, owner, name))["id"]})
    if asked.group:
        require(who, SCOPE, group=asked.group)
        found = await request.app[VIEWS].row("select id from groups where name = $1", asked.group)
        return frozenset({_there(found)["id"]})
    require_any(who, SCOPE, filters=("user", "server", "group"))
    held = scope.filters(who.scopes, SCOPE)
    return None if held is None else await _held(request, held)


async def _held(request: web.Request, held: dict[str, set[str]]) -> frozenset[str]:
    """Subjects of all that is held: of a group itself and of those who are in it."""
    views, groups, servers = request.app[VIEWS], sorted(held.get("group", ())), sorted(held.get("server", ()))
    users = await views.fetch(_USERS, sorted(held.get("user", ())), groups)
    found = await request.app[EVENTS].of_users([row["id"] for row in users], MOST_SERVERS) if users else frozenset()
    if groups:
        found |= {row["id"] for row in await views.fetch("select id from groups where name = any($1)", groups)}
    if servers:
        owners, names = zip(*(each.split("/", 1) for each in servers), strict=True)
        found |= {row["id"] for row in await views.fetch(_SERVERS, list(owners), list(names))}
    return found


def _there(row: asyncpg.Record | None) -> asyncpg.Record:
    if row is None:
        raise ApiError(404, NOT_FOUND)
    return row


_SERVER = "select s.id from users u join servers s on s.user_id = u.id where u.name = $1 and s.name = $2"
_SERVERS = """
    select s.id from unnest($1::text[], $2::text[]) as i (owner, name)
    join users u on u.name = i.owner join servers s on s.user_id = u.id and s.name = i.name
"""
_USERS = """
    select id from users where name = any($1)
    union select m.user_id from groups g join members m on m.group_id = g.id where g.name = any($2)
"""
