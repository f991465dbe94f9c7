"""The way out: the session ends, and with it every token that was given out in it."""

import structlog
from aiohttp import web

from hubbub.access import Identity
from hubbub.web.cookies import clear_login
from hubbub.web.pages import render
from hubbub.web.request import GATE, by_cookie, client_address
from hubbub_auth import browser
from hubbub_auth.keys import ADMISSION, COMMITTER, HOSTED
from hubbub_auth.sessions import close_session

log = structlog.get_logger()


async def leave(request: web.Request) -> web.Response:
    """GET, as JupyterHub has it; for somebody who is not logged in too, since their cookies may be stale."""
    options = request.app[GATE].options
    identity = await by_cookie(request)  # whether or not they would have to log in again
    elsewhere = ""
    if identity is not None:
        elsewhere = await _elsewhere(request, identity)
        tokens = await close_session(
            request.app[COMMITTER], identity.id, identity.session, address=client_address(request)
        )
        log.info("auth.logout", user=identity.id, name=identity.name, session=identity.session, tokens=tokens)
    if elsewhere or not request.app[HOSTED].wants("auto_login"):
        response = browser.go(elsewhere or f"{options.hub_prefix}login")
    else:  # the login page would log them in again
        response = render(request, "logout.html")
        response.cookies.clear()
    clear_login(response, options)
    return response


async def _elsewhere(request: web.Request, identity: Identity) -> str:
    """Where the authenticator has them log out, too: asked while it may still look at what it knows of them."""
    hosted, prefix = request.app[HOSTED], request.app[GATE].options.hub_prefix
    if hosted.is_classic or not hosted.overrides("after_logout"):
        return ""
    try:
        return await hosted.after_logout(await request.app[ADMISSION].person(identity.name), prefix)
    except Exception:  # it may be the operator's own; nothing keeps anybody logged in
        log.exception("auth.after_logout_failed", authenticator=repr(hosted), user=identity.id)
        return ""
