"""The web application: everything it needs is handed to it, and nothing happens before it runs."""

import asyncpg
from aiohttp import web

from hubbub.access import Access
from hubbub.config import Options
from hubbub.handle import Committer
from hubbub.web import pages
from hubbub.web.request import GATE, Gate
from hubbub_auth import credentials, login, logout
from hubbub_auth.authenticators import Authenticator
from hubbub_auth.front import front
from hubbub_auth.keys import AUTHENTICATOR, COMMITTER, POOL, THROTTLE
from hubbub_auth.oauth import authorize, exchange
from hubbub_auth.throttle import Throttle

#: More than any of our forms needs.
LARGEST_BODY = 64 * 1024


def application(
    *,
    options: Options,
    pool: "asyncpg.Pool[asyncpg.Record]",
    committer: Committer,
    authenticator: Authenticator,
    cookie_secret: bytes,
    forward_key: str,
) -> web.Application:
    """The app; the *committer* must be running while it serves."""

    async def is_known(name: str) -> bool:
        return bool(await pool.fetchval("select true from users where name = $1", name))

    authenticator.is_known = is_known
    app = web.Application(middlewares=[front], client_max_size=LARGEST_BODY)
    app[GATE] = Gate(Access(pool, options), options, cookie_secret, forward_key)
    app[POOL] = pool
    app[COMMITTER] = committer
    app[AUTHENTICATOR] = authenticator
    app[THROTTLE] = Throttle(pool)
    app[pages.ENVIRONMENT] = pages.environment("hubbub_auth")
    app.add_routes(routes(options.hub_prefix))
    return app


def routes(prefix: str) -> list[web.RouteDef]:
    authorizing, exchanging = f"{prefix}api/oauth2/authorize", f"{prefix}api/oauth2/token"
    return [
        web.get(f"{prefix}login", login.show),
        web.post(f"{prefix}login", login.submit),
        web.get(f"{prefix}logout", logout.leave, allow_head=False),
        web.get(authorizing, authorize.ask, allow_head=False),
        web.post(authorizing, authorize.consent),
        web.post(exchanging, exchange.exchange),
        web.options(authorizing, _nothing),
        web.options(exchanging, _nothing),
        # No api forwards this: it is asked by apis themselves.
        web.post(f"{prefix}internal/credentials", credentials.check),
    ]


async def _nothing(_: web.Request) -> web.Response:
    return web.Response()
