"""The hub itself: version, info, health, routes of the proxy, shutdown."""

import asyncio
import sys
from typing import Any

import msgspec
import structlog
from aiohttp import web
from msgspec import UNSET, UnsetType

from hubbub import JUPYTERHUB_VERSION, __version__
from hubbub.domain.message import Json
from hubbub.domain.names import prefix
from hubbub.web.request import GATE, ApiError, identify, require
from hubbub_api.answers import answer, asked, body_of, page_of, stamp, typed
from hubbub_api.endpoint import Endpoints
from hubbub_api.keys import BUS, ENDING, POOL, STOPPING
from hubbub_api.schemas import Paging
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


class Route(msgspec.Struct):
    """`data`: whose it is: `user` and `server_name`, `service`, `hub` or `extra`."""

    routespec: str
    target: str
    data: Json


class MovedProxy(msgspec.Struct, kw_only=True):
    """Other keys mean nothing."""

    api_url: str | UnsetType = UNSET
    auth_token: str | UnsetType = UNSET


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
    """Answers while the process can answer at all. It touches nothing else."""
    return web.Response(content_type="text/html")


@routes.get("/proxy", scopes=("proxy",), query=Paging, answers={200: dict[str, Route]})
async def proxy_routes(request: web.Request) -> web.Response:
    """Lists the routes of the proxies, by what they begin with."""
    require(await identify(request), "proxy")
    page = page_of(request)
    rows = await request.app[POOL].fetch(
        """select q.*, u.name as owner, s.name, s.prefix, v.name as service, a.at as last_activity
           from (select r.server, min(r.target) as target, min(r.number) as number, count(*) over () as total
                 from routes r group by r.server order by r.server <> 'hub', number limit $1 offset $2) q
           left join servers s on s.id = q.server left join users u on u.id = s.user_id
           left join services v on v.id = substr(q.server, 9) and q.server like 'service:%'
           left join activity a on a.subject = 'server:' || q.server
           order by q.server <> 'hub', q.number""",
        page.limit,
        page.offset,
    )
    base_url = request.app[GATE].options.base_url
    found: dict[str, Route] = {}
    for row in rows:
        spec, data = _route(base_url, row)
        if row["last_activity"]:
            data["last_activity"] = stamp(row["last_activity"])
        found[spec] = Route(spec, row["target"], data)
    return page.answer(request, found, rows[0]["total"] if rows else 0)


def _route(base_url: str, row: Any) -> tuple[str, dict[str, Any]]:
    if row["server"] == "hub":
        return base_url, {"hub": True}
    if row["server"].startswith("service:"):
        name = row["service"] or row["server"].removeprefix("service:")
        return f"{base_url}services/{name}/", {"service": name}
    if row["owner"] is None:
        return f"{base_url}unknown/{row['server']}/", {"server": row["server"]}
    spec = row["prefix"] or prefix(base_url, row["owner"], row["name"])
    return spec, {"user": row["owner"], "server_name": row["name"]}


@routes.post("/proxy", scopes=("proxy",))
async def check_routes(request: web.Request) -> web.Response:
    """Has the routes of every proxy compared with what they should be, now."""
    require(await identify(request), "proxy")
    return await _compare_all(request)


async def _compare_all(request: web.Request) -> web.Response:
    """Every proxy-sync does so when the log seems further than it has heard."""
    await request.app[BUS].client.publish("hub.heartbeat.log", b'{"epoch":"","position":0}')
    return web.Response(status=200, content_type="application/json")


@routes.patch("/proxy", scopes=("proxy",), body=MovedProxy)
async def move_proxy(request: web.Request) -> web.Response:
    """Takes note that the proxy has moved. JupyterHub forgets where it was, until it is started anew. Here each proxy
    has a proxy-sync of its own, which is told by its environment: so nothing moves, the log says what to do, and all
    routes are compared.
    """
    require(await identify(request), "proxy")
    said = await body_of(request)
    if said is None:
        raise ApiError(400, "need JSON body")
    if not isinstance(said, dict):
        raise ApiError(400, "Request body must be JSON dict")
    typed(said, MovedProxy, "Invalid body")
    log.warning(
        "proxy.not_moved",
        todo="start a proxy-sync with HUBBUB_PROXY_API_URL and CONFIGPROXY_AUTH_TOKEN set to the new proxy's",
    )
    return await _compare_all(request)


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
