"""GET /users/{user}/server/end: when it will be stopped, and why; POST .../keep: somebody is there all the same."""

import msgspec
from aiohttp import web

from hubbub.cull import Terms
from hubbub.web.request import GATE, ApiError, identify, require
from hubbub_api import cull_endings
from hubbub_api.answers import answer, stamp
from hubbub_api.endings import endings
from hubbub_api.endpoint import Endpoints
from hubbub_api.keys import ACTIVITIES, POOL
from hubbub_api.rows import ServerRow
from hubbub_api.schemas import Stamp
from hubbub_api.user_servers import DEFAULT, NAMED, find, target

routes = Endpoints("servers")

_EVERYBODY = Terms()


class ServerEnd(msgspec.Struct, kw_only=True):
    """`at`: when it will be stopped if nothing changes, null for never; `message`: why. `keeps`: whether being there
    puts it off. `idle`, `longest`, `warn`: what `c.Hubbub.cull` says of it, in seconds, 0 for never; `rule`: the place
    of the rule that does. `waits_for`: why it goes on although its time is up.
    """

    at: Stamp | None
    message: str
    keeps: bool
    last_activity: Stamp | None
    idle: float
    longest: float
    warn: float
    rule: int | None
    waits_for: str | None


@routes.get(f"{DEFAULT}/end", scopes=("read:servers",), answers={200: ServerEnd})
@routes.get(f"{NAMED}/end", scopes=("read:servers",), answers={200: ServerEnd})
async def show(request: web.Request) -> web.Response:
    """Tells when a server will be stopped, and why."""
    owner, name = target(request)
    require(await identify(request), "read:servers", user=owner, server=name)
    server = await find(request, owner, name)
    return answer(await end_of(request, server))


@routes.post(f"{DEFAULT}/keep", scopes=("users:activity",), answers={200: ServerEnd})
@routes.post(f"{NAMED}/keep", scopes=("users:activity",), answers={200: ServerEnd})
async def keep(request: web.Request) -> web.Response:
    """Counts as somebody being there now. A server that may not run for longer is stopped all the same."""
    owner, name = target(request)
    require(await identify(request), "users:activity", user=owner)
    server = await find(request, owner, name)
    if not server.ready:
        raise ApiError(400, f"{server.owner}:{server.name} is not running" if name else f"{owner} is not running")
    await is_there(request.app, server)
    return answer(await end_of(request, server))


async def is_there(app: web.Application, server: ServerRow) -> None:
    """Somebody has said that they need it; every api knows it when this returns."""
    activities = app[ACTIVITIES]
    activities.heard(f"server:{server.id}")
    await activities.write()


async def end_of(request: web.Request, server: ServerRow) -> ServerEnd:
    app, options = request.app, request.app[GATE].options
    found = await cull_endings.endings(app[POOL], options, app[ACTIVITIES], [server.id])
    culled = found.get(server.id)
    notice = (await endings(app, [server])).get(server.id)
    terms = culled.terms if culled else _EVERYBODY
    return ServerEnd(
        at=stamp(notice.deadline) if notice else None,
        message=notice.message if notice else "",
        keeps=notice.keeps if notice else False,
        last_activity=stamp(culled.heard) if culled else None,
        idle=terms.idle,
        longest=terms.longest,
        warn=terms.warn,
        rule=terms.rule,
        waits_for=(culled.waits_for or None) if culled else None,
    )
