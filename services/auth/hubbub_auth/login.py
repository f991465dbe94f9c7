"""The login form, and what happens when it comes back."""

from urllib.parse import quote

import structlog
from aiohttp import web
from markupsafe import Markup
from tornado.httputil import url_concat

from hubbub.access import Identity
from hubbub.web import xsrf
from hubbub.web.next_url import keeping_query, ours
from hubbub.web.operators_html import embed
from hubbub.web.pages import ENVIRONMENT, render
from hubbub.web.request import GATE, STALE, check_xsrf, client_address, identify, xsrf_token
from hubbub_auth import browser, onwards
from hubbub_auth.admission import BadModel, LooksAlike, NoLonger
from hubbub_auth.attempt import LONGEST_USERNAME, WRONG, Failed, attempt, expired, is_sensible
from hubbub_auth.authenticators.authenticator import Model
from hubbub_auth.belongings import BadBelongings
from hubbub_auth.front import Refused
from hubbub_auth.keys import ADMISSION, HOSTED, WENT
from hubbub_auth.sessions import Login

log = structlog.get_logger()

EXPIRED = "Login form invalid or expired. Try again."
LOOKS_ALIKE = "There is somebody here already whose name looks the same as yours. Ask whoever runs this hub."
UNUSABLE = "The login worked, but what it says of you cannot be used: {} Ask whoever runs this hub."


async def show(request: web.Request) -> web.Response:
    """GET: the form, or onwards for somebody who is logged in, or to wherever logins begin."""
    identity = await identify(request, pages=True)
    if identity is None:
        return await _begin(request) if request.app[HOSTED].wants("auto_login") else form(request)
    response = browser.go(next_of(request))
    browser.remind(request, response, identity)
    return response


async def _begin(request: web.Request) -> web.Response:
    """Without a form: elsewhere, or by what the request says by itself (a header of a trusted proxy, say)."""
    if not is_here(request):
        return browser.go(begin_url(request))
    request[WENT] = "failure"
    try:
        model = await attempt(request, {"username": ""})
    except Failed as failed:
        raise Refused(failed.status, failed.reason) from None
    return await welcome(request, None, model, next_of(request))


async def submit(request: web.Request) -> web.Response:
    """POST: the fields of the form against the authenticator."""
    identity = await identify(request, pages=True)
    fields = {name: value for name, value in (await browser.form(request)).items() if isinstance(value, str)}
    username = fields["username"] = fields.get("username", "").strip()
    try:
        await check_xsrf(request, identity, is_api=False)
    except xsrf.Forgery as forgery:
        log.info("auth.login_refused", reason=str(forgery), address=client_address(request))
        if username and is_sensible(fields):
            await expired(request, username)
        return form(request, identity, username=username, error=EXPIRED)
    request[WENT] = "failure"  # unless `admit` comes to another end
    if not username or not is_sensible(fields):
        return form(request, identity, error=WRONG)
    try:
        model = await attempt(request, fields)
    except Failed as failed:
        response = form(request, identity, username=username, error=failed.reason, status=failed.status)
        response.headers.update(failed.headers)
        return response
    response = await welcome(request, identity, model, next_of(request, fields.get("next", "")))
    browser.recognize(request, response, await request.app[HOSTED].normalized(username))
    return response


async def welcome(request: web.Request, identity: Identity | None, model: Model, next: str) -> web.Response:
    """A new session for whoever *model* is about, whatever the browser had before, and onwards to *next*."""
    login = await admit(request, identity, model)
    response = browser.go(next)
    onwards.step(request, response)
    browser.keep_logged_in(request, response, secret=login.secret, session=login.session, hashed=login.hash)
    return response


