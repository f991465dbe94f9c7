"""The admin room's frame: who may enter, its places, and a page of it."""

from functools import wraps
from typing import Any

from aiohttp import web

from hubbub.access import Identity
from hubbub.web.pages import Link, render
from hubbub.web.request import Handler, require
from hubbub_api.pages.asking import PersonHandler, logged_in, prefix_of
from hubbub_api.pages.spans import ago, clock, span

#: What there is, in order: title and address below `/hub/admin`.
PLACES = (
    ("Overview", ""),
    ("People", "/users"),
    ("Groups", "/groups"),
    ("Roles", "/roles"),
    ("Services", "/services"),
    ("Workers", "/workers"),
    ("Queue", "/queue"),
    ("Starts", "/starts"),
    ("Usage", "/usage"),
    ("Routes", "/routes"),
    ("Stuck", "/stuck"),
    ("Events", "/events"),
    ("The past", "/past"),
    ("House", "/house"),
)


def operator(handler: PersonHandler) -> Handler:
    """A page of the admin room: for those with the scope `admin-ui`."""

    @wraps(handler)
    async def guarded(request: web.Request, identity: Identity) -> web.StreamResponse:
        return await handler(request, require(identity, "admin-ui"))

    return logged_in(guarded)


def page(
    request: web.Request, identity: Identity, template: str, place: str, *, status: int = 200, **names: Any
) -> web.Response:
    """A page of the room. *template*: in `templates/admin/`; *place*: its address, as `PLACES` has it. *names* may have
    `follow`, the query of `/hub/api/events` whose events make the live parts look again, if
    who looks may hear of all events.
    """
    if not identity.may("read:events"):
        names.pop("follow", None)
    base = f"{prefix_of(request)}admin"
    places = [Link(title, base + address, here=address == place) for title, address in PLACES]
    words = {"ago": ago, "clock": clock, "span": span}
    return render(request, f"admin/{template}", identity, status=status, places=places, admin=base, **words, **names)
