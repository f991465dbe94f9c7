"""Who asks for a page: somebody who is logged in, else they are sent to do that first."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import TypeAlias

from aiohttp import web

from hubbub.access import Identity
from hubbub.web.next_url import with_query
from hubbub.web.request import GATE, NO_CREDENTIALS, ApiError, Handler, check_xsrf, identify, redirect
from hubbub_api.keys import VIEWS
from hubbub_api.pages.furniture import begin
from hubbub_api.rows import UserRow

PersonHandler: TypeAlias = Callable[[web.Request, Identity], Awaitable[web.StreamResponse]]


def prefix_of(request: web.Request) -> str:
    return request.app[GATE].options.hub_prefix


def to_login(request: web.Request) -> str:
    return with_query(f"{prefix_of(request)}login", ("next", request.rel_url.raw_path_qs))


def logged_in(handler: PersonHandler) -> Handler:
    """A page for people: known by their cookie; what they send must come from a page of ours."""

    @wraps(handler)
    async def guarded(request: web.Request) -> web.StreamResponse:
        begin(request)
        identity = await identify(request, pages=True)
        await check_xsrf(request, identity, is_api=False)
        if identity is None:
            if request.method not in ("GET", "HEAD"):
                raise ApiError(403, NO_CREDENTIALS)
            redirect(to_login(request))
        return await handler(request, identity)

    return guarded


async def owner_of(request: web.Request, identity: Identity) -> UserRow:
    """The person whom the address is about: who asks, unless it names another. Permission comes first."""
    name = request.match_info.get("owner", identity.name)
    owner = await request.app[VIEWS].user(name)
    if owner is None:
        raise ApiError(404, f"No such user: {name}")
    return owner


def hears(identity: Identity, owner: str) -> bool:
    """Whether a page for *identity* is told what happens to *owner* (see `hubbub_api.event_rights`)."""
    return identity.name == owner or identity.may("read:events", user=owner)
