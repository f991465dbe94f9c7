"""What every request passes through: is it from an api of ours, which trace is it part of, what if it fails."""

import hmac
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import asyncpg
import structlog
from aiohttp import web

from hubbub import sessions, telemetry
from hubbub.away import AWAY
from hubbub.counting import LOGINS
from hubbub.handle import LogUnavailable
from hubbub.web.pages import render
from hubbub.web.posted import UnreadableForm
from hubbub.web.request import GATE, IDENTITY, ApiError, standard_headers
from hubbub_auth.keys import COUNTS, POOL, WENT

log = structlog.get_logger()

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


UNAVAILABLE = "The hub cannot reach its database at the moment. Please try again in a moment."
PHRASES = {
    400: "That request makes no sense",
    403: "Not allowed",
    404: "Not found",
    405: "Not possible here",
    413: "Too much at once",
    429: "Too many at once",
    503: "Not now",
}


class Refused(Exception):
    """A page that says no, and why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def refusal(request: web.Request, status: int, message: str = "") -> web.Response:
    """The page of `Refused`."""
    phrase = PHRASES.get(status, "Something went wrong")
    identity = request.get(IDENTITY)
    names = {"status_code": status, "status_message": phrase, "message": message}
    response = render(request, "error.html", identity, status=status, **names)
    if identity is None:
        # Perhaps nobody looked who asks: a token for nobody must not replace somebody's.
        response.cookies.clear()
    return response


@web.middleware
async def front(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The outermost layer: nothing gets past it without the house's headers."""
    gate = request.app[GATE]
    if not _is_forwarded(request, gate.forward_key):
        log.warning("auth.stranger", remote=request.remote)
        return web.json_response({"status": 403, "message": "Reach this service through the hub"}, status=403)
    sent = request.headers.get("traceparent", "")
    with telemetry.span(f"auth {request.method} {_route(request)}", parent=sent, kind="server"):
        began = time.monotonic()
        response = await _answer(request, handler)
        telemetry.note_answer(request.method, _route(request), response.status)
        if went := request.get(WENT):
            request.app[COUNTS].note(LOGINS, (went,), time.monotonic() - began)
        await in_use(request)
    is_api = response.content_type == "application/json"
    for name, value in standard_headers(gate.options, is_api=is_api).items():
        response.headers.setdefault(name, value)  # pages of others may say more
    return response


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refused as refused:
        return refusal(request, refused.status, refused.message)
    except UnreadableForm:
        return refusal(request, 400, "The form cannot be read.")
    except ApiError as error:
        return refusal(request, error.status, error.message or "")
    except web.HTTPException as error:
        return error if error.status < 400 else refusal(request, error.status)
    except (LogUnavailable, *AWAY) as error:
        log.warning("auth.unavailable", path=request.path, error=str(error) or type(error).__name__)
        return _unavailable(request)
    except Exception:  # the outermost edge
        log.exception("auth.failed", path=request.path)
        return refusal(request, 500, "That is a fault of the hub, not yours; it is in the log.")


async def in_use(request: web.Request) -> None:
    """A session that is asked by has been used; that is written down when it is news."""
    identity = request.get(IDENTITY)
    if identity is None or identity.session_used is None:
        return
    now, idle = datetime.now(UTC), request.app[GATE].options.ours.session_idle_timeout
    if now - identity.session_used > sessions.news_after(idle):
        try:
            await request.app[POOL].execute(sessions.NOTE, [sessions.subject(identity.session)], [now])
        except (asyncpg.PostgresError, *AWAY) as error:
            log.warning("auth.use_not_noted", error=str(error) or type(error).__name__)


def _unavailable(request: web.Request) -> web.Response:
    response = refusal(request, 503, UNAVAILABLE)
    response.headers["Retry-After"] = "2"
    return response


def _is_forwarded(request: web.Request, key: str) -> bool:
    """Only an api knows the key; what it says about the browser's address can be believed."""
    given = request.headers.get("X-Hubbub-Forward", "")
    return bool(key) and hmac.compare_digest(given.encode(errors="surrogateescape"), key.encode())


def _route(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource else "?"
