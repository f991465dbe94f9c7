"""How an api begins to be there for people, and how it ends: nobody's request is lost to the end of a process.

It says first that it is about to go (`/health`), and answers all the same for `HUBBUB_LINGER_SECONDS`, for balancers
that have to find out. Then it takes no more connections. What is being answered may end within
`HUBBUB_GRACE_SECONDS`; whoever still waits for a server after that is told what is true by then.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from aiohttp import web

from hubbub import listening as sockets
from hubbub.config import Options
from hubbub.settings import Settings, give_up
from hubbub_api.keys import LATE, LEAVING
from hubbub_api.malformed import Runner
from hubbub_api.tls import Tls

log = structlog.get_logger()

#: Seconds that connections which are open may still bring a request: it may be on its way already.
_ON_THE_WAY, _LOOK = 0.5, 0.02
#: Seconds for those that were told what is true by now.
_LAST_WORDS = 2.0
_BACKLOG = 1024


@asynccontextmanager
async def listening(app: web.Application, options: Options, settings: Settings, secured: Tls) -> AsyncIterator[None]:
    """Requests are answered while the block runs, and those that came in that time to their end."""
    runner = Runner(app, shutdown_timeout=settings.grace_seconds + _LAST_WORDS)
    await runner.setup()
    for site in _sites(runner, options, secured):
        try:
            await site.start()
        except OSError as error:
            give_up(f"cannot listen on {options.hub_ip}:{options.hub_port}: {error.strerror}")
    try:
        yield
    finally:
        await _leave(app, runner, settings)


def _sites(runner: Runner, options: Options, secured: Tls) -> list[web.BaseSite]:
    """On the sockets that we were given, else on one of our own, which other apis of this host may have as well."""
    try:
        given = sockets.given()
    except OSError as error:
        give_up(f"LISTEN_FDS: these are no sockets: {error.strerror}")
    if given:
        return [web.SockSite(runner, each, backlog=_BACKLOG, ssl_context=secured.serving) for each in given]
    shared = hasattr(socket, "SO_REUSEPORT")
    ip, port, tls = options.hub_ip or None, options.hub_port, secured.serving
    return [web.TCPSite(runner, ip, port, reuse_port=shared, backlog=_BACKLOG, ssl_context=tls)]


async def _leave(app: web.Application, runner: Runner, settings: Settings) -> None:
    app[LEAVING].set()
    await asyncio.sleep(settings.linger_seconds)
    for site in list(runner.sites):
        await site.stop()
    overdue = asyncio.get_running_loop().call_later(settings.grace_seconds, app[LATE].set)
    await _until_unconnected(runner, min(_ON_THE_WAY, settings.grace_seconds))
    await runner.cleanup()
    overdue.cancel()


async def _until_unconnected(runner: Runner, seconds: float) -> None:
    ends = asyncio.get_running_loop().time() + seconds
    while runner.server is not None and runner.server.connections and asyncio.get_running_loop().time() < ends:
        await asyncio.sleep(_LOOK)  # a connection that is closed tells nobody
