"""GET, PUT, POST, PATCH, DELETE /users/{user}/server and /users/{user}/servers/{name}, and the log of one."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from aiohttp import web

from hubbub.bus import BusUnavailable, Remote
from hubbub.domain.message import Rejected
from hubbub.domain.names import check_display_name, check_server_name
from hubbub.domain.server_states import Spawning
from hubbub.rpc import LogTail, Word
from hubbub.web.request import GATE, ApiError, identify, require
from hubbub_api import servers
from hubbub_api.answers import answer, body_of, object_of, typed
from hubbub_api.keys import BUS, MODELS, SECRETS, VIEWS
from hubbub_api.users import find_user
from hubbub_api.views import ServerRow

routes = web.RouteTableDef()
H = TypeVar("H", bound=Callable[[web.Request], Awaitable[web.StreamResponse]])
DEFAULT = "/users/{user}/server"
NAMED = "/users/{user}/servers/{name:[^/]*}"


def _both(path: str, method: str) -> Callable[[H], H]:
    """Register a handler for the default server and for named ones."""

    def register(handler: H) -> H:
        routes.route(method, DEFAULT + path)(handler)
        routes.route(method, NAMED + path)(handler)
        return handler

    return register


def target(request: web.Request) -> tuple[str, str]:
    return request.match_info["user"], request.match_info.get("name", "")


async def find(request: web.Request, owner: str, name: str) -> ServerRow:
    server = await request.app[VIEWS].server(owner, name)
    if server is None:
        raise ApiError(404, f"{owner} has no server named {name!r}" if name else None)
    return server


async def model_of(request: web.Request, identity: Any, server: ServerRow) -> dict[str, Any]:
    options = await request.app[SECRETS].options([server])
    states = {}
    if identity.may("admin:server_state", user=server.owner, server=server.name):
        states = await request.app[SECRETS].states([server])
    return request.app[MODELS].server(identity, server, options.get(server.id), states.get(server.id))


@_both("", "GET")
async def show(request: web.Request) -> web.Response:
    owner, name = target(request)
    identity = require(await identify(request), "read:servers", user=owner, server=name)
    server = await find(request, owner, name)
    return answer(await model_of(request, identity, server))


async def _asked(request: web.Request) -> tuple[dict[str, Any] | None, str]:
    """User options and display name of a body: in fields of their own, or the whole body as options."""
    body = await body_of(request)
    if body is None:
        return None, ""
    if not isinstance(body, dict):
        raise ApiError(400, "Body must be a JSON dict or empty")
    if not body.keys() & {"user_options", "display_name"}:
        return body or None, ""
    if unknown := sorted(body.keys() - {"user_options", "display_name"}):
        raise ApiError(400, f"Invalid JSON keys: {', '.join(unknown)}")
    options = typed(body.get("user_options"), dict[str, Any] | None, "user_options")
    display_name = typed(body.get("display_name", ""), str, "display_name")
    if display_name:
        check_display_name(display_name)
    return options, display_name


@_both("", "PUT")
async def create(request: web.Request) -> web.Response:
    owner, name = target(request)
    identity = require(await identify(request), "start:servers", user=owner, server=name)
    user = await find_user(request, owner)
    options, display_name = await _asked(request)
    if not name or await request.app[VIEWS].server(owner, name):
        raise ApiError(409, f"{owner} already has a server named {name!r}")
    server = await servers.create(request, identity, user, name, options, display_name)
    return answer(await model_of(request, identity, server), 201)


@_both("", "POST")
async def start(request: web.Request) -> web.Response:
    """201 when it is ready, 202 when it takes its time, 4xx or 5xx when it may or can not."""
    owner, name = target(request)
    identity = require(await identify(request), "start:servers", user=owner, server=name)
    user = await find_user(request, owner)
    options, display_name = await _asked(request)
    patience = request.app[GATE].options.ours.slow_spawn_timeout
    try:
        now = await servers.start(request, identity, user, name, options, display_name, patience)
    except Rejected as refusal:
        if str(refusal) in ("already running", "pending stop"):
            raise ApiError(400, f"{owner}:{name} is {refusal}" if name else f"{owner} is {refusal}") from None
        raise
    if now.ready:
        return web.Response(status=201, content_type="text/plain")
    if now.pending == "spawn" or isinstance(now.state, Spawning):
        return web.Response(status=202, content_type="text/plain")
    failure = now.failure
    if failure is None:
        raise ApiError(500, f"Spawner failed to start [status={getattr(now.state, 'crashed', None)}].")
    raise ApiError(failure.status, failure.message)


@_both("", "PATCH")
async def patch(request: web.Request) -> web.Response:
    owner, name = target(request)
    identity = require(await identify(request), "start:servers", user=owner, server=name)
    server = await find(request, owner, name)
    body = await object_of(request, {"name", "display_name", "user_options"})
    if not body:
        raise ApiError(400, "Nothing to change: give name, display_name or user_options")
    renamed = typed(body.get("name", server.name), str, "name")
    shown = typed(body.get("display_name", server.state.display_name), str, "display_name")
    if renamed != server.name:
        check_server_name(renamed)
        if await request.app[VIEWS].server(owner, renamed):
            raise ApiError(409, f"{owner} already has a server named {renamed!r}")
    if shown:
        check_display_name(shown)
    options = None
    if "user_options" in body:
        options = typed(body["user_options"], dict[str, Any], "user_options")
    if server.active:
        raise ApiError(400, f"{owner}:{name} is active")
    await servers.change(request, identity, server, renamed, shown, options)
    return answer(await model_of(request, identity, await find(request, owner, renamed)))


@_both("", "DELETE")
async def stop(request: web.Request) -> web.Response:
    owner, name = target(request)
    identity = require(await identify(request), "delete:servers", user=owner, server=name)
    options = request.app[GATE].options
    remove = typed((await object_of(request)).get("remove", False), bool, "remove")
    if name and not options.hub.allow_named_servers:
        raise ApiError(400, "Named servers are not enabled.")
    if remove and not name:
        raise ApiError(400, "Cannot delete the default server")
    user = await find_user(request, owner)
    server = await request.app[VIEWS].server(owner, name)
    if server is None:
        if name:
            raise ApiError(404, f"{owner} has no server named {name!r}")
        await servers.create(request, identity, user, "", None)
        return web.Response(status=204)
    if server.active:
        await servers.stop(request, identity, server)
        server = await servers.wait_until_stopped(request, server, servers.slow_stop(request))
    if server.active:
        return web.Response(status=202, content_type="text/plain")
    if remove:
        await servers.delete(request, identity, server)
    return web.Response(status=204)


@_both("/log", "GET")
async def log_of(request: web.Request) -> web.Response:
    """The end of what a server has printed; ours, JupyterHub has no such thing. `lines`: how many, 200 unless told."""
    owner, name = target(request)
    require(await identify(request), "read:servers", user=owner, server=name)
    server = await find(request, owner, name)
    holder = server.holder or await servers.last_holder(request, server)
    if holder is None:
        raise ApiError(404, "It has not been started yet")
    lines = min(typed(int(request.query.get("lines", "200")), int, "lines"), 5000)
    word = Word(server=server.id, attempt=server.attempt, verb="log", lines=lines)
    try:
        tail = await request.app[BUS].ask(f"hub.holder.{holder}", word, LogTail, timeout=3)
    except (BusUnavailable, Remote):
        raise ApiError(503, "The worker that holds the server does not answer") from None
    if tail.error:
        raise ApiError(404, tail.error)
    return web.Response(text=tail.text, content_type="text/plain")
