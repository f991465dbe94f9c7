"""The application: which handler answers what, and what every answer has in common."""

import os
import time
from contextlib import suppress

import asyncpg
import structlog
from aiohttp import web

from hubbub import telemetry
from hubbub.access import Identity
from hubbub.away import AWAY
from hubbub.domain.message import Rejected
from hubbub.handle import LogUnavailable
from hubbub.web import xsrf
from hubbub.web.pages import ENVIRONMENT, environment
from hubbub.web.request import GATE, HEADERS, IDENTITY, ApiError, Gate, Handler, check_xsrf, identify, standard_headers
from hubbub_api import (
    admin_access,
    authorizations,
    groups,
    hub,
    idempotency,
    identity,
    metrics,
    oauth,
    openapi,
    orphans,
    pages,
    plugin_routes,
    progress,
    server_log,
    services,
    share_codes,
    shared,
    shares,
    tokens,
    user_activity,
    user_servers,
    users,
)
from hubbub_api.answers import LONGEST_MESSAGE, refuse, status_of
from hubbub_api.endpoint import LARGEST_BODY
from hubbub_api.forward import AUTHS, Auths
from hubbub_api.keys import ACTIVITIES
from hubbub_api.limits import Throttled

log = structlog.get_logger()

TABLES = (
    identity.routes,
    authorizations.routes,
    users.routes,
    user_activity.routes,
    user_servers.routes,
    orphans.routes,
    server_log.routes,
    admin_access.routes,
    progress.routes,
    tokens.routes,
    groups.routes,
    services.routes,
    shares.routes,
    shared.routes,
    share_codes.routes,
    plugin_routes.routes,
    hub.routes,
    metrics.routes,
    openapi.routes,
    oauth.routes,
)

#: Paths below the hub's prefix that auth answers.
AUTH_PATHS = ("login", "logout", "api/oauth2/authorize", "api/oauth2/token")

#: API paths that anyone may ask, with nothing to forge.
OPEN = frozenset({"", "/", "/health", "/openapi.json"})


UNREADABLE = "The body of the request cannot be read"

#: How much of a body each handler reads that takes more or less than `LARGEST_BODY`.
LARGEST: "web.AppKey[dict[object, int]]" = web.AppKey("largest", dict)


def build(gate: Gate, auths: Auths) -> web.Application:
    """The application without its connections, which `__main__` adds."""
    app = web.Application(middlewares=[around], client_max_size=LARGEST_BODY)
    app[GATE] = gate
    app[AUTHS] = auths
    largest: dict[object, int] = {each.handler: each.largest for table in TABLES for each in table}
    app[LARGEST] = {handler: bytes for handler, bytes in largest.items() if bytes != LARGEST_BODY}
    app.on_response_prepare.append(_in_the_houses_way)
    app[ENVIRONMENT] = environment("hubbub_api")
    app[server_log.STREAMS] = set()
    app.on_shutdown.append(server_log.end_all)
    app[metrics.METRICS] = metrics.Metrics(metrics.Shape.from_environ(os.environ), gate.options)
    prefix = gate.options.hub_prefix
    app[openapi.PUBLISHED] = openapi.publish(TABLES, prefix)
    for table in TABLES:
        for endpoint in table:
            app.router.add_route(endpoint.method, f"{prefix}api{endpoint.path}", endpoint.handler)
    for path in AUTH_PATHS:
        app.router.add_route("*", prefix + path, auths.forward)
    app.router.add_get(f"{prefix}health", hub.health)
    app.router.add_get(f"{prefix}metrics", metrics.show)
    app.router.add_route("*", f"{prefix}api/{{rest:.*}}", hub.unknown)
    app.add_routes(pages.routes(prefix))
    return app


