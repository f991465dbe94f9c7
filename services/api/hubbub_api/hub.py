"""The hub itself: version, info, health, shutdown."""

import asyncio
import sys
from typing import Any

import msgspec
import structlog
from aiohttp import web
from msgspec import UNSET, UnsetType

from hubbub import JUPYTERHUB_VERSION, __version__
from hubbub.web.request import GATE, ApiError, identify, require
from hubbub_api.answers import answer, asked
from hubbub_api.endpoint import Endpoints
from hubbub_api.keys import ENDING, LEAVING, STOPPING
from hubbub_api.shutdown import stop_everything

log = structlog.get_logger()

routes = Endpoints("hub")


class Version(msgspec.Struct):
    """Of JupyterHub."""

    version: str


class Plugin(msgspec.Struct):
    """A class that the operator has chosen, and the release it is from."""

    class_: str = msgspec.field(name="class")
    version: str


class Info(msgspec.Struct):
    """What the hub runs on and with; `version` is JupyterHub's."""

    version: str
    python: str
    sys_executable: str
    spawner: Plugin
    authenticator: Plugin


class Shutdown(msgspec.Struct, kw_only=True):
    """Whether to stop the servers, and the proxy, too; unless told, as the configuration says."""

    servers: bool | UnsetType = UNSET
    proxy: bool | UnsetType = UNSET


class Said(msgspec.Struct):
    """That it has been heard."""

    message: str


@routes.get("/", open=True, answers={200: Version})
@routes.get("", open=True, answers={200: Version})
async def version(request: web.Request) -> web.Response:
    """Says which release of JupyterHub this is as good as."""
    return answer(Version(JUPYTERHUB_VERSION), headers={"Access-Control-Allow-Origin": "*"})


@routes.get("/info", scopes=("read:hub",), answers={200: Info})
async def info(request: web.Request) -> web.Response:
    """Says what the hub runs on and with."""
    require(await identify(request), "read:hub")
    hub = request.app[GATE].options.hub
    return answer(
        Info(
            version=JUPYTERHUB_VERSION,
            python=sys.version,
            sys_executable=sys.executable,
            spawner=Plugin(_name(hub.spawner_class), __version__),
            authenticator=Plugin(_name(hub.authenticator_class), __version__),
        )
    )


#: What JupyterHub calls the classes that its configuration knows by short names; clients may know them.
_CLASSES = {
    "pam": "jupyterhub.auth.PAMAuthenticator",
    "default": "jupyterhub.auth.PAMAuthenticator",
    "null": "jupyterhub.auth.NullAuthenticator",
    "dummy": "jupyterhub.authenticators.dummy.DummyAuthenticator",
    "shared-password": "jupyterhub.authenticators.shared.SharedPasswordAuthenticator",
    "localprocess": "jupyterhub.spawner.LocalProcessSpawner",
    "simple": "jupyterhub.spawner.SimpleLocalProcessSpawner",
}


def _name(kind: Any) -> str:
    return f"{kind.__module__}.{kind.__qualname__}" if isinstance(kind, type) else _CLASSES.get(kind, str(kind))


@routes.route("HEAD", "/health", open=True, content="text/html")
@routes.get("/health", open=True, content="text/html")
async def health(request: web.Request) -> web.Response:
    """Answers while the process can answer at all, with 503 if it is about to end. It touches nothing else."""
    return web.Response(status=503 if request.app[LEAVING].is_set() else 200, content_type="text/html")


@routes.post("/shutdown", scopes=("shutdown",), body=Shutdown, answers={202: Said})
async def shutdown(request: web.Request) -> web.Response:
    """Ends the hub, after the servers if `servers` (default: `c.JupyterHub.cleanup_servers`) says so."""
    identity = require(await identify(request), "shutdown")
    body = await asked(request, Shutdown)
    servers = request.app[GATE].options.cleanup_servers if body.servers is UNSET else body.servers

    async def end() -> None:
        """Whoever supervises the house takes our exit status (`SHUT_DOWN`) for the order to end all of it."""
        if servers:
            await stop_everything(request.app, identity.actor)
        request.app[STOPPING].set()

    request.app[ENDING].append(asyncio.get_running_loop().create_task(end()))
    return answer(Said("Shutting down Hub"), 202)


async def unknown(request: web.Request) -> web.Response:
    """405 if there is something at the address, for other methods."""
    here = request.match_info.route.resource
    for resource in request.app.router.resources():
        if resource is not here and (await resource.resolve(request))[1]:
            raise ApiError(405)
    raise ApiError(404)
