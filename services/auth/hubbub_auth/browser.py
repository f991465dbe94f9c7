"""The browser behind a request: how its address bar reads, and what it is sent back with."""

from typing import Any

from aiohttp import web
from aiohttp.web_request import FileField
from multidict import MultiDictProxy

from hubbub.access import Identity
from hubbub.config import Options
from hubbub.web import cookies, xsrf
from hubbub.web.request import GATE, client_address
from hubbub_auth.front import Refused

NO_STORE = {"Cache-Control": "no-store"}


def protocol(request: web.Request, options: Options) -> str:
    """`http` or `https`, as the browser sees it; proxies append, so the first word is the outermost's."""
    if options.hub.public_url:
        return options.hub.public_url.partition(":")[0].lower()
    forwarded = request.headers.get("X-Forwarded-Proto", "").partition(",")[0].strip().lower()
    return forwarded if forwarded in ("http", "https") else request.scheme


def host(request: web.Request, options: Options) -> str:
    if options.hub.public_url:
        return options.hub.public_url.partition("//")[2].partition("/")[0]
    return request.host


def go(location: str) -> web.Response:
    """A redirect to *location*, to the letter."""
    return web.Response(status=302, headers={"Location": location, **NO_STORE})


async def form(request: web.Request) -> "MultiDictProxy[str | bytes | bytearray | FileField]":
    """The fields that came with a request. Raises `Refused` if they cannot be read."""
    try:
        return await request.post()
    except (ValueError, LookupError) as error:
        raise Refused(400, "The form cannot be read.") from error


def _cookie_options(request: web.Request) -> dict[str, Any]:
    gate = request.app[GATE]
    return {"secure": protocol(request, gate.options) == "https", "samesite": "Lax"}


def keep_logged_in(
    request: web.Request, response: web.StreamResponse, *, secret: str, session: str, hashed: str
) -> None:
    """Give the browser its new session, and the XSRF token that goes with it."""
    gate = request.app[GATE]
    options = gate.options
    common = _cookie_options(request)
    cookies.set_login(
        response,
        gate.cookie_secret,
        secret,
        session,
        hub_prefix=options.hub_prefix,
        base_url=options.base_url,
        secure=common["secure"],
    )
    bound = xsrf.bound_to(session, hashed, client_address(request), request.headers.get("User-Agent", ""))
    response.set_cookie(xsrf.COOKIE, xsrf.make(gate.cookie_secret, bound), path=options.hub_prefix, **common)


def remind(request: web.Request, response: web.StreamResponse, identity: Identity) -> None:
    """Set the session's id again if the browser has lost it, as it does when it is closed.

    Servers remember a login together with this id: without it they would not notice the log-out at once.
    """
    if request.cookies.get(cookies.SESSION_ID) != identity.session:
        path = request.app[GATE].options.base_url
        response.set_cookie(cookies.SESSION_ID, identity.session, path=path, httponly=True, **_cookie_options(request))
