"""The page behind a share code: what somebody shares with whoever opens it, and the button that accepts it.

The code is a secret that stands in an address: this page tells it to nobody (see `_page`), and no log has it.
"""

import asyncpg
from aiohttp import web

from hubbub.access import Identity
from hubbub.domain.message import NotFound
from hubbub.domain.share import ShareServer, share_id
from hubbub.domain.share_code import UseShareCode
from hubbub.eventlog import Context
from hubbub.tokens import token_hash
from hubbub.transaction import Transaction
from hubbub.views import SHARE_CODES, SHARES, USERS
from hubbub.web.next_url import asked_for, with_query
from hubbub.web.pages import render
from hubbub.web.posted import posted
from hubbub.web.request import GATE, ApiError, redirect
from hubbub_api.keys import COMMITTER, VIEWS
from hubbub_api.pages.asking import logged_in, prefix_of
from hubbub_api.pages.card import Card, card
from hubbub_api.pages.sharing import in_words
from hubbub_api.share_codes import LONGEST_CODE
from hubbub_api.share_models import code_row, state_of_code

UNKNOWN = "There is no such invitation, or it has expired. Ask whoever sent it for another."
OWN = "This is an invitation to your own server; it is for others."


def routes(prefix: str) -> list[web.RouteDef]:
    return [web.get(f"{prefix}accept-share", show), web.post(f"{prefix}accept-share", accept)]


@logged_in
async def show(request: web.Request, identity: Identity) -> web.StreamResponse:
    code = request.query.get("code", "")
    row = await _find(request, identity, code, unknown=404, own=403)
    return await _page(request, identity, row, code)


@logged_in
async def accept(request: web.Request, identity: Identity) -> web.StreamResponse:
    given = (await posted(request)).get("code", request.query.get("code"))
    row = await _find(request, identity, given if isinstance(given, str) else "", unknown=400, own=400)
    id = share_id(row["server"], identity.id)

    async def exchange(tx: Transaction) -> None:
        """Both or neither: a code counts every share that was made with it."""
        if await tx.state(USERS, identity.id) == USERS.decider.initial:
            raise NotFound("Somebody has deleted you meanwhile")
        await tx.act(SHARE_CODES, row["id"], UseShareCode(user=identity.id, at=tx.now))
        scopes = state_of_code(row).scopes
        await tx.act(SHARES, id, ShareServer(server=row["server"], user=identity.id, scopes=scopes, at=tx.now))

    reads = [(USERS, identity.id), (SHARE_CODES, row["id"]), (SHARES, id)]
    try:
        await request.app[COMMITTER].submit(exchange, Context.of(identity.actor), reads)
    except NotFound:
        raise ApiError(400, UNKNOWN) from None
    redirect(asked_for(request) or (await _server(request, identity, row)).url)


async def _find(request: web.Request, identity: Identity, code: str, *, unknown: int, own: int) -> asyncpg.Record:
    """The share code; raises an error with one of the statuses given if it is not for this person to accept."""
    row = await code_row(request.app[VIEWS], token_hash(code)) if 0 < len(code) <= LONGEST_CODE else None
    if row is None:
        raise ApiError(unknown, UNKNOWN)
    if row["owner_id"] == identity.id:
        raise ApiError(own, OWN)
    return row


async def _server(request: web.Request, identity: Identity, row: asyncpg.Record) -> Card:
    server = await request.app[VIEWS].server_by_id(row["server"])
    return card(server, row["owner"], row["name"], request.app[GATE].options, viewer=identity.name)


async def _page(request: web.Request, identity: Identity, row: asyncpg.Record, code: str) -> web.Response:
    """Sent on from here, a browser does not say where it was."""
    tree = request.app[GATE].access.roles.tree
    scopes = state_of_code(row).scopes
    wish, server = asked_for(request), await _server(request, identity, row)
    page = render(
        request,
        "accept_share.html",
        identity,
        server=server,
        owner=row["owner"],
        may=in_words(scopes, tree),
        waits=server.state != "running" and "start:servers" not in tree.expand(scopes),
        action=with_query(f"{prefix_of(request)}accept-share", *([("next", wish)] if wish else [])),
        code=code,
        then=wish or server.url,
    )
    page.headers["Referrer-Policy"] = "no-referrer"
    return page
