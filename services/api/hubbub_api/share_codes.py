"""Codes to accept a share with: GET /share-codes/{owner}; GET, POST, DELETE /share-codes/{owner}/{server}."""

import secrets
from datetime import timedelta
from typing import Annotated
from uuid import uuid4

from aiohttp import web
from msgspec import Meta, Struct

from hubbub.domain.share_code import IssueShareCode, RevokeShareCode
from hubbub.tokens import token_hash
from hubbub.transaction import Transaction
from hubbub.views import SERVERS, SHARE_CODES
from hubbub.web.request import GATE, ApiError, identify, require
from hubbub_api import share_models
from hubbub_api.answers import answer, asked, page_of, query_of, typed
from hubbub_api.commit import commit
from hubbub_api.endpoint import Endpoints
from hubbub_api.keys import VIEWS
from hubbub_api.removal import end_all
from hubbub_api.schemas import Paged, Paging
from hubbub_api.share_models import NewShareCode, ShareCode
from hubbub_api.sharing import DEFAULT_SCOPES, OF_SERVER, check_held, find_place, names_of, target
from hubbub_api.users import find_user
from hubbub_api.views import Views

routes = Endpoints("share-codes")

DAY = 24 * 3600
Seconds = Annotated[int, Meta(ge=60, le=365 * DAY)]
#: A code has 43 characters; nothing longer is worth hashing.
LONGEST_CODE = 64


class CodeAsked(Struct, kw_only=True):
    """`scopes`: as for shares (default: `access:servers`). `expires_in` is in seconds; digits in a string will do."""

    scopes: list[str] | None = None
    expires_in: Seconds | Annotated[str, Meta(pattern="^[0-9]{2,8}$")] = DAY


class WhichCode(Struct, kw_only=True):
    """The code itself, or its `id`; neither: all of them."""

    code: Annotated[str, Meta(description="The code itself.")] = ""
    id: Annotated[str, Meta(description="Its `id`. With neither, all codes of the server are revoked.")] = ""


@routes.get("/share-codes/{owner}", scopes=("read:shares",), query=Paging, answers={200: Paged[list[ShareCode]]})
async def of_owner(request: web.Request) -> web.Response:
    """Lists the codes for all servers of a user that have not expired. Always in the envelope of pages."""
    name = request.match_info["owner"]
    require(await identify(request), "read:shares", user=name)
    return await _listing(request, share_models.CODES_OF_OWNER, (await find_user(request, name)).id)


@routes.get(f"/share-codes{OF_SERVER}", scopes=("read:shares",), query=Paging, answers={200: Paged[list[ShareCode]]})
async def of_server(request: web.Request) -> web.Response:
    """Lists the codes for a server that have not expired. Always in the envelope of pages."""
    owner, name = target(request)
    require(await identify(request), "read:shares", user=owner, server=name)
    return await _listing(request, share_models.CODES_OF_SERVER, (await find_place(request, owner, name)).id)


async def _listing(request: web.Request, which: str, id: str) -> web.Response:
    page = page_of(request, always=True)
    options = request.app[GATE].options
    return page.answer(request, *await share_models.codes(request.app[VIEWS], options, which, id, page))


@routes.post(f"/share-codes{OF_SERVER}", scopes=("shares",), body=CodeAsked, answers={200: NewShareCode})
async def create(request: web.Request) -> web.Response:
    """Makes a code that anybody who has it may accept a share with, until it expires.

    This answer is the only place where it can ever be read. Who asks must themselves hold all that it grants.
    """
    owner, name = target(request)
    identity = require(await identify(request), "shares", user=owner, server=name)
    body = await asked(request, CodeAsked)
    seconds = typed(int(body.expires_in), Seconds, "expires_in")
    scopes = names_of(request, body.scopes, owner, name) or DEFAULT_SCOPES
    check_held(identity, scopes, owner, name)
    place = await find_place(request, owner, name)
    id, code = uuid4().hex, secrets.token_urlsafe(32)
    hashed = token_hash(code)

    async def issue(tx: Transaction) -> None:
        server = await place.settle(tx, request)
        expires_at = tx.now + timedelta(seconds=seconds)
        command = IssueShareCode(server=server, hash=hashed, scopes=scopes, expires_at=expires_at)
        await tx.act(SHARE_CODES, id, command)

    async def render(views: Views, _: None) -> web.Response:
        row = await share_models.code_row(views, hashed)
        if row is None:
            raise ApiError(404, "It was revoked meanwhile")
        return answer(share_models.new_code_model(request.app[GATE].options, row, code))

    return await commit(request, identity, issue, render, [(SERVERS, place.id), (SHARE_CODES, id)])


@routes.delete(f"/share-codes{OF_SERVER}", scopes=("shares",), query=WhichCode, answers={204: None})
async def revoke(request: web.Request) -> web.Response:
    """Revokes one code, or all of the server; what was accepted with them stays shared."""
    owner, name = target(request)
    identity = require(await identify(request), "shares", user=owner, server=name)
    which = query_of(request, WhichCode)
    place = await find_place(request, owner, name)

    async def void(tx: Transaction) -> None:
        if which.code or which.id:
            await tx.act(SHARE_CODES, await _find(tx, place.id, which), RevokeShareCode())
        else:
            await end_all(tx, SHARE_CODES, "server", place.id, RevokeShareCode())

    async def render(_: Views, __: None) -> web.Response:
        return web.Response(status=204)

    return await commit(request, identity, void, render)


async def _find(tx: Transaction, server: str, which: WhichCode) -> str:
    """The id of the stream of one code of the server."""
    if which.code:
        refusal = ApiError(404, "No matching code found")
        if len(which.code) > LONGEST_CODE:
            raise refusal
        rows = await tx.fetch(
            "select id from share_codes where server = $1 and hash = $2", server, token_hash(which.code)
        )
    else:
        refusal = ApiError(404, f"No code found matching id={which.id[:50]}")
        number = which.id.removeprefix("sc_")
        if number == which.id or not (number.isascii() and number.isdecimal()) or len(number) > 18:
            raise refusal
        rows = await tx.fetch("select id from share_codes where server = $1 and number = $2", server, int(number))
    if not rows:
        raise refusal
    return str(rows[0]["id"])
