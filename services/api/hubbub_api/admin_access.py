"""POST /users/{user}/admin-access: what clients of old ask for before an administrator visits somebody's server."""

import structlog
from aiohttp import web

from hubbub.web.request import GATE, ApiError, identify, require
from hubbub_api.endpoint import Endpoints
from hubbub_api.users import find_user

log = structlog.get_logger()

routes = Endpoints("users")


@routes.post("/users/{user}/admin-access", scopes=("servers",), deprecated=True)
async def allow(request: web.Request) -> web.Response:
    """Changes nothing: `access:servers` settles who may visit a server. 403 without `c.JupyterHub.admin_access`."""
    name = request.match_info["user"]
    identity = require(await identify(request), "servers", user=name)
    log.warning("admin_access.deprecated", actor=identity.actor)
    if not request.app[GATE].options.hub.admin_access:
        raise ApiError(403, "admin access to user servers disabled")
    await find_user(request, name)
    return web.Response(status=200, content_type="application/json")
