"""Addresses of servers that reached the hub instead: the server is not running, or not routed yet."""

import posixpath
from collections.abc import Sequence
from typing import NoReturn

import msgspec
from aiohttp import web
from yarl import URL

from hubbub import JUPYTERHUB_VERSION
from hubbub.access import Identity
from hubbub.domain.server_states import Running
from hubbub.web.request import GATE, NOT_FOUND, ApiError, check_xsrf, identify, redirect
from hubbub_api.answers import own_url
from hubbub_api.keys import MISSES, VIEWS
from hubbub_api.pages.asking import prefix_of, to_login
from hubbub_api.pages.card import Card, card, failure_of
from hubbub_api.pages.missed import MOST_REDIRECTS, again, pause, redirects_so_far, server_at
from hubbub_api.pages.pending import not_running, why_stopped
from hubbub_api.rows import ServerRow

MOST_REDIRECTS_IF_VERSIONS_DIFFER = 2


def routes(prefix: str) -> list[web.RouteDef]:
    paths = (f"{prefix}user/{{owner}}", f"{prefix}user/{{owner}}/{{path:.*}}")
    return [
        *(web.get(path, show) for path in paths),
        *(web.route(method, path, refuse) for path in paths for method in ("POST", "PATCH", "DELETE")),
    ]


async def show(request: web.Request) -> web.StreamResponse:
    identity = await _asker(request)
    if identity is None:
        redirect(to_login(request))
    owner, path = request.match_info["owner"], request.match_info.get("path", "")
    first = path.partition("/")[0]
    # Who may see any server that this address can mean is told how it is.
    if not any(identity.may("access:servers", user=owner, server=name) for name in {"", first}):
        raise ApiError(404, NOT_FOUND)
    if await request.app[VIEWS].user(owner) is None:
        raise ApiError(404, f"No such user {owner}")
    name, row = await server_at(request, owner, first)
    if row and row.ready:
        await _back(request, row)
    shown = _card(request, row, owner, name, identity)
    if _for_a_program(request.headers.get("Accept", ""), path):
        return _not_running_json(request, shown)
    if row and (row.pending or failure_of(row)):
        raise web.HTTPSeeOther(URL(shown.pending_url, encoded=True))
    return not_running(request, identity, shown, 424, why=await why_stopped(request, row))


async def refuse(request: web.Request) -> web.StreamResponse:
    """Whatever is not a GET is meant for the server itself, which is not there."""
    identity = await _asker(request)
    await check_xsrf(request, identity, is_api=False)
    owner, name = request.match_info["owner"], ""
    first = request.match_info.get("path", "").partition("/")[0]
    if identity and any(identity.may("access:servers", user=owner, server=server) for server in {"", first}):
        found, row = await server_at(request, owner, first)
        if row and row.ready:
            request.app[MISSES].say(row.id)
        if identity.name == owner:
            name = found
    return _not_running_json(request, _card(request, None, owner, name, identity))


async def _asker(request: web.Request) -> Identity | None:
    """Programs that talk to a server have a token; people have a cookie."""
    return await identify(request)


def _card(request: web.Request, row: ServerRow | None, owner: str, name: str, identity: Identity | None) -> Card:
    viewer = identity.name if identity else ""
    return card(row, owner, name, request.app[GATE].options, viewer=viewer, then=request.rel_url.raw_path_qs)


async def _back(request: web.Request, row: ServerRow) -> NoReturn:
    """To the server itself, whose route must have come a moment ago, or is mended now."""
    count = redirects_so_far(request.query.getall("redirects", []))
    request.app[MISSES].say(row.id)
    check_redirects(count, row.state.version if isinstance(row.state, Running) else "")
    await pause(count)
    redirect(request.app[GATE].options.hosts.link(row.owner, again(request, count)))


def check_redirects(count: int, version: str) -> None:
    """Raises once the browser has come back too often. *version*: of JupyterHub in the server, empty if unknown."""
    differs = version not in ("", JUPYTERHUB_VERSION)
    if count < (MOST_REDIRECTS_IF_VERSIONS_DIFFER if differs else MOST_REDIRECTS):
        return
    message = "Redirect loop detected."
    if differs:
        message += f" The server has JupyterHub {version}, the hub speaks {JUPYTERHUB_VERSION}."
    raise ApiError(500, message)


def _for_a_program(accept: str, path: str) -> bool:
    """Whether JSON is wanted: the header prefers it, or the path is one of an API."""
    return "api" in path.split("/") or preferred(accept, ("application/json", "text/html")) == "application/json"


def preferred(accept: str, choices: Sequence[str]) -> str | None:
    """Which of *choices* an Accept header likes best, if it names any."""
    liked: dict[str, float] = {}
    for part in accept.split(","):
        kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = next((piece[2:] for piece in parameters if piece.startswith("q=")), "1")
        if kind in choices:
            liked[kind] = float(quality) if quality.replace(".", "", 1).isdecimal() else 0.0
    return max(liked, key=lambda kind: liked[kind], default=None)


def _not_running_json(request: web.Request, server: Card) -> web.Response:
    here = own_url(request)
    place = request.rel_url.raw_path.removeprefix(posixpath.dirname(prefix_of(request)))
    spawn = f"{here.scheme}://{here.authority}{server.spawn_url.partition('?')[0]}"
    message = f"JupyterHub server no longer running at {place}. Restart the server at {spawn}"
    body = msgspec.json.encode({"message": message})
    return web.Response(body=body, status=424, content_type="application/json")
