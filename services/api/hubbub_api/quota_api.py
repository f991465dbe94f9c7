"""GET /users/{user}/quota: what somebody may use, and what is left of it. JupyterHub has no such thing."""

from datetime import timedelta

import msgspec
from aiohttp import web

from hubbub.web.request import GATE, identify, require
from hubbub_api import quotas
from hubbub_api.answers import answer, stamp
from hubbub_api.endpoint import Endpoints
from hubbub_api.keys import POOL
from hubbub_api.quotas import Use
from hubbub_api.schemas import Stamp
from hubbub_api.users import find_user

routes = Endpoints("users")
SCOPE = "read:servers"


class ServersLeft(msgspec.Struct, kw_only=True):
    """Servers at once: those that are not stopped count."""

    limit: int
    used: int
    left: int


class HoursLeft(msgspec.Struct, kw_only=True):
    """Server-hours in a period: `per` is `day`, `week` or `month`, or the seconds of one that moves along with the
    time. `until`: when the next one begins; null if it moves. `ends_at`: when they are used up if all that runs goes
    on; null if they are not, in this period.
    """

    limit: float
    used: float
    left: float
    per: str | float
    since: Stamp | None
    until: Stamp | None
    ends_at: Stamp | None


class QuotaModel(msgspec.Struct, kw_only=True):
    """`group`: null: of this user alone; else of all who are in that group together. Null: there is no such limit."""

    group: str | None
    servers: ServersLeft | None
    hours: HoursLeft | None


@routes.get("/users/{user}/quota", scopes=(SCOPE,), answers={200: list[QuotaModel]})
async def show(request: web.Request) -> web.Response:
    """Says what a user may use, and what is left of it: nothing if nothing is limited (`c.Hubbub.quotas`). JupyterHub
    has no such thing.
    """
    name = request.match_info["user"]
    require(await identify(request), SCOPE, user=name)
    user = await find_user(request, name)
    found = await quotas.uses(request.app[POOL], request.app[GATE].options.quotas, user.id, user.name, user.groups)
    return answer([model(use) for use in found])


def model(use: Use) -> QuotaModel:
    quota = use.quota
    return QuotaModel(
        group=quota.group or None,
        servers=ServersLeft(limit=quota.servers, used=use.active, left=max(0, quota.servers - use.active))
        if quota.servers
        else None,
        hours=_hours(use) if quota.hours else None,
    )


def _hours(use: Use) -> HoursLeft:
    hour = timedelta(hours=1)
    return HoursLeft(
        limit=use.quota.hours,
        used=use.time / hour,
        left=use.left / hour,
        per=use.quota.per,
        since=stamp(use.period.since),
        until=stamp(use.period.until),
        ends_at=stamp(use.ends_at),
    )
