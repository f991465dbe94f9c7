"""One request: who asks, whether it may be forged, and where it came from."""

import hmac
import re
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any, NoReturn

from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from hubbub import JUPYTERHUB_VERSION, forwarded
from hubbub.access import Access, Identity
from hubbub.config import Options
from hubbub.domain import scope
from hubbub.web import cookies, xsrf
from hubbub.web.freshness import Freshness
from hubbub.web.posted import posted

_AUTHORIZATION = re.compile(r"(?:token|bearer)\s+(\S+)\s*", re.IGNORECASE)

NO_CREDENTIALS = "Missing or invalid credentials."
FOREIGN = "The form was not sent by a page of the hub"
NOT_FOUND = "No access to resources or resources not found"


class ApiError(Exception):
    """An answer that says no: `message` null where JupyterHub gives none."""

    def __init__(self, status: int, message: str | None = None, headers: dict[str, str] | None = None) -> None:
        super().__init__(message or f"HTTP {status}")
        self.status = status
        self.message = message
        self.headers = headers or {}


@dataclass(frozen=True)
class Gate:
    """What it takes to know who asks. Made once, passed by hand. `freshness` None: nobody asks again."""

    access: Access
    options: Options
    cookie_secret: bytes
    forward_key: str = ""
    freshness: Freshness | None = None


GATE = web.AppKey("gate", Gate)
IDENTITY: "web.RequestKey[Identity | None]" = web.RequestKey("identity", Identity)
#: Who it was before they had to log in again; of such a request `IDENTITY` is nobody.
STALE = web.RequestKey("stale", Identity)
XSRF = web.RequestKey("xsrf", str)
#: When it arrived, by the monotonic clock.
ARRIVED = web.RequestKey("arrived", float)
#: What every answer to this request carries; for answers that are begun before they are finished.
HEADERS = web.RequestKey("headers", CIMultiDict)


def bearer(request: web.Request) -> str | None:
    """The token of the Authorization header, in the two forms the contract knows."""
    match = _AUTHORIZATION.fullmatch(request.headers.get("Authorization", ""))
    return match[1] if match else None


def client_address(request: web.Request) -> str:
    """Where the browser is: the last hop that the proxies in front of us vouch for, if it is an address."""
    gate = request.app[GATE]
    given = request.headers.get("X-Hubbub-Forward", "").encode(errors="surrogateescape")
    if gate.forward_key and hmac.compare_digest(given, gate.forward_key.encode()):
        return request.headers.get("X-Hubbub-Client", "")
    return forwarded.client(request.headers, request.remote or "", gate.options.trusted_downstream)


def browser_origin(request: web.Request) -> tuple[str, str]:
    """Scheme and host of the hub, with its port if that is not the usual one, as the browser's address bar has them."""
    options = request.app[GATE].options
    if options.hosts.public_origin:
        scheme, _, host = options.hosts.public_origin.partition("://")
        return scheme, host
    return forwarded.scheme(request.headers, request.scheme), host_asked_for(request)


def host_asked_for(request: web.Request) -> str:
    """The host that the browser has sent its request to: the hub's, or one of its subdomains, with the port."""
    return forwarded.host(request.headers, request.app[GATE].options.hub.forwarded_host_header, request.host)


async def by_token(request: web.Request) -> Identity | None:
    token = bearer(request)
    return await request.app[GATE].access.by_token(token) if token else None


async def by_cookie(request: web.Request) -> Identity | None:
    """The person whom the login cookie names. A write with a body that no page of ours sends is nobody's."""
    gate = request.app[GATE]
    api = f"{gate.options.hub_path}api/"
    is_api = request.path.startswith(api) and not request.path.startswith(f"{api}oauth2/")
    if is_api and request.method == "POST":
        kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind and kind != "application/json":
            return None
    secret = cookies.read_login(request, gate.cookie_secret, gate.options)
    return await gate.access.by_session(secret) if secret else None


async def identify(request: web.Request, *, pages: bool = False) -> Identity | None:
    """Token first, then cookie (pages: cookie alone). Kept on the request. Who has to log in again is nobody."""
    if IDENTITY not in request:
        found, freshness = await _find(request, pages=pages), request.app[GATE].freshness
        if found is not None and freshness is not None and freshness.is_due(found):
            if await freshness.lets_in(found):
                found = await _find(request, pages=pages)  # they may have other groups and roles now
            else:
                request[STALE], found = found, None
        request[IDENTITY] = found
    identity: Identity | None = request[IDENTITY]
    return identity


async def _find(request: web.Request, *, pages: bool) -> Identity | None:
    return (None if pages else await by_token(request)) or await by_cookie(request)


def binding(request: web.Request, identity: Identity | None) -> bytes:
    """What this browser's XSRF token must be bound to."""
    secret = identity.secret if identity and identity.by_cookie else ""
    session = request.cookies.get(cookies.SESSION_ID, "")
    return xsrf.bound_to(session, secret, client_address(request), request.headers.get("User-Agent", ""))


