"""The hub itself: version, info, health, routes of the proxy, shutdown."""

import asyncio
import sys
from typing import Any

from aiohttp import web

from hubbub import JUPYTERHUB_VERSION, __version__
from hubbub.domain.names import prefix
from hubbub.web.request import GATE, ApiError, identify, require
from hubbub_api.answers import answer, object_of, page_of, stamp, typed
from hubbub_api.keys import BUS, ENDING, POOL, STOPPING
from hubbub_api.shutdown import stop_everything

routes = web.RouteTableDef()


@routes.get("/")
@routes.get("")
async def version(request: web.Request) -> web.Response:
    return answer({"version": JUPYTERHUB_VERSION}, headers={"Access-Control-Allow-Origin": "*"})


@routes.get("/info")
async def info(request: web.Request) -> web.Response:
    require(await identify(request), "read:hub")
    hub = request.app[GATE].options.hub
    return answer(
        {
            "version": JUPYTERHUB_VERSION,
            "python": sys.version,
            "sys_executable": sys.executable,
            "spawner": {"class": _name(hub.spawner_class), "version": __version__},
            "authenticator": {"class": _name(hub.authenticator_class), "version": __version__},
        }
    )


def _name(kind: Any) -> str:
    return f"{kind.__module__}.{kind.__qualname__}" if isinstance(kind, type) else str(kind)


@routes.get("/health", allow_head=True)
async def health(request: web.Request) -> web.Response:
    """200 while the process can answer at all; touches nothing else."""
    return web.Response(content_type="text/html")


@routes.get("/proxy")
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
    found: dict[str, Any] = {}
    for row in rows:
        spec, data = _route(base_url, row)
        if row["last_activity"]:
            data["last_activity"] = stamp(row["last_activity"])
        found[spec] = {"routespec": spec, "target": row["target"], "data": data}
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


@routes.post("/proxy")
async def check_routes(request: web.Request) -> web.Response:
    """Have every proxy-sync compare everything now: they do when the log seems further than they heard."""
    require(await identify(request), "proxy")
    await request.app[BUS].client.publish("hub.heartbeat.log", b'{"epoch":"","position":0}')
    return web.Response(status=200)


@routes.post("/shutdown")
async def shutdown(request: web.Request) -> web.Response:
    """End this process, after the servers if `servers` (default: c.JupyterHub.cleanup_servers) says so.

    Whoever supervises the house takes our exit status (`hubbub.settings.SHUT_DOWN`) for the order to end
    all of it.
    """
    identity = require(await identify(request), "shutdown")
    body = await object_of(request)
    options = request.app[GATE].options
    servers = typed(body.get("servers", options.cleanup_servers), bool, "servers")
    typed(body.get("proxy", options.cleanup_proxy), bool, "proxy")

    async def end() -> None:
        if servers:
            await stop_everything(request.app, identity.actor)
        request.app[STOPPING].set()

    request.app[ENDING].append(asyncio.get_running_loop().create_task(end()))
    return answer({"message": "Shutting down Hub"}, 202)


@routes.route("*", "/{rest:.*}")
async def unknown(request: web.Request) -> web.Response:
    raise ApiError(404)
