"""What hangs on every page of the api: the links of whoever is logged in, and what the operator has to say."""

from typing import Any

from aiohttp import web

from hubbub.access import Identity
from hubbub.web.pages import navigation
from hubbub_api.keys import FOLLOWER, HOUSE

#: How far the log was known when the request came in: what a page is made of is not older.
HEAD = web.RequestKey("head", int)


def begin(request: web.Request) -> None:
    """Call this before anything is read for the page."""
    if (position := request.app[FOLLOWER].position) >= 0:  # which it is not before the log was first seen
        request[HEAD] = position


def furniture(request: web.Request, identity: Identity | None) -> dict[str, Any]:
    head = request.get(HEAD)
    return {"banner": request.app[HOUSE].banner(), "nav": navigation(request, identity), "head": head}