async def admit(request: web.Request, identity: Identity | None, model: Model) -> Login:
    """Open a session for whoever *model* is about, in the place of the one of *identity*. Raises `Refused`."""
    address = client_address(request)
    before = identity or request.get(STALE)
    request[WENT] = "failure"
    try:
        login = await request.app[ADMISSION].log_in(
            model,
            address=address,
            agent=request.headers.get("User-Agent", ""),
            instead_of=before.session if before else "",
        )
    except (BadModel, BadBelongings) as error:
        log.error("auth.model_unusable", authenticator=repr(request.app[HOSTED]), why=str(error))
        raise Refused(500, UNUSABLE.format(error)) from None
    except NoLonger:
        log.info("auth.login_overtaken", name=model["name"], address=address)
        raise Refused(403, WRONG) from None
    except LooksAlike:
        log.warning("auth.looks_alike", name=model["name"], address=address)
        raise Refused(403, LOOKS_ALIKE) from None
    request[WENT] = "success"
    log.info("auth.login", user=login.user, name=model["name"], session=login.session, address=address)
    return login


def form(
    request: web.Request,
    identity: Identity | None = None,
    *,
    username: str = "",
    error: str = "",
    status: int = 0,
    next: str = "",
) -> web.Response:
    """The page with the form. It is sent back to the very address it was asked for at.

    *next*: where a login that begins elsewhere leads, if the address of the request does not say so.
    """
    hosted = request.app[HOSTED]
    prefix = request.app[GATE].options.hub_prefix
    name = username[:LONGEST_USERNAME] or request.query.get("username", "")[:LONGEST_USERNAME]
    elsewhere = "" if is_here(request) else begin_url(request, next)
    return render(
        request,
        "login.html",
        identity,
        status=status or (403 if error else 200),
        action=request.rel_url.raw_path_qs,
        username=name,
        error=error,
        own_html=_own_html(request, identity, name, error),
        begin_url=elsewhere,
        login_service=hosted.wants("login_service"),
        otp_prompt=hosted.wants("otp_prompt") if hosted.wants("request_otp") else "",
        links=hosted.authenticator.links(prefix),
    )


def _own_html(request: web.Request, identity: Identity | None, username: str, error: str) -> Markup:
    """What the operator has in the place of the form: a template, which knows what JupyterHub's would."""
    authenticator, prefix = request.app[HOSTED].authenticator, request.app[GATE].options.hub_prefix
    template = authenticator.get_custom_html(prefix)
    if not template:
        return Markup()
    # Before anything that somebody typed is in it.
    own = request.app[ENVIRONMENT].from_string(embed(request, template)[0])
    rendered = own.render(
        next=quote(request.query.get("next", ""), safe=""),
        username=username,
        login_error=error,
        login_url=f"{prefix}login",
        authenticator_login_url=begin_url(request),
        authenticator=authenticator,
        xsrf=xsrf_token(request, identity),
    )
    return Markup(rendered)  # noqa: S704  (the operator's own words)


def is_here(request: web.Request) -> bool:
    """Whether a login begins with our form."""
    prefix = request.app[GATE].options.hub_prefix
    return bool(request.app[HOSTED].authenticator.login_url(prefix) == f"{prefix}login")


def begin_url(request: web.Request, next: str = "") -> str:
    """Where a login begins that is not ours, which has to remember where its browser wanted to go."""
    url = str(request.app[HOSTED].authenticator.login_url(request.app[GATE].options.hub_prefix))
    wanted = _wanted(request, next or request.query.get("next", ""))
    return url_concat(url, {"next": wanted}) if wanted else url


def next_of(request: web.Request, from_form: str = "") -> str:
    """Where to go after the login: a path of ours."""
    options = request.app[GATE].options
    # Without a wish the hub's root decides, which knows about servers; or the home page, if that is preferred.
    default = options.hub_prefix if options.hub.redirect_to_server else f"{options.hub_prefix}home"
    return _wanted(request, request.query.get("next", "") or from_form) or keeping_query(default, request)


def _wanted(request: web.Request, wanted: str) -> str:
    """*wanted*, as far as it is a path of ours; else nothing."""
    found = ours(request, wanted)
    if wanted and not found:
        log.info("auth.next_ignored", next=wanted[:200])
    return found
