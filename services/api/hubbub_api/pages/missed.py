"""Requests for servers and services that have their route, as far as the log knows, and reach the hub all the same."""

import asyncio
from collections.abc import Sequence
from urllib.parse import unquote

from aiohttp import web

from hubbub.web.base import rest_of
from hubbub.web.next_url import with_query
from hubbub.web.request import GATE, ApiError, identify, redirect
from hubbub_api import registry
from hubbub_api.keys import MISSES, VIEWS
from hubbub_api.pages.asking import prefix_of
from hubbub_api.rows import ServerRow

#: As many round trips between hub and proxy as a browser is put through before it is told.
MOST_REDIRECTS = 4
#: Seconds before the second: a proxy whose routes are looked at has them by then, most of the time.
SOON = 0.3


def routes(prefix: str) -> list[web.RouteDef]:
    base = prefix.removesuffix("hub/")
    paths = (f"{prefix}services/{{name}}", f"{prefix}services/{{name}}/{{path:.*}}")
    return [
        *(web.get(path, of_service) for path in paths),
        *(
            web.route(method, f"{base}{{kind:user|services}}/{{name}}/{{path:.*}}", of_program)
            for method in ("POST", "PUT", "PATCH", "DELETE")
        ),
    ]


async def of_service(request: web.Request) -> web.StreamResponse:
    """Back to the service, whose route the proxies have in a moment."""
    options = request.app[GATE].options
    entry = await registry.find(request.app[VIEWS], options, request.match_info["name"])
    if entry is None or not entry.target:
        raise ApiError(404)
    if await identify(request) is not None or request.app[MISSES].is_strangers_turn():
        request.app[MISSES].say(entry.owner)
    count = redirects_so_far(request.query.getall("redirects", []))
    if count >= MOST_REDIRECTS:
        raise ApiError(503, f"There is no way to the service {entry.spec.name} at the moment.")
    await pause(count)
    origin = options.hosts.own_origin_of_service(entry.spec.name)
    redirect(origin + again(request, count))


async def of_program(request: web.Request) -> web.StreamResponse:
    """What is no GET cannot be led anywhere."""
    await note(request)
    raise ApiError(405)


async def note(request: web.Request) -> None:
    """Of anybody, at an address outside of the hub's: seldom enough for the proxies, and for the database."""
    options, misses = request.app[GATE].options, request.app[MISSES]
    rest = rest_of(request.rel_url.raw_path, options.base_url) or ""
    kind, name, first = (unquote(part) for part in [*rest.split("/", 3), "", "", ""][:3])
    if kind not in ("user", "services") or not misses.is_strangers_turn():
        return
    if kind == "services":
        entry = await registry.find(request.app[VIEWS], options, name)
        if entry is not None and entry.target:
            misses.say(entry.owner)
    else:
        _, row = await server_at(request, name, first)
        if row is not None and row.ready:
            misses.say(row.id)


async def server_at(request: web.Request, owner: str, first: str) -> tuple[str, ServerRow | None]:
    """The server that an address means: the named one that its path begins with, else the default one."""
    views = request.app[VIEWS]
    if first and request.app[GATE].options.hub.allow_named_servers and (row := await views.server(owner, first)):
        return first, row
    return "", await views.server(owner, "")


def redirects_so_far(values: Sequence[str]) -> int:
    return int(values[0]) if values and values[0].isdecimal() and len(values[0]) < 4 else 0


async def pause(count: int) -> None:
    """At once, then soon, then ever more patiently."""
    if count:
        await asyncio.sleep(SOON if count == 1 else min(2**count, 10))


def again(request: web.Request, count: int) -> str:
    """The path outside of the hub's that this was for, with the *count* of redirects so far."""
    place = request.app[GATE].options.base_url + request.rel_url.raw_path.removeprefix(prefix_of(request))
    query = [(name, value) for name, value in request.query.items() if name != "redirects"]
    return with_query(place, *query, ("redirects", str(count + 1)))
