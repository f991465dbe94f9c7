"""The login form, and what happens when it comes back."""

import structlog
from aiohttp import web

from hubbub.access import Identity
from hubbub.web import xsrf
from hubbub.web.next_url import keeping_query, own_path
from hubbub.web.pages import render
from hubbub.web.request import GATE, check_xsrf, client_address, identify
from hubbub_auth import browser
from hubbub_auth.attempt import LONGEST_USERNAME, RETRY_SECONDS, TOO_MANY, WRONG, Failed, attempt, is_sensible
from hubbub_auth.authenticators.authenticator import Model
from hubbub_auth.keys import COMMITTER, POOL
from hubbub_auth.sessions import open_session

log = structlog.get_logger()

EXPIRED = "Login form invalid or expired. Try again."


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
    if not username or not is_sensible(fields):
        return form(request, identity, error=WRONG)
    try:
        model = await attempt(request, fields)
    except Failed as failed:
        return form(request, identity, username=username, error=failed.reason, status=failed.status)
    return await _welcome(request, identity, model, _next(request, fields.get("next", "")))


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
        response.headers["Retry-After"] = str(RETRY_SECONDS)
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