@web.middleware
async def around(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Trace, log line, headers and errors of every request."""
    prefix = request.app[GATE].options.hub_prefix
    is_api = request.path.startswith(f"{prefix}api/") or request.path == f"{prefix}api"
    is_api = is_api and request.match_info.handler is not metrics.show  # which is a page at both of its addresses
    began = time.monotonic()
    headers = request[HEADERS] = standard_headers(request.app[GATE].options, is_api=is_api)
    if (largest := request.app[LARGEST].get(request.match_info.handler)) is not None:
        request = request.clone(client_max_size=largest)
    with telemetry.span(f"{request.method} {_shape(request)}", parent=request.headers.get("traceparent", "")):
        response = await (_api(request, handler, prefix) if is_api else _page(request, handler))
        if not response.prepared:
            for name, value in headers.items():
                if name not in response.headers:
                    response.headers[name] = value
        seconds, shape = time.monotonic() - began, _shape(request)
        request.app[metrics.METRICS].answered(request.method, shape, response.status, seconds)
        level = log.debug if response.status < 400 and request.method == "GET" else log.info
        level("http", method=request.method, path=shape, status=response.status, ms=round(seconds * 1e3, 1))
    return response


async def _in_the_houses_way(request: web.Request, response: web.StreamResponse) -> None:
    """What aiohttp answers without asking `around` (to an `Expect` that nobody can meet) has our headers, too."""
    if HEADERS not in request:
        for name, value in standard_headers(request.app[GATE].options, is_api=True).items():
            response.headers.setdefault(name, value)


def _shape(request: web.Request) -> str:
    """The path's pattern: names of people do not belong into logs and traces."""
    resource = request.match_info.route.resource
    return resource.canonical if resource else "unknown"


async def _api(request: web.Request, handler: Handler, prefix: str) -> web.StreamResponse:
    if request.method == "OPTIONS":
        return web.Response(status=200)
    rest = request.path.removeprefix(f"{prefix}api")
    try:
        _check_text(request)
        if rest not in OPEN and not rest.startswith("/oauth2/"):
            identity = await identify(request)
            if _can_be_forged(request, identity):
                await check_xsrf(request, identity, is_api=True)
            if identity is not None:
                request.app[ACTIVITIES].asks(identity)
        return await _once(request, handler)
    except xsrf.Forgery as error:
        return refuse(403, str(error))
    except ApiError as error:
        return refuse(error.status, error.message, error.headers)
    except Throttled as error:
        return refuse(429, str(error), {"Retry-After": str(error.seconds)})
    except Rejected as refusal:
        return refuse(status_of(refusal), str(refusal))
    except web.RequestPayloadError:
        return refuse(400, UNREADABLE)
    except web.HTTPRequestEntityTooLarge:
        return refuse(413, f"The body has more than {request.client_max_size} bytes")
    except web.HTTPException as error:
        return _plain(error) if error.status < 400 else refuse(error.status, None)
    except (LogUnavailable, *AWAY) as error:
        log.warning("http.unavailable", path=_shape(request), error=str(error) or type(error).__name__)
        return refuse(503, "The database cannot be reached; nothing is known to have been changed")
    except Exception:
        log.exception("http.failed", path=_shape(request))
        return refuse(500, "Internal Server Error")


def _can_be_forged(request: web.Request, identity: Identity | None) -> bool:
    """Not what does nothing, nor what carries credentials in its body."""
    handler = request.match_info.handler
    return handler is not authorizations.make_token and (identity is not None or handler is not tokens.create)


async def _once(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What *handler* answers, or what it answered to the same request with the same Idempotency-Key."""
    if idempotency.HEADER not in request.headers:
        return await handler(request)
    if before := await idempotency.outcome(request):
        return before
    try:
        return await handler(request)
    except (ApiError, Rejected):
        # It may have been refused for what its twin has just done.
        if before := await idempotency.outcome(request):
            return before
        raise


def _check_text(request: web.Request) -> None:
    """Nothing is called by a name with a zero byte in it, and Postgres cannot even be asked for one."""
    if "\0" in request.path or "\0" in request.query_string:
        raise ApiError(400, "There is a zero byte in the address")


def _plain(redirect: web.HTTPException) -> web.Response:
    """A redirect that was raised, as an answer."""
    kept = {name: value for name, value in redirect.headers.items() if not name.startswith("Content-")}
    return web.Response(status=redirect.status, headers=kept)


async def _page(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Pages find out who asks by themselves, since many of them need not know."""
    try:
        _check_text(request)
        return await handler(request)
    except xsrf.Forgery as error:
        return await _error_page(request, 403, str(error))
    except ApiError as error:
        return await _error_page(request, error.status, error.message or "", error.headers)
    except Rejected as refusal:
        return await _error_page(request, status_of(refusal), str(refusal))
    except web.RequestPayloadError:
        return await _error_page(request, 400, UNREADABLE)
    except web.HTTPRequestEntityTooLarge:
        return await _error_page(request, 413, f"The body has more than {request.client_max_size} bytes")
    except web.HTTPException as error:
        return _plain(error) if error.status < 400 else await _error_page(request, error.status, "")
    except (LogUnavailable, *AWAY) as error:
        log.warning("http.unavailable", path=_shape(request), error=str(error) or type(error).__name__)
        return await _error_page(request, 503, "")
    except Exception:
        log.exception("http.failed", path=_shape(request))
        return await _error_page(request, 500, "")


async def _error_page(
    request: web.Request, status: int, message: str, headers: dict[str, str] | None = None
) -> web.Response:
    if IDENTITY not in request and status != 503:
        # So that the page's XSRF token is that of whoever is logged in.
        with suppress(LogUnavailable, asyncpg.PostgresError, *AWAY):
            await identify(request, pages=True)
    page = await pages.errors.page(request, request.get(IDENTITY), status, message[:LONGEST_MESSAGE])
    page.headers.update(headers or {})
    return page
