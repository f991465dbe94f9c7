"""What is shared with somebody: GET /users/{user}/shared, GET /groups/{group}/shared; GET, DELETE one of them."""

from aiohttp import web

from hubbub.access import Identity
from hubbub.domain.message import NotFound
from hubbub.domain.names import full_name
from hubbub.domain.share import RevokeShare, share_id
from hubbub.transaction import Transaction
from hubbub.views import SHARES
from hubbub.web.request import GATE, ApiError, identify, require
from hubbub_api import share_models
from hubbub_api.answers import answer, page_of
from hubbub_api.commit import commit
from hubbub_api.endpoint import Endpoints
from hubbub_api.keys import VIEWS
from hubbub_api.schemas import Paged, Paging
from hubbub_api.share_models import Share
from hubbub_api.views import Views

routes = Endpoints("shares")

ONE = "/shared/{owner}/{server:[^/]*}"


@routes.get("/users/{user}/shared", scopes=("read:users:shares",), query=Paging, answers={200: Paged[list[Share]]})
async def with_user(request: web.Request) -> web.Response:
    """Lists what is shared with a user, and with the groups they are in. Always in the envelope of pages."""
    name = request.match_info["user"]
    require(await identify(request), "read:users:shares", user=name)
    return await _listing(request, share_models.OF_USER, await _user(request, name))


@routes.get("/groups/{group}/shared", scopes=("read:groups:shares",), query=Paging, answers={200: Paged[list[Share]]})
async def with_group(request: web.Request) -> web.Response:
    """Lists what is shared with a group. Always in the envelope of pages."""
    name = request.match_info["group"]
    require(await identify(request), "read:groups:shares", group=name)
    return await _listing(request, share_models.OF_GROUP, await _group(request, name))


@routes.get(f"/users/{{user}}{ONE}", scopes=("read:users:shares",), answers={200: Share})
async def show_to_user(request: web.Request) -> web.Response:
    """Shows what is shared of one server with the user themselves, not by way of a group."""
    name = request.match_info["user"]
    require(await identify(request), "read:users:shares", user=name)
    return await _show(request, await _user(request, name), f"user {name}")


@routes.get(f"/groups/{{group}}{ONE}", scopes=("read:groups:shares",), answers={200: Share})
async def show_to_group(request: web.Request) -> web.Response:
    """Shows what is shared of one server with a group."""
    name = request.match_info["group"]
    require(await identify(request), "read:groups:shares", group=name)
    return await _show(request, await _group(request, name), f"group {name}")


@routes.delete(f"/users/{{user}}{ONE}", scopes=("users:shares",), answers={204: None})
async def user_leaves(request: web.Request) -> web.Response:
    """Gives up what is shared with the user themselves; what their groups have stays."""
    name = request.match_info["user"]
    identity = require(await identify(request), "users:shares", user=name)
    return await _leave(request, identity, await _user(request, name), f"user {name}")


@routes.delete(f"/groups/{{group}}{ONE}", scopes=("groups:shares",), answers={204: None})
async def group_leaves(request: web.Request) -> web.Response:
    """Gives up what is shared with the group."""
    name = request.match_info["group"]
    identity = require(await identify(request), "groups:shares", group=name)
    return await _leave(request, identity, await _group(request, name), f"group {name}")


async def _user(request: web.Request, name: str) -> str:
    """Their id."""
    return await _id(request, "users", name, f"No such user: {name}")


async def _group(request: web.Request, name: str) -> str:
    """Its id."""
    return await _id(request, "groups", name, f"No such group: {name}")


async def _id(request: web.Request, table: str, name: str, refusal: str) -> str:
    row = await request.app[VIEWS].row(f"select id from {table} where name = $1", name)
    if row is None:
        raise ApiError(404, refusal)
    return str(row["id"])


async def _listing(request: web.Request, which: str, id: str) -> web.Response:
    page = page_of(request, always=True)
    options = request.app[GATE].options
    return page.answer(request, *await share_models.shares(request.app[VIEWS], options, which, id, page))


async def _share_id(request: web.Request, holder: str, whose: str) -> str:
    """Where a share of the server with *holder* (an id) is, if there is one. 404 if there is no such server."""
    server = await request.app[VIEWS].server(request.match_info["owner"], request.match_info["server"])
    if server is None:
        raise _no_share(request, whose)
    return share_id(server.id, holder)


async def _show(request: web.Request, holder: str, whose: str) -> web.Response:
    id = await _share_id(request, holder, whose)
    model = await share_models.share_by_id(request.app[VIEWS], request.app[GATE].options, id)
    if model is None:
        raise _no_share(request, whose)
    return answer(model)


async def _leave(request: web.Request, identity: Identity, holder: str, whose: str) -> web.Response:
    id = await _share_id(request, holder, whose)

    async def leave(tx: Transaction) -> None:
        if await tx.state(SHARES, id) == SHARES.decider.initial:
            raise _no_share(request, whose)
        await tx.act(SHARES, id, RevokeShare(reason="left"))

    async def render(_: Views, __: None) -> web.Response:
        return web.Response(status=204)

    return await commit(request, identity, leave, render, [(SHARES, id)])


def _no_share(request: web.Request, whose: str) -> NotFound:
    server = full_name(request.match_info["owner"], request.match_info["server"])
    return NotFound(f"No such share for {whose} on {server}")
