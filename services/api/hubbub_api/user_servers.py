"""GET, PUT, POST, PATCH, DELETE /users/{user}/server and /users/{user}/servers/{name}."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType

from hubbub.access import Identity
from hubbub.domain.message import Json, Rejected
from hubbub.domain.names import check_display_name
from hubbub.domain.server_messages import RenameServer
from hubbub.domain.server_states import Spawning
from hubbub.transaction import Transaction
from hubbub.views import SERVERS
from hubbub.web.request import GATE, ApiError, identify, require
from hubbub_api import servers, start_options
from hubbub_api.answers import answer, asked, object_of, refuse, shaped
from hubbub_api.commit import commit
from hubbub_api.endpoint import Endpoints
from hubbub_api.idempotency import Repeated, key_of
from hubbub_api.keys import FAREWELLS, MODELS, POOL, VIEWS
from hubbub_api.removal import remove_server
from hubbub_api.rows import ServerRow, untouched
from hubbub_api.schemas import Server, some_of
from hubbub_api.users import find_user
from hubbub_api.views import Views

routes = Endpoints("servers")
H = TypeVar("H", bound=Callable[[web.Request], Awaitable[web.StreamResponse]])
DEFAULT = "/users/{user}/server"
NAMED = "/users/{user}/servers/{name:[^/]*}"


def _both(path: str, method: str, **about: Any) -> Callable[[H], H]:
    """Register a handler for the default server and for named ones."""

    def register(handler: H) -> H:
        routes.route(method, DEFAULT + path, **about)(handler)
        routes.route(method, NAMED + path, **about)(handler)
        return handler

    return register


def target(request: web.Request) -> tuple[str, str]:
    return request.match_info["user"], request.match_info.get("name", "")


async def find(request: web.Request, owner: str, name: str) -> ServerRow:
    """404 if nothing is known of it."""
    server = await request.app[VIEWS].server(owner, name)
    if server is None:
        raise ApiError(404)
    return server


async def model_of(request: web.Request, views: Views, identity: Identity, server: ServerRow) -> Server:
    options = await views.options([server])
    may_see = identity.may("admin:server_state", user=server.owner, server=server.name)
    state = await views.state(server) if may_see else None
    return request.app[MODELS].server(identity, server, options.get(server.id), state)


@_both("", "GET", scopes=("read:servers",), answers={200: Server})
async def show(request: web.Request) -> web.Response:
    """Shows a server. Everybody has a default one, even if it was never started."""
    owner, name = target(request)
    identity = require(await identify(request), "read:servers", user=owner, server=name)
    views = request.app[VIEWS]
    server = await views.server(owner, name)
    if server is None and not name:
        server = untouched(await find_user(request, owner))
    if server is None:
        raise ApiError(404)
    return answer(await model_of(request, views, identity, server))


class NewServer(msgspec.Struct, kw_only=True):
    """A body with neither of these names is taken for the options themselves, as clients of old send them."""

    user_options: Json | None = None
    display_name: str = ""


async def _asked(request: web.Request) -> NewServer:
    body = await object_of(request)
    if body and not body.keys() & {"user_options", "display_name"}:
        body = {"user_options": body}
    new = shaped(body, NewServer)
    if new.display_name:
        check_display_name(new.display_name)
    return new


@_both("", "PUT", scopes=("start:servers",), body=NewServer | Json, answers={201: Server, 409: None})
async def create(request: web.Request) -> web.Response:
    """Makes a server without starting it."""
    owner, name = target(request)
    identity = require(await identify(request), "start:servers", user=owner, server=name)
    user = await find_user(request, owner)
    new = await _asked(request)
    if not name or await request.app[VIEWS].server(owner, name):
        raise ApiError(409, f"{owner} already has a server named {name!r}")

    async def make(tx: Transaction) -> None:
        await servers.create(tx, request, user, name, new.user_options, new.display_name)

    async def render(views: Views, _: None) -> web.Response:
        server = await views.server(owner, name)
        assert server is not None
        return answer(await model_of(request, views, identity, server), 201)

    return await commit(request, identity, make, render)


@_both(
    "", "POST", scopes=("start:servers",), body=NewServer | Json, answers={201: None, 202: None, 429: None, 500: None}
)
async def start(request: web.Request) -> web.Response:
    """Starts a server, and makes it if need be. 201 when it is ready, 202 when it takes its time: see its progress.

    Without a body it starts as the last time.
    """
    owner, name = target(request)
    identity = require(await identify(request), "start:servers", user=owner, server=name)
    user = await find_user(request, owner)
    new = await _asked(request)
    patience = request.app[GATE].options.ours.slow_spawn_timeout
    try:
        now = await servers.start(request, identity, user, name, new.user_options, new.display_name, patience)
    except Repeated as repeated:
        return repeated.kept.response()
    except Rejected as refusal:
        if str(refusal) in ("already running", "pending stop"):
            raise ApiError(400, f"{owner}:{name} is {refusal}" if name else f"{owner} is {refusal}") from None
        raise
    if now.pending == "spawn" or isinstance(now.state, Spawning):
        return web.Response(status=202, content_type="text/plain")
    response = _started(now)
    if key := await key_of(request):
        await key.learn(request.app[POOL], response)
    return response


def _started(now: ServerRow) -> web.Response:
    """What came of a start, failures too: with an Idempotency-Key that is the first outcome like any other."""
    if now.ready:
        return web.Response(status=201, content_type="text/plain")
    if now.failure is None:
        return refuse(500, f"Spawner failed to start [status={getattr(now.state, 'crashed', None)}].")
    return refuse(now.failure_status, now.failure.message)


class ChangedServer(msgspec.Struct, kw_only=True):
    """At least one of them."""

    name: str | UnsetType = UNSET
    display_name: str | UnsetType = UNSET
    user_options: Json | UnsetType = UNSET


@_both("", "PATCH", scopes=("start:servers",), body=some_of(ChangedServer), answers={200: Server, 409: None})
async def patch(request: web.Request) -> web.Response:
    """Changes a stopped server's name, display name or options: at least one of them."""
    owner, name = target(request)
    identity = require(await identify(request), "start:servers", user=owner, server=name)
    user = await find_user(request, owner)
    body = await asked(request, ChangedServer)
    if body == ChangedServer():
        raise ApiError(400, "Nothing to change: give name, display_name or user_options")
    server = await request.app[VIEWS].server(owner, name) or (None if name else untouched(user))
    if server is None:
        raise ApiError(404, f"{owner} has no server named {name!r}")
    if server.active:
        raise ApiError(400, f"{owner}:{name} is active")
    # What it was shown as does not change with its name.
    renamed, shown = (name, server.state.display_name) if body.name is UNSET else (body.name, server.display_name)
    if body.display_name:
        check_display_name(shown := body.display_name)

    async def change(tx: Transaction) -> str:
        if body.name is not UNSET:
            await servers.check_rename(tx, request, user, name, renamed)
        id = server.id or await servers.default_of(tx, request, user)
        await tx.act(SERVERS, id, RenameServer(name=renamed, display_name=shown))
        if body.user_options is not UNSET:
            await tx.know(user.id)
            tx.remember(f"options:{id}", user.id, start_options.packed(body.user_options))
        return id

    async def render(views: Views, id: str) -> web.Response:
        changed = await views.server_by_id(id)
        assert changed is not None
        model = await model_of(request, views, identity, changed)
        model.state = None if model.state is not UNSET else UNSET
        response = answer(model)
        response.headers["Content-Type"] = "application/json; charset=UTF-8"  # alone among all answers
        return response

    return await commit(request, identity, change, render, [(SERVERS, server.id)] if server.id else [])