async def check_xsrf(request: web.Request, identity: Identity | None, *, is_api: bool) -> None:
    """Raises `xsrf.Forgery` if the request needs the token and lacks it. Token-authenticated ones need none."""
    if identity is not None and not identity.by_cookie:
        return
    if is_api and identity is None and not request.headers.get("Origin"):
        return
    if not xsrf.needed(request.method, request.headers, is_api=is_api):
        return
    if identity is None and not is_api and is_foreign(request):
        raise xsrf.Forgery(FOREIGN)
    argument = request.query.get("_xsrf")
    if argument is None and request.method == "POST" and not is_api:
        argument = _text((await posted(request)).get("_xsrf"))
    token = xsrf.sent(request.headers, argument)
    gate = request.app[GATE]
    xsrf.check(gate.cookie_secret, request.headers.get("Cookie", ""), token, binding(request, identity), request.method)


def is_foreign(request: web.Request) -> bool:
    """Whether a form of somebody who is not logged in was not sent by a page of ours.

    Their XSRF token does not tell: whoever is behind the same address gets as good a one, and can plant its cookie
    from a host below ours, to have them log in as somebody else.
    """
    hosts = request.app[GATE].options.hosts
    return xsrf.is_foreign(request.headers, browser_origin(request)[1], hosts.domain if hosts.routing else "")


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def xsrf_token(request: web.Request, identity: Identity | None) -> str:
    """The token for this browser's pages: the one it has, if that is still good, else a new one, which
    `keep_xsrf` puts into a cookie.
    """
    gate = request.app[GATE]
    bound = binding(request, identity)
    for value in cookies.values(request.headers.get("Cookie", ""), xsrf.COOKIE):
        if xsrf.valid(gate.cookie_secret, value, bound):
            if identity is None:
                request[XSRF] = value  # its hour begins anew with each form
            return value
    request[XSRF] = xsrf.make(gate.cookie_secret, bound)
    return str(request[XSRF])


def keep_xsrf(request: web.Request, response: web.StreamResponse, identity: Identity | None) -> None:
    """Set the cookie if a new token was made for this request."""
    if token := request.get(XSRF):
        age = None if identity else xsrf.ANONYMOUS_SECONDS
        path, kept = request.app[GATE].options.hub_prefix, cookie_options(request)
        response.set_cookie(xsrf.COOKIE, token, path=path, max_age=age, **kept)


def cookie_options(request: web.Request) -> dict[str, Any]:
    """What all our cookies have in common: `secure` where the browser comes by TLS, and what the operator wants."""
    is_secure = browser_origin(request)[0] == "https"
    return {"secure": is_secure, **cookies.kept_as(request.app[GATE].options.hub.tornado_settings)}


def require(
    identity: Identity | None,
    *bases: str,
    user: str = "",
    server: str | None = None,
    group: str = "",
    service: str = "",
) -> Identity:
    """Raises the contract's 403 or 404 unless *identity* holds one of the scopes *bases* for this target.

    403: the scope is missing altogether; 404: held, but only for others, so that nothing is given away. Without a
    target there is nobody to hide: then one that is held with a filter is missing, too.
    """
    if identity is None:
        raise ApiError(403, NO_CREDENTIALS)
    if any(identity.may(base, user=user, server=server, group=group, service=service) for base in bases):
        return identity
    if (user or group or service) and any(scope.held_at_all(identity.scopes, base) for base in bases):
        raise ApiError(404, NOT_FOUND)
    raise _missing(bases)


def require_any(identity: Identity | None, base: str, *, filters: Collection[str]) -> Identity:
    """For a list, which shows what *base* is held for: 403 unless it is held at all, if only with one of *filters*."""
    if identity is None:
        raise ApiError(403, NO_CREDENTIALS)
    held = scope.filters(identity.scopes, base)
    if held == {}:
        raise _missing((base,))
    if held is not None and not held.keys() & set(filters):
        raise ApiError(403)
    return identity


def _missing(bases: Iterable[str]) -> ApiError:
    return ApiError(403, f"Action is not authorized with current scopes; requires any of [{', '.join(bases)}]")


def standard_headers(options: Options, *, is_api: bool) -> CIMultiDict[str]:
    """What every answer carries; the operator's `tornado_settings["headers"]` may replace any of it."""
    policy = f"frame-ancestors 'none'; report-uri {options.hub_prefix}security/csp-report"
    # Our pages have no inline script and load nothing from elsewhere.
    rest = "; default-src 'none'" if is_api else "; default-src 'self'; img-src 'self' data:; object-src 'none'"
    headers = CIMultiDict(
        {
            "X-JupyterHub-Version": JUPYTERHUB_VERSION,
            "Access-Control-Allow-Headers": "accept, content-type, authorization",
            "Content-Security-Policy": policy + rest,
            "X-Content-Type-Options": "nosniff",
        }
    )
    headers.update(options.hub.tornado_settings.get("headers", {}))
    return headers


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def redirect(location: str, *, permanent: bool = False) -> NoReturn:
    """To *location*, to the letter."""
    raise (web.HTTPMovedPermanently if permanent else web.HTTPFound)(URL(location, encoded=True))
