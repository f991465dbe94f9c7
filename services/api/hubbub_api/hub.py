"""The hub itself: version, info, health, routes of the proxy, shutdown."""

import asyncio
import sys
from typing import Any

import msgspec
from aiohttp import web

from hubbub import JUPYTERHUB_VERSION, __version__
from hubbub.domain.message import Json
from hubbub.domain.names import prefix
from hubbub.web.request import GATE, ApiError, identify, require
from hubbub_api.answers import answer, asked, page_of, stamp
from hubbub_api.endpoint import Endpoints
from hubbub_api.keys import BUS, ENDING, POOL, STOPPING
from hubbub_api.schemas import Paging
from hubbub_api.shutdown import stop_everything

routes = Endpoints("hub")


class Version(msgspec.Struct):
    version: str


class Plugin(msgspec.Struct):
    class_: str = msgspec.field(name="class")
    version: str


class Info(msgspec.Struct):
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


class Shutdown(msgspec.Struct, kw_only=True):
    """Whether to stop the servers, and the proxy, too; unless told, as the configuration says."""

    servers: bool | None = None
    proxy: bool | None = None


class Said(msgspec.Struct):
    message: str


@routes.get("/", open=True, answers={200: Version})
@routes.get("", open=True, answers={200: Version})
async def version(request: web.Request) -> web.Response:
    return answer(Version(JUPYTERHUB_VERSION), headers={"Access-Control-Allow-Origin": "*"})


@routes.get("/info", scopes=("read:hub",), answers={200: Info})
async def info(request: web.Request) -> web.Response:
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


def _name(kind: Any) -> str:
    return f"{kind.__module__}.{kind.__qualname__}" if isinstance(kind, type) else str(kind)


@routes.route("HEAD", "/health", open=True, content="text/html")
@routes.get("/health", open=True, content="text/html")
async def health(request: web.Request) -> web.Response:
    """200 while the process can answer at all; touches nothing else."""
    return web.Response(content_type="text/html")


@routes.get("/proxy", scopes=("proxy",), query=Paging, answers={200: dict[str, Route]})
async def proxy_routes(request: web.Request) -> web.Response:
    require(await identify(request), "proxy")
    page = page_of(request)
    rows = await request.app[POOL].fetch(
        """select r.server, min(r.target) as target, min(u.name) as owner, min(s.name) as name,
                  min(s.prefix) as prefix, max(a.at) as last_activity, count(*) over () as total
           from routes r left join servers s on s.id = r.server left join users u on u.id = s.user_id
           left join activity a on a.subject = 'server:' || r.server
           group by r.server order by min(r.number) limit $1 offset $2""",
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
        name = row["server"].removeprefix("service:")
        return f"{base_url}services/{name}/", {"service": name}
    if row["owner"] is None:
        return f"{base_url}unknown/{row['server']}/", {"server": row["server"]}
    spec = row["prefix"] or prefix(base_url, row["owner"], row["name"])
    return spec, {"user": row["owner"], "server_name": row["name"]}


@routes.post("/proxy", scopes=("proxy",))
async def check_routes(request: web.Request) -> web.Response:
    """Have every proxy-sync compare everything now: they do when the log seems further than they heard."""
    require(await identify(request), "proxy")
    await request.app[BUS].client.publish("hub.heartbeat.log", b'{"epoch":"","position":0}')
    return web.Response(status=200)


@routes.post("/shutdown", scopes=("shutdown",), body=Shutdown, answers={202: Said})
async def shutdown(request: web.Request) -> web.Response:
    """End this process, after the servers if `servers` (default: c.JupyterHub.cleanup_servers) says so.

    Whoever supervises the house takes our exit status (`hubbub.settings.SHUT_DOWN`) for the order to end
    all of it.
    """
    identity = require(await identify(request), "shutdown")
    body = await asked(request, Shutdown)
    servers = request.app[GATE].options.cleanup_servers if body.servers is None else body.servers

    async def end() -> None:
        if servers:
            await stop_everything(request.app, identity.actor)
        request.app[STOPPING].set()

    request.app[ENDING].append(asyncio.get_running_loop().create_task(end()))
    return answer(Said("Shutting down Hub"), 202)


async def unknown(request: web.Request) -> web.Response:
    raise ApiError(404)
