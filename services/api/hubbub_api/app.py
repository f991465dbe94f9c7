"""The application: which handler answers what, and what every answer has in common."""

import asyncio
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
from hubbub.handle import LogFull, LogUnavailable
from hubbub.web import base, xsrf
from hubbub.web.pages import ENVIRONMENT, FURNITURE, environment
from hubbub.web.posted import UnreadableForm
from hubbub.web.request import (
    ARRIVED,
    GATE,
    HEADERS,
    IDENTITY,
    ApiError,
    Gate,
    Handler,
    check_xsrf,
    identify,
    redirect,
    standard_headers,
)
from hubbub_api import (
    astray,
    authorizations,
    entrance,
    event_stream,
    figures,
    hub,
    idempotency,
    metrics,
    openapi,
    pages,
    past,
    server_log,
    tokens,
)
from hubbub_api.answers import LONGEST_MESSAGE, headers_of, refuse, status_of
from hubbub_api.endpoint import LARGEST_BODY
from hubbub_api.forward import AUTHS, Auths
from hubbub_api.keys import ACTIVITIES, ENDING, LATE, LEAVING, STOPPING
from hubbub_api.known_auth import ALWAYS
from hubbub_api.pages.furniture import furniture
from hubbub_api.steps import Steps
from hubbub_api.tables import TABLES

log = structlog.get_logger()

#: API paths that anyone may ask, with nothing to forge.
OPEN = frozenset({"", "/", "/health", "/openapi.json"})


UNREADABLE = "The body of the request cannot be read"

#: Of a page that an auth has announced: see `Auths.page`.
AUTH_PAGE = web.RequestKey("auth_page", str)

#: How much of a body each handler reads that takes more or less than `LARGEST_BODY`.
LARGEST: "web.AppKey[dict[object, int]]" = web.AppKey("largest", dict)


def build(gate: Gate, auths: Auths) -> web.Application:
    """The application without its connections, which `__main__` adds."""
    app = web.Application(middlewares=[around], client_max_size=LARGEST_BODY)
    app[GATE] = gate
    app[AUTHS] = auths
    largest: dict[object, int] = {each.handler: each.largest for table in TABLES for each in table}
    app[LARGEST] = {handler: bytes for handler, bytes in largest.items() if bytes != LARGEST_BODY}
    app[past.TAKING] = past.taking(TABLES)
    app.on_response_prepare.append(_in_the_houses_way)
    app[ENVIRONMENT] = environment("hubbub_api", gate.options)
    app[FURNITURE] = furniture
    app[STOPPING], app[LEAVING], app[LATE] = asyncio.Event(), asyncio.Event(), asyncio.Event()
    app[ENDING] = []
    app[server_log.STREAMS] = set()
    app.on_shutdown.append(server_log.end_all)
    app[event_stream.STREAMS] = event_stream.Streams()
    app.on_shutdown.append(event_stream.end_all)
    app[figures.STEPS] = Steps()
    app[metrics.METRICS] = metrics.Metrics(metrics.Shape.from_environ(os.environ), gate.options)
    app[openapi.PUBLISHED] = openapi.publish(TABLES, gate.options.hub_prefix)
    prefix = base.stand_in(gate.options.hub_prefix)
    for table in TABLES:
        for endpoint in table:
            app.router.add_route(endpoint.method, f"{prefix}api{endpoint.path}", endpoint.handler)
    for path in ALWAYS:
        app.router.add_route("*", prefix + path, entrance.forward)
    app.router.add_get(f"{prefix}health", hub.health)
    app.router.add_get(f"{prefix}metrics", metrics.show)
    app.router.add_route("*", f"{prefix}api/{{rest:.*}}", hub.unknown)
    app.add_routes(pages.routes(prefix))
    base.resolve_below(app, gate.options.base_url)
    return app


