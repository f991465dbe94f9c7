"""The login form, and what happens when it comes back."""

from types import SimpleNamespace
from typing import Any

import structlog
from aiohttp import web
from tornado.web import HTTPError

from hubbub.access import Identity
from hubbub.web import xsrf
from hubbub.web.next_url import keeping_query, own_path
from hubbub.web.pages import render
from hubbub.web.request import GATE, check_xsrf, client_address, identify
from hubbub_auth import browser
from hubbub_auth.authenticators.authenticator import Model
from hubbub_auth.keys import AUTHENTICATOR, COMMITTER, POOL, THROTTLE
from hubbub_auth.sessions import open_session

log = structlog.get_logger()

WRONG = "Invalid username or password"
EXPIRED = "Login form invalid or expired. Try again."
TOO_MANY = "Too many failed logins. Wait five minutes, then try again."
FAULT = "The login did not work, and not because of what you typed. Ask whoever runs this hub to look at its log."

LONGEST_USERNAME = 255
LONGEST_FIELD = 4096
LONGEST_IN_LOG = 32


async def show(request: web.Request) -> web.Response:
    """GET: the form, or onwards for somebody who is logged in."""
    identity = await identify(request, pages=True)
    if identity is None:
        return form(request)
    response = browser.go(_next(request))
    browser.remind(request, response, identity)
    return response


async def submit(request: web.Request) -> web.Response:
    """POST: the fields of the form against the authenticator."""
    identity = await identify(request, pages=True)
    fields = {name: value for name, value in (await browser.form(request)).items() if isinstance(value, str)}
    username = fields["username"] = fields.get("username", "").strip()
    try:
        await check_xsrf(request, identity, is_api=False)
    except xsrf.Forgery as forgery:
        log.info("auth.login_refused", reason=str(forgery), address=client_address(request))
        return form(request, identity, username=username, error=EXPIRED)
    if not _is_sensible(fields):
        return form(request, identity, error=WRONG)
    return await _attempt(request, identity, fields, next=_next(request, fields.get("next", "")))


def _is_sensible(fields: dict[str, str]) -> bool:
    """Nothing that nobody means goes to an authenticator, or counts as a guess."""
    name = fields["username"]
    return (
        0 < len(name) <= LONGEST_USERNAME
        and name.isprintable()
        and all(len(v) <= LONGEST_FIELD for v in fields.values())
    )


async def _attempt(
    request: web.Request, identity: Identity | None, fields: dict[str, str], *, next: str
) -> web.Response:
    address, username = client_address(request), fields["username"]
    throttle = request.app[THROTTLE]
    async with throttle.turn(address):
        if await throttle.is_over(username.lower(), address):
            log.info("auth.login_throttled", name=_loggable(username), address=address)
            return form(request, identity, username=username, error=TOO_MANY)
        try:
            model = await _authenticate(request, fields)
        except HTTPError as error:  # how an authenticator says why
            model, status, reason = None, error.status_code, _reason(error)
        else:
            status, reason = 403, WRONG
        if model is None:
            if status < 500:
                await throttle.failed(username.lower(), address)
            log.info("auth.login_failed", name=_loggable(username), address=address, status=status)
            return form(request, identity, username=username, error=reason, status=status)
    return await _welcome(request, identity, model, next)


async def _authenticate(request: web.Request, fields: dict[str, str]) -> Model | None:
    authenticator = request.app[AUTHENTICATOR]
    data = {name: value for name, value in fields.items() if name not in ("_xsrf", "next")}
    try:
        return await authenticator.get_authenticated_user(_handler(request, fields), data)
    except HTTPError:
        raise
    except Exception as error:  # it may be the operator's own
        log.exception("auth.authenticator_failed", authenticator=type(authenticator).__name__)
        raise HTTPError(500, FAULT) from error


async def _welcome(request: web.Request, identity: Identity | None, model: Model, next: str) -> web.Response:
    """A new session, whatever the browser had before."""
    login = await open_session(
        request.app[POOL],
        request.app[COMMITTER],
        name=model["name"],
        admin=model["admin"],
        address=client_address(request),
        seconds=request.app[GATE].options.cookie_max_age,
        instead_of=identity.session if identity else "",
    )
    log.info("auth.login", user=login.user, name=model["name"], session=login.session, address=client_address(request))
    response = browser.go(next)
    browser.keep_logged_in(request, response, secret=login.secret, session=login.session, hashed=login.hash)
    return response


def form(
    request: web.Request,
    identity: Identity | None = None,
    *,
    username: str = "",
    error: str = "",
    status: int = 0,
) -> web.Response:
    """The page with the form. It is sent back to the very address it was asked for at."""
    response = render(
        request,
        "login.html",
        identity,
        status=status or (403 if error else 200),
        action=request.rel_url.raw_path_qs,
        username=username[:LONGEST_USERNAME] or request.query.get("username", "")[:LONGEST_USERNAME],
        error=error,
    )
    if error == TOO_MANY:
        response.headers["Retry-After"] = "300"
    return response


def _next(request: web.Request, from_form: str = "") -> str:
    options = request.app[GATE].options
    wanted = request.query.get("next", "") or from_form
    found = own_path(wanted, browser.host(request, options))
    if wanted and not found:
        log.info("auth.next_ignored", next=wanted[:200])
    # Without a wish the hub's root decides, which knows about servers; or the home page, if that is preferred.
    default = options.hub_prefix if options.hub.redirect_to_server else f"{options.hub_prefix}home"
    return found or keeping_query(default, request)


def _handler(request: web.Request, fields: dict[str, str]) -> Any:
    """The little of a tornado handler that authenticators of forms look at."""
    return SimpleNamespace(
        request=SimpleNamespace(remote_ip=client_address(request), headers=request.headers, method=request.method),
        get_argument=lambda name, default=None: fields.get(name, request.query.get(name, default)),
        log=request.app[AUTHENTICATOR].log,
    )


def _reason(error: HTTPError) -> str:
    message = error.log_message or WRONG
    return message % error.args if error.args else message


def _loggable(username: str) -> str:
    """People type passwords into the wrong field: of long ones only the beginning."""
    if len(username) <= LONGEST_IN_LOG:
        return username
    return f"{username[: LONGEST_IN_LOG // 2]}...({len(username)} characters)"
