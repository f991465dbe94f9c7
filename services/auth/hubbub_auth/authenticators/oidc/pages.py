"""The two pages of a login elsewhere: the one that sends a browser there, and the one it comes back to."""

import structlog
from aiohttp import web
from tornado.web import HTTPError

from hubbub.web.request import browser_origin, client_address, identify
from hubbub_auth import browser, login
from hubbub_auth.attempt import Failed, reason_of, returned
from hubbub_auth.authenticators.oidc import progress
from hubbub_auth.authenticators.oidc.client import words
from hubbub_auth.authenticators.oidc.progress import InProgress
from hubbub_auth.authenticators.oidc.redirecting import CameBack, RedirectAuthenticator
from hubbub_auth.keys import WENT

log = structlog.get_logger()

LOST = "This login was not begun in this browser, or more than ten minutes ago. Try again."
DENIED = "{} did not let you in: {}"
#: What an address may have of a kind; more than one is nobody's honest answer.
_ANSWER = ("state", "code", "error", "error_description", "iss")
#: OAuth2's errors that are not about the person.
_STATUS = {"temporarily_unavailable": 503, "server_error": 502}


def routes(authenticator: RedirectAuthenticator, prefix: str) -> list[web.RouteDef]:
    """*prefix*: the hub's."""

    async def begin(request: web.Request) -> web.Response:
        """GET: there."""
        redirect_uri = f"{_origin(request)}{prefix}{authenticator.callback_path}"
        at = authenticator.provider_id
        under_way = progress.begun(at=at, next=login.next_of(request), redirect_uri=redirect_uri)
        try:
            url = await authenticator.authorize_url(
                redirect_uri=redirect_uri, state=under_way.state, nonce=under_way.nonce, verifier=under_way.verifier
            )
        except HTTPError as error:
            return await _failure(request, under_way, reason_of(error), error.status_code)
        response = browser.go(url)
        progress.remember(request, response, under_way)
        return response

    async def come_back(request: web.Request) -> web.Response:
        """GET: and back, with a code or an error. Whatever comes of it, this login is over."""
        query = {name: request.query[name] for name in _ANSWER if len(request.query.getall(name, ())) == 1}
        under_way = progress.recall(request, query.get("state", ""))
        if under_way is None or under_way.at != authenticator.provider_id:
            log.info("auth.login_lost", address=client_address(request))
            return await _failure(request, under_way, LOST, 400)
        try:
            response = await _finished(request, query, under_way)
        except HTTPError as error:
            response = await _failure(request, under_way, reason_of(error), error.status_code)
        except Failed as failed:
            response = await _failure(request, under_way, failed.reason, failed.status)
        progress.forget(request, response, under_way)
        return response

    async def _finished(request: web.Request, query: dict[str, str], under_way: InProgress) -> web.Response:
        await authenticator.check_answer(query)
        if "error" in query or "code" not in query:
            error, why = words(query.get("error", "")), words(query.get("error_description", ""))
            log.info("auth.login_denied", error=error, why=why, address=client_address(request))
            raise Failed(DENIED.format(authenticator.login_service, why or error or "no code"), _STATUS.get(error, 403))
        came_back = CameBack(
            code=query["code"],
            redirect_uri=under_way.redirect_uri,
            code_verifier=under_way.verifier,
            nonce=under_way.nonce,
        )
        model = await returned(request, came_back)
        identity = await identify(request, pages=True)
        return await login.welcome(request, identity, model, under_way.next or prefix)

    begins, comes_back = f"{prefix}{authenticator.login_path}", f"{prefix}{authenticator.callback_path}"
    return [web.get(begins, begin, allow_head=False), web.get(comes_back, come_back, allow_head=False)]


async def _failure(request: web.Request, under_way: InProgress | None, error: str, status: int) -> web.Response:
    """The login page, which says what went wrong and how to begin again."""
    request[WENT] = "failure"
    identity = await identify(request, pages=True)
    response = login.form(request, identity, error=error, status=status, next=under_way.next if under_way else "")
    response.headers["Referrer-Policy"] = "no-referrer"  # the address of this page may hold a code
    response.headers.update(browser.NO_STORE)
    return response


def _origin(request: web.Request) -> str:
    """As the browser's address bar has it."""
    scheme, host = browser_origin(request)
    return f"{scheme}://{host}"
