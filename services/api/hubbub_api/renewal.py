"""Before a server starts or stops, with `refresh_pre_spawn` and `refresh_pre_stop`: does its owner's login still hold?

What the authenticator says then is what hooks and the spawner find in the auth state (JupyterHub, `refresh_auth`).
"""

from aiohttp import web

from hubbub.access import Identity
from hubbub.web.freshness import Freshness
from hubbub.web.request import GATE, ApiError
from hubbub_api.keys import VIEWS
from hubbub_api.rows import ServerRow, UserRow


async def before_start(request: web.Request, asker: Identity, owner: UserRow) -> UserRow:
    """The *owner*, whose groups may be others by now. Raises ApiError if they have to log in again."""
    freshness = _asked(request)
    if freshness is None or not freshness.policy.refresh_pre_spawn:
        return owner
    if not await freshness.lets_act(asker, owner.id):
        raise _expired(owner.name)
    return await request.app[VIEWS].user(owner.name) or owner


async def before_stop(request: web.Request, asker: Identity, server: ServerRow) -> None:
    """Raises ApiError if the owner asks and has to log in again. Others who may stop it are not kept from that."""
    freshness = _asked(request)
    if freshness is None or not freshness.policy.refresh_pre_stop:
        return
    lets_act = await freshness.lets_act(asker, server.user_id)
    if not lets_act and asker.kind == "user" and asker.id == server.user_id:
        raise _expired(server.owner)


def _asked(request: web.Request) -> Freshness | None:
    freshness = request.app[GATE].freshness
    return freshness if freshness is not None and freshness.policy.refreshes else None


def _expired(name: str) -> ApiError:
    return ApiError(403, f"auth has expired for {name}, login again")
