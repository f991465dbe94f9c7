"""The story of oneself and one's servers: what happened, who did it, and who was let in."""

from datetime import datetime
from typing import Any

from aiohttp import web

from hubbub.access import Identity
from hubbub.web.pages import render
from hubbub_api.event_models import EventModel
from hubbub_api.events import types_of
from hubbub_api.keys import EVENTS, VIEWS
from hubbub_api.pages import story
from hubbub_api.pages.asking import logged_in, prefix_of

PAGE = 50
#: Stands for the default server in addresses: names begin with a letter.
DEFAULT = "-"

_STEPS = frozenset(
    """
    AttemptClaimed StartExtended ServerStarted ServerMoved RouteAdded RouteRemoved TokenRestricted CodeIssued
    CodeRedeemed CodeExpired OrphanFound OrphanRemoved
    """.split()  # noqa: SIM905
)


def _of(*aggregates: str) -> tuple[str, ...]:
    return tuple(type for each in aggregates for type in types_of(each))


def _mattering() -> tuple[str, ...]:
    told = _of(
        "server", "token", "session", "share", "share_code", "user", "member", "grant", "account", "house", "group"
    )
    return tuple(type for type in told if type not in _STEPS)


#: What may be asked for: title, and types of events; none of them for all.
KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "": ("What matters", _mattering()),
    "servers": ("Servers", tuple(type for type in _of("server") if type not in _STEPS)),
    "access": ("Who was let in", _of("token", "code", "share", "share_code")),
    "logins": ("Logins and passwords", _of("session", "account")),
    "rights": ("Name, groups, roles", _of("user", "member", "grant")),
    "all": ("Everything, step by step", ()),
}


def routes(prefix: str) -> list[web.RouteDef]:
    return [web.get(f"{prefix}activity", show)]


@logged_in
async def show(request: web.Request, identity: Identity) -> web.StreamResponse:
    asked = request.query
    kind = asked.get("kind", "") if asked.get("kind", "") in KINDS else ""
    servers = {row["name"] or DEFAULT: row for row in await request.app[VIEWS].fetch(_SERVERS, identity.id)}
    server = asked.get("server", "") if asked.get("server", "") in servers else ""
    since, until = story.day(asked.get("from", "")), story.day(asked.get("to", ""), end=True)
    own = await request.app[EVENTS].of_user(identity.id)
    about = {servers[server]["id"]} if server else own
    before = story.number(asked.get("before", ""))
    events, more = await _page(request, about, KINDS[kind][1], before, since, until)
    chosen = {"kind": kind, "server": server, "from": since and asked["from"], "to": until and asked["to"]}
    return render(
        request,
        "activity.html",
        identity,
        days=await story.days(request, identity, events, own),
        kinds=[(value, title) for value, (title, _) in KINDS.items()],
        servers=[(value, row["display_name"] or row["name"] or "Default server") for value, row in servers.items()],
        chosen=chosen,
        older=story.query(**chosen, before=events[-1].position) if more else "",
        ended="" if more else await story.horizon(request),
        newest=story.query(**chosen) or prefix_of(request) + "activity" if before else "",
        filtered=any(chosen.values()),
    )


async def _page(
    request: web.Request,
    about: Any,
    types: tuple[str, ...],
    before: int | None,
    since: datetime | None,
    until: datetime | None,
) -> tuple[list[EventModel], bool]:
    """A page of events, and whether there are more."""
    reads = request.app[EVENTS]
    found = await reads.page(about=about, types=types, before=before, since=since, until=until, limit=PAGE + 1)
    return await reads.models(found[:PAGE]), len(found) > PAGE


_SERVERS = "select id, name, display_name from servers where user_id = $1 order by name"
