"""Servers shared with others: GET /shares/{owner}; GET, POST, PATCH, DELETE /shares/{owner}/{server}."""

from aiohttp import web
from msgspec import Struct

from hubbub.access import Identity
from hubbub.domain.message import Invalid
from hubbub.domain.share import RevokeShare, ShareServer, share_id
from hubbub.transaction import Transaction
from hubbub.views import GROUPS, SERVERS, SHARES, USERS, View
from hubbub.web.request import GATE, ApiError, identify, require
from hubbub_api import share_models
from hubbub_api.answers import Page, answer, asked, page_of
from hubbub_api.commit import commit
from hubbub_api.endpoint import Endpoints
from hubbub_api.keys import VIEWS
from hubbub_api.removal import end_all
from hubbub_api.schemas import Paged, Paging, some_of
from hubbub_api.share_models import Share
from hubbub_api.sharing import DEFAULT_SCOPES, OF_SERVER, check_held, find_place, names_of, target
from hubbub_api.users import find_user
from hubbub_api.views import Views

routes = Endpoints("shares")


class ShareAsked(Struct, kw_only=True):
    """`user` or `group`, not both. `scopes` are those to grant (default: `access:servers`) or to take back
    (default: all); they are about this server alone, whether they say so (`!server=...`) or not.
    """

    user: str | None = None
    group: str | None = None
    scopes: list[str] | None = None


class Gone(Struct):
    """Nothing is left of the share."""


@routes.get("/shares/{owner}", scopes=("read:shares",), query=Paging, answers={200: Paged[list[Share]]})
async def of_owner(request: web.Request) -> web.Response:
    """Lists the shares of all servers of a user. Always in the envelope of pages."""
    name = request.match_info["owner"]
    require(await identify(request), "read:shares", user=name)
    page = page_of(request, always=True)
    owner = await find_user(request, name)
    return page.answer(request, *await _shares(request, share_models.OF_OWNER, owner.id, page))


@routes.get(f"/shares{OF_SERVER}", scopes=("read:shares",), query=Paging, answers={200: Paged[list[Share]]})
async def of_server(request: web.Request) -> web.Response:
    """Lists the shares of a server. Always in the envelope of pages."""
    owner, name = target(request)
    require(await identify(request), "read:shares", user=owner, server=name)
    page = page_of(request, always=True)
    place = await find_place(request, owner, name)
    return page.answer(request, *await _shares(request, share_models.OF_SERVER, place.id, page))


@routes.post(f"/shares{OF_SERVER}", scopes=("shares",), body=some_of(ShareAsked), answers={200: Share})
async def grant(request: web.Request) -> web.Response:
    """Shares the server with a user or a group; one that is shared with them already, with these scopes too.

    Who asks must themselves hold all that they grant, and may know of the user (`read:users:name`) or the group
    (`read:groups:name`).
    """
    owner, name = target(request)
    identity = require(await identify(request), "shares", user=owner, server=name)
    body = await _asked(request)
    scopes = names_of(request, body.scopes, owner, name) or DEFAULT_SCOPES
    place = await find_place(request, owner, name)
    check_held(identity, scopes, owner, name)
    _check_known(identity, body)
    view, holder = await _holder(request, body)
    if holder is None:
        raise _no_such(body)
    whose = {"user" if view is USERS else "group": holder}

    async def share(tx: Transaction) -> str:
        server = await place.settle(tx, request)
        if await tx.state(view, holder) == view.decider.initial:
            raise _no_such(body)
        id = share_id(server, holder)
        await tx.act(SHARES, id, ShareServer(server=server, scopes=scopes, at=tx.now, **whose))
        return id

    async def render(views: Views, id: str) -> web.Response:
        return await _answer(request, views, id)

    reads = [(SERVERS, place.id), (view, holder), (SHARES, share_id(place.id, holder))]
    return await commit(request, identity, share, render, reads)


@routes.patch(f"/shares{OF_SERVER}", scopes=("shares",), body=some_of(ShareAsked), answers={200: Share | Gone})
async def revoke(request: web.Request) -> web.Response:
    """Takes scopes back from one user or group: what is left of their share, `{}` if nothing is."""
    owner, name = target(request)
    identity = require(await identify(request), "shares", user=owner, server=name)
    body = await _asked(request)
    scopes = names_of(request, body.scopes, owner, name, foreign_too=True)
    place = await find_place(request, owner, name)
    _, holder = await _holder(request, body)
    if holder is None:  # then they have nothing, as was asked for
        return answer(Gone())
    id = share_id(place.id, holder)

    async def take_back(tx: Transaction) -> None:
        if scopes or not body.scopes:  # else all were about other servers
            await tx.act(SHARES, id, RevokeShare(scopes=scopes))

    async def render(views: Views, _: None) -> web.Response:
        return await _answer(request, views, id)

    return await commit(request, identity, take_back, render, [(SHARES, id)])


@routes.delete(f"/shares{OF_SERVER}", scopes=("shares",), answers={204: None})
async def revoke_all(request: web.Request) -> web.Response:
    """Shares the server with nobody any more."""
    owner, name = target(request)
    identity = require(await identify(request), "shares", user=owner, server=name)
    place = await find_place(request, owner, name)

    async def take_back(tx: Transaction) -> None:
        await end_all(tx, SHARES, "server", place.id, RevokeShare())

    async def render(_: Views, __: None) -> web.Response:
        return web.Response(status=204)

    return await commit(request, identity, take_back, render)


async def _asked(request: web.Request) -> ShareAsked:
    body = await asked(request, ShareAsked)
    if bool(body.user) == bool(body.group):
        raise ApiError(400, "Specify exactly one of `user` or `group`")
    return body


def _check_known(identity: Identity, body: ShareAsked) -> None:
    """Whoever may not know of somebody does not find out by sharing with them that they exist."""
    if body.user and not identity.may("read:users:name", user=body.user):
        raise ApiError(403, "Need scope 'read:users:name' to share with users by name")
    if body.group and not identity.may("read:groups:name", group=body.group):
        raise ApiError(403, "Need scope 'read:groups:name' to share with groups by name")


async def _holder(request: web.Request, body: ShareAsked) -> tuple[View, str | None]:
    """The view and the id of the user or group that *body* names; None if there is no such."""
    view, name = (USERS, body.user) if body.user else (GROUPS, body.group)
    assert name
    if "\0" in name:  # Postgres cannot even be asked for such a name
        return view, None
    row = await request.app[VIEWS].row(f"select id from {view.table} where name = $1", name)
    return view, row["id"] if row else None


def _no_such(body: ShareAsked) -> Invalid:
    return Invalid(f"No such user: {body.user}" if body.user else f"No such group: {body.group}")


async def _answer(request: web.Request, views: Views, id: str) -> web.Response:
    return answer(await share_models.share_by_id(views, request.app[GATE].options, id) or Gone())


async def _shares(request: web.Request, which: str, id: str, page: Page) -> tuple[list[Share], int]:
    return await share_models.shares(request.app[VIEWS], request.app[GATE].options, which, id, page)
