"""The web application: everything it needs is handed to it, and nothing happens before it runs."""

from functools import partial
from typing import Any

import asyncpg
from aiohttp import web

from hubbub.access import Access, Identity
from hubbub.auth_messages import About
from hubbub.config import Options
from hubbub.counting import Counts
from hubbub.floor import Floor
from hubbub.handle import Committer
from hubbub.vault import Vault
from hubbub.web import base, pages
from hubbub.web.freshness import Freshness
from hubbub.web.request import GATE, Gate
from hubbub_auth import credentials, freshness, greeting, login, logout
from hubbub_auth.admission import Admission
from hubbub_auth.front import front
from hubbub_auth.hosted import Hosted
from hubbub_auth.keys import ADMISSION, COMMITTER, COUNTS, HOSTED, HOUSE, PATTERNS, POOL, THROTTLE, VAULT
from hubbub_auth.oauth import authorize, exchange
from hubbub_auth.throttle import Throttle

#: More than any of our forms needs.
LARGEST_BODY = 64 * 1024


def application(
    *,
    options: Options,
    pool: "asyncpg.Pool[asyncpg.Record]",
    committer: Committer,
    vault: Vault,
    authenticator: Any,
    floor: Floor,
    cookie_secret: bytes,
    forward_key: str,
) -> web.Application:
    """The app; the *committer* must be running while it serves. *authenticator*: as `configured.make` has it."""

    async def is_known(name: str) -> bool:
        return bool(await pool.fetchval("select true from users where name = $1", name))

    app = web.Application(middlewares=[front], client_max_size=LARGEST_BODY)
    hosted = app[HOSTED] = Hosted(authenticator, is_known=is_known, floor=floor)
    app[ADMISSION] = Admission(pool, committer, vault, hosted, options)
    policy, ask = hosted.policy, partial(freshness.of_our_own, app)
    app[GATE] = Gate(Access(pool, options), options, cookie_secret, forward_key, Freshness(lambda: policy, ask))
    app[POOL] = pool
    app[COUNTS] = Counts()
    app[COMMITTER] = committer
    app[VAULT] = vault
    app[THROTTLE] = Throttle(pool, key=cookie_secret, kept=options.ours.failed_logins_kept)
    freshness.prepare(app)
    app.cleanup_ctx.append(greeting.everybody)
    app[pages.ENVIRONMENT] = pages.environment("hubbub_auth", options)
    app[pages.FURNITURE] = _furniture
    prefix = options.hub_prefix
    app.add_routes(base.placed(routes(prefix), prefix))
    if hosted.is_classic:
        _host_pages(app, authenticator, floor)
    else:
        authenticator.settle_in(app)
        app.add_routes(base.placed([*_logins(prefix), *authenticator.routes(prefix)], prefix))
    base.resolve_below(app, options.base_url)
    return app


def routes(prefix: str) -> list[web.RouteDef]:
    authorizing, exchanging = f"{prefix}api/oauth2/authorize", f"{prefix}api/oauth2/token"
    return [
        web.get(authorizing, authorize.ask, allow_head=False),
        web.post(authorizing, authorize.consent),
        web.post(exchanging, exchange.exchange),
        web.options(authorizing, _nothing),
        web.options(exchanging, _nothing),
        # No api forwards these: they are asked by apis themselves.
        web.post(f"{prefix}internal/credentials", credentials.check),
        web.post(f"{prefix}internal/refresh", freshness.answer),
        web.post(f"{prefix}internal/users", greeting.answer),
    ]


def _logins(prefix: str) -> list[web.RouteDef]:
    return [
        web.get(f"{prefix}login", login.show),
        web.post(f"{prefix}login", login.submit),
        web.get(f"{prefix}logout", logout.leave, allow_head=False),
    ]


def _host_pages(app: web.Application, authenticator: Any, floor: Floor) -> None:
    """All its pages are its own, login and log-out included."""
    from hubbub_auth.classic.gateway import Gateway  # JupyterHub is imported for such a class only

    gate = app[GATE]
    gateway = Gateway(authenticator, floor, gate.cookie_secret)
    app[PATTERNS] = gateway.patterns
    app.cleanup_ctx.append(gateway.running)
    app.router.add_route("*", f"{base.stand_in(gate.options.hub_prefix)}{{page:.*}}", gateway.forward)


def about(app: web.Application, url: str) -> About:
    """What apis are told: all pages here are for browsers, but for those that no api forwards."""
    prefix = app[GATE].options.hub_prefix
    known = base.stand_in(prefix)
    paths = {resource.canonical.removeprefix(known) for resource in app.router.resources()} | {"login", "logout"}
    paths = {path for path in paths if not path.startswith("internal/") and "{" not in path}
    patterns = app.get(PATTERNS, ())
    hosted = app[HOSTED]
    return About(
        url=url,
        paths=tuple(sorted(paths)),
        patterns=patterns,
        pages=() if hosted.is_classic else tuple(hosted.authenticator.pages(prefix)),
        remembers=hosted.is_classic,
        policy=hosted.policy,
    )


def _furniture(request: web.Request, identity: Identity | None) -> dict[str, Any]:
    """What hangs on every page of ours."""
    house = request.app.get(HOUSE)
    return {"banner": house.banner() if house else None, "nav": pages.navigation(request, identity)}


async def _nothing(_: web.Request) -> web.Response:
    return web.Response()