class Removal(msgspec.Struct, kw_only=True):
    """`remove`: forget the server too, once it has stopped."""

    remove: bool = False


@_both("", "DELETE", scopes=("delete:servers",), body=Removal, answers={202: None, 204: None})
async def stop(request: web.Request) -> web.Response:
    """Stops a server, or cancels its start. 204: it has stopped; 202: it is about to."""
    owner, name = target(request)
    identity = require(await identify(request), "delete:servers", user=owner, server=name)
    options = request.app[GATE].options
    remove = (await asked(request, Removal)).remove
    if name and not options.hub.allow_named_servers:
        raise ApiError(400, "Named servers are not enabled.")
    if remove and not name:
        raise ApiError(400, "Cannot delete the default server")
    user = await find_user(request, owner)
    server = await request.app[VIEWS].server(owner, name)
    if server is None and name:
        raise ApiError(404, f"{owner} has no server named {name!r}")
    if server is not None and server.active:
        await servers.stop(request, identity, server)
        server = await servers.wait_until_stopped(request.app, server, servers.slow_stop(request))
        if server.active:
            return web.Response(status=202, content_type="text/plain")

    farewells = request.app[FAREWELLS]
    forgotten = await farewells.gather(request.app[VIEWS], user, [server] if server is not None and remove else [])

    async def settle(tx: Transaction) -> None:
        """A server that never was is known from now on, as JupyterHub does it."""
        if server is None:
            await servers.default_of(tx, request, user)
        elif remove:
            await remove_server(tx, server.id)

    async def render(_: Views, __: None) -> web.Response:
        return web.Response(status=204)

    response = await commit(request, identity, settle, render)
    farewells.say(forgotten)
    return response
