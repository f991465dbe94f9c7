"""What happened in the whole hub, live: by whom, about whom, when, and what belongs together."""

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from hubbub.access import Identity
from hubbub.eventlog import COLUMNS, Recorded, recorded
from hubbub.views import VIEWS as AGGREGATES
from hubbub.web.request import require
from hubbub_api.event_models import EventModel
from hubbub_api.events import types_of
from hubbub_api.keys import EVENTS, POOL, VIEWS
from hubbub_api.pages import story
from hubbub_api.pages.admin.room import operator, page

PAGE = 50
#: Of a trace or a command: all there is, usually.
MOST_TOGETHER = 500

SCOPE = "read:events"

#: What one may ask for, in the order of the form.
FIELDS = ("user", "server", "group", "actor", "aggregate", "type", "since", "until", "about")

# What is left of what was archived is no part of them.
_HERE = "position >= (select oldest from log_head)"
_TRACE = f"select {COLUMNS} from events where {story.TRACE} = $1 and {_HERE} order by position limit {MOST_TOGETHER}"
_COMMAND = f"select {COLUMNS} from events where command_id = $1 and {_HERE} order by position limit {MOST_TOGETHER}"
_SERVER = "select s.id from users u join servers s on s.user_id = u.id where u.name = $1 and s.name = $2"


class NotThere(Exception):
    """Something is asked for that there is not; says what."""


def routes(prefix: str) -> list[web.RouteDef]:
    return [web.get(f"{prefix}admin/events", show)]


@operator
async def show(request: web.Request, identity: Identity) -> web.StreamResponse:
    require(identity, SCOPE)
    asked = {name: request.query.get(name, "").strip() for name in (*FIELDS, "trace", "command", "before", "after")}
    chosen = {name: asked[name] for name in FIELDS if asked[name]}
    together = asked["trace"] or asked["command"]
    found: list[Recorded] = []
    problem = older = ""
    try:
        if together:
            found = await _together(request, asked)
        else:
            found, older = await _page(request, asked, chosen)
    except NotThere as error:
        problem = str(error)
    events = await request.app[EVENTS].models(found)
    browsing = bool(together or asked["before"] or asked["after"] or asked["until"] or problem)
    follow: dict[str, Any] = {} if browsing else {"follow": _follow(chosen)}
    return page(
        request,
        identity,
        "events.html",
        "/events",
        days=await story.days(request, identity, events, None),
        count=len(events),
        problem=problem,
        asked=asked,
        filtered=bool(chosen),
        aggregates=sorted(AGGREGATES),
        types=sorted(type for each in AGGREGATES for type in types_of(each)),
        older=older,
        ended="" if older else await story.horizon(request),
        newest=story.query(**chosen) or request.path if asked["before"] or asked["after"] else "",
        whole=len(found) < MOST_TOGETHER,
        links=links,
        **follow,
    )


async def _together(request: web.Request, asked: dict[str, str]) -> list[Recorded]:
    """In order: what belongs to a trace, or was done by one command."""
    query, id = (_TRACE, asked["trace"].lower()) if asked["trace"] else (_COMMAND, asked["command"])
    return [recorded(row) for row in await request.app[POOL].fetch(query, id)]


async def _page(request: web.Request, asked: dict[str, str], chosen: dict[str, str]) -> tuple[list[Recorded], str]:
    """A page of events, the newest first, and the address of the next; with `after` the first ones since then."""
    before, after = story.number(asked["before"]), story.number(asked["after"])
    upwards = after is not None and before is None
    found = await request.app[EVENTS].page(
        about=await _about(request, asked),
        types=[each.strip() for each in asked["type"].split(",") if each.strip()],
        aggregates=[asked["aggregate"]] if asked["aggregate"] in AGGREGATES else (),
        actor=await _actor(request, asked["actor"]),
        before=before,
        after=after,
        since=story.moment(asked["since"]),
        until=story.moment(asked["until"]),
        limit=PAGE + 1,
        newest_first=not upwards,
    )
    shown = found[:PAGE]
    if upwards:
        return shown[::-1], story.query(**chosen, before=shown[0].position) if shown else ""
    return shown, story.query(**chosen, before=shown[-1].position) if len(found) > PAGE else ""


async def _about(request: web.Request, asked: dict[str, str]) -> frozenset[str] | None:
    """The subjects that are asked for; None for all. Raises NotThere."""
    views = request.app[VIEWS]
    if name := asked["server"]:
        owner, _, server = name.partition("/")
        row = await views.row(_SERVER, owner, server)
        if row is None:
            raise NotThere(f"There is no server {name!r}: write its owner, or owner/name.")
        return frozenset({row["id"]})
    if name := asked["user"]:
        row = await views.row("select id from users where name = $1", name)
        if row is None:
            raise NotThere(f"There is no user {name!r}.")
        return await request.app[EVENTS].of_user(row["id"])
    if name := asked["group"]:
        row = await views.row("select id from groups where name = $1", name)
        if row is None:
            raise NotThere(f"There is no group {name!r}.")
        return frozenset({row["id"]})
    return frozenset({asked["about"]}) if asked["about"] else None


async def _actor(request: web.Request, name: str) -> str:
    """As contexts have it: people by id. A name alone is a user's, or else part of the system's. Raises NotThere."""
    kind, _, rest = name.partition(":")
    person = rest if kind == "user" else "" if rest else name
    row = await request.app[VIEWS].row("select id from users where name = $1", person) if person else None
    if row is not None:
        return f"user:{row['id']}"
    if kind == "user" and rest:
        raise NotThere(f"There is no user {rest!r}.")
    return name


def _follow(chosen: dict[str, str]) -> str:
    """The same filter as the event stream has it."""
    names = {name: chosen[name] for name in ("aggregate", "type") if name in chosen}
    whose = next((name for name in ("server", "user", "group", "about") if name in chosen), None)
    return story.query(**names, **({whose: chosen[whose]} if whose else {})).removeprefix("?")


def links(event: EventModel) -> Sequence[tuple[str, str]]:
    """From one event to those that have to do with it: words, and the query for them."""
    server, user, actor = event.server, event.user, event.actor
    found: list[tuple[str, dict[str, Any]]] = []
    if event.trace:
        found.append(("All that belongs together", {"trace": event.trace}))
    if event.causation:
        found.append(("What caused it", {"command": event.causation}))
    found.append((f"All of this {event.aggregate}", {"about": event.subject}))
    if server and server.id != event.subject:
        found.append(("All of the server", {"about": server.id}))
    if user and user.id != event.subject:
        found.append((f"All about {user.name}", {"about": user.id}))
    if actor.kind in ("user", "service", "worker"):
        found.append((f"All that {actor.name} did", {"actor": f"{actor.kind}:{actor.name}"}))
    return [(words, story.query(**query)) for words, query in found]
