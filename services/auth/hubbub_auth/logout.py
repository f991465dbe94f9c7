"""The way out: the session ends, and with it every token that was given out in it."""

import structlog
from aiohttp import web

from hubbub.web.cookies import clear_login
from hubbub.web.request import GATE, identify
from hubbub_auth import browser
from hubbub_auth.keys import COMMITTER
from hubbub_auth.sessions import close_session

log = structlog.get_logger()


async def leave(request: web.Request) -> web.Response:
    """GET, as JupyterHub has it; for somebody who is not logged in too, since their cookies may be stale."""
    options = request.app[GATE].options
    identity = await identify(request, pages=True)
    if identity is not None:
        tokens = await close_session(request.app[COMMITTER], identity.id, identity.session)
        log.info("auth.logout", user=identity.id, name=identity.name, session=identity.session, tokens=tokens)
    response = browser.go(f"{options.hub_prefix}login")
    clear_login(response, hub_prefix=options.hub_prefix, base_url=options.base_url)
    return response