@web.middleware
async def around(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Trace, log line, headers and errors of every request."""
    prefix = request.app[GATE].options.hub_path
    is_api = (
        _is_api(request, prefix) and request.match_info.handler is not metrics.show
    )  # which is a page at both of its addresses
    began = request[ARRIVED] = time.monotonic()
    headers = request[HEADERS] = standard_headers(request.app[GATE].options, is_api=is_api)
    if not is_api and (page := request.app[AUTHS].page(request)) is not None:
        handler, request[AUTH_PAGE] = entrance.forward, page
    if astray.is_astray(request):
        handler = astray.back
    if (largest := request.app[LARGEST].get(request.match_info.handler)) is not None:
        request = request.clone(client_max_size=largest)
    sent = request.headers.get("traceparent", "")
    with telemetry.span(f"{request.method} {_shape(request)}", parent=sent, kind="server"):
        response = await (_api(request, handler, prefix) if is_api else _page(request, handler))
        seconds, shape = time.monotonic() - began, _shape(request)
        if request.app[LEAVING].is_set():
            response.force_close()  # whoever keeps the connection would send the next request to somebody who has gone
        if not response.prepared:
            for name, value in headers.items():
                if name not in response.headers:
                    response.headers[name] = value
            if not is_api and request.get(IDENTITY) is not None:  # nobody else is to measure what we do
                response.headers["Server-Timing"] = f"hub;dur={seconds * 1e3:.1f}"
        telemetry.note_answer(request.method, shape, response.status)
        request.app[metrics.METRICS].answered(request.method, shape, response.status, seconds)
        level = log.debug if response.status < 400 and request.method == "GET" else log.info
        level("http", method=request.method, path=shape, status=response.status, ms=round(seconds * 1e3, 1))
    return response


def _is_api(request: web.Request, prefix: str) -> bool:
    """By its route, too, lest two ways of reading an address make an unguarded one."""
    route = request.match_info.route.resource
    inside = base.stand_in(f"{request.app[GATE].options.hub_prefix}api/")
    return f"{request.path}/".startswith(f"{prefix}api/") or (
        route is not None and f"{route.canonical}/".startswith(inside)
    )


async def _in_the_houses_way(request: web.Request, response: web.StreamResponse) -> None:
    """What aiohttp answers without asking `around` (to an `Expect` that nobody can meet) has our headers, too."""
    if HEADERS not in request:
        for name, value in standard_headers(request.app[GATE].options, is_api=True).items():
            response.headers.setdefault(name, value)


def _shape(request: web.Request) -> str:
    """The path's pattern: names of people do not belong into logs and traces."""
    if AUTH_PAGE in request:
        return f"{base.stand_in(request.app[GATE].options.hub_prefix)}{request[AUTH_PAGE] or 'auth/{rest}'}"
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
        past.check(request)
        return await _once(request, handler)
    except xsrf.Forgery as error:
        return refuse(403, str(error))
    except ApiError as error:
        return refuse(error.status, error.message, error.headers)
    except Rejected as refusal:
        return refuse(status_of(refusal), str(refusal), headers_of(refusal))
    except web.RequestPayloadError:
        return refuse(400, UNREADABLE)
    except web.HTTPRequestEntityTooLarge:
        return refuse(413, f"The body has more than {request.client_max_size} bytes")
    except web.HTTPException as error:
        return _plain(error) if error.status < 400 else refuse(error.status, None)
    except (LogUnavailable, *AWAY) as error:
        log.warning("http.unavailable", path=_shape(request), error=str(error) or type(error).__name__)
        return refuse(503, _whats_away(error))
    except Exception:
        log.exception("http.failed", path=_shape(request))
        return refuse(500, "Internal Server Error")


_FULL = (LogFull, asyncpg.DiskFullError)


def _whats_away(error: Exception) -> str:
    if isinstance(error, _FULL):
        return "The disk of the database is full; nothing was changed. An operator has to make room"
    return "The database cannot be reached; nothing is known to have been changed"


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


def _plain(raised: web.HTTPException) -> web.Response:
    """A redirect that was raised, as an answer."""
    kept = {name: value for name, value in raised.headers.items() if not name.startswith("Content-")}
    return web.Response(status=raised.status, headers=kept)


async def _page(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Pages find out who asks by themselves, since many of them need not know."""
    try:
        _check_text(request)
        place = base.elsewhere(request, request.app[GATE].options.base_url)
        if place and request.method in ("GET", "HEAD"):
            redirect(place)
        response = await handler(request)
        if (identity := request.get(IDENTITY)) is not None:
            request.app[ACTIVITIES].uses(identity)
        return response
    except xsrf.Forgery as error:
        return await _error_page(request, 403, str(error))
    except ApiError as error:
        return await _error_page(request, error.status, error.message or "", error.headers)
    except Rejected as refusal:
        return await _error_page(request, status_of(refusal), str(refusal), headers_of(refusal))
    except (web.RequestPayloadError, UnreadableForm):
        return await _error_page(request, 400, UNREADABLE)
    except web.HTTPRequestEntityTooLarge:
        return await _error_page(request, 413, f"The body has more than {request.client_max_size} bytes")
    except web.HTTPException as error:
        return _plain(error) if error.status < 400 else await _error_page(request, error.status, "")
    except (LogUnavailable, *AWAY) as error:
        log.warning("http.unavailable", path=_shape(request), error=str(error) or type(error).__name__)
        return await _error_page(request, 503, _whats_away(error) if isinstance(error, _FULL) else "")
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
