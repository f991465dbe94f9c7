"""The browser behind a request: what it sends, and what it is sent back with."""

import structlog
from aiohttp import web

from hubbub.access import Identity
from hubbub.forwarded import without_port
from hubbub.web import cookies, xsrf
from hubbub.web.posted import Posted, UnreadableForm, posted
from hubbub.web.request import GATE, client_address, cookie_options, host_asked_for
from hubbub_auth import device
from hubbub_auth.front import Refused

log = structlog.get_logger()

NO_STORE = {"Cache-Control": "no-store"}


def go(location: str) -> web.Response:
    """A redirect to *location*, to the letter."""
    return web.Response(status=302, headers={"Location": location, **NO_STORE})


async def form(request: web.Request) -> Posted:
    """The fields that came with a request. Raises `Refused` if they cannot be read."""
    try:
        return await posted(request)
    except UnreadableForm as error:
        raise Refused(400, "The form cannot be read.") from error


def keep_logged_in(
    request: web.Request, response: web.StreamResponse, *, secret: str, session: str, hashed: str
) -> None:
    """Give the browser its new session, and the XSRF token that goes with it."""
    gate = request.app[GATE]
    options, common = gate.options, cookie_options(request)
    host = without_port(host_asked_for(request))
    if options.hosts.routing and not options.hosts.is_ours(host):  # its browser does not take what is for our domain
        log.warning("auth.wrong_host", host=host, domain=options.hosts.domain)
    cookies.set_login(response, gate.cookie_secret, options, secret=secret, session=session, **common)
    bound = xsrf.bound_to(session, hashed, client_address(request), request.headers.get("User-Agent", ""))
    response.set_cookie(xsrf.COOKIE, xsrf.make(gate.cookie_secret, bound), path=options.hub_prefix, **common)


def remind(request: web.Request, response: web.StreamResponse, identity: Identity) -> None:
    """Set the session's id again if the browser has lost it, as it does when it is closed.

    Servers remember a login together with this id: without it they would not notice the log-out at once.
    """
    if request.cookies.get(cookies.SESSION_ID) != identity.session:
        cookies.set_session(response, request.app[GATE].options, identity.session, **cookie_options(request))


def recognize(request: web.Request, response: web.StreamResponse, name: str) -> None:
    """Let the browser be known by the next time: *name* has just been logged in by (see `hubbub_auth.device`)."""
    gate = request.app[GATE]
    value = device.remembered(gate.cookie_secret, known_by(request), name)
    common = {**cookie_options(request), **cookies.place(gate.options)}
    cookie, age = cookies.named(gate.options, device.COOKIE), device.DAYS * 86_400
    response.set_cookie(cookie, value, max_age=age, httponly=True, **common)


def known_by(request: web.Request) -> str:
    """What `recognize` has given to the browser before; empty if nothing."""
    return request.cookies.get(cookies.named(request.app[GATE].options, device.COOKIE), "")
