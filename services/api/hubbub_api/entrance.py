"""Logging in and out as an api sees it, by whose hands it goes: auths answer.

With `c.JupyterHub.shutdown_on_logout` the servers of whoever has logged out are stopped.
"""

import asyncio
import time
from contextlib import suppress

import structlog
from aiohttp import web

from hubbub.access import Identity
from hubbub.forwarded import without_port
from hubbub.hosts import BadHost
from hubbub.web.request import GATE, by_cookie
from hubbub_api import servers
from hubbub_api.forward import AUTHS
from hubbub_api.keys import VIEWS
from hubbub_api.metrics import METRICS

log = structlog.get_logger()


async def forward(request: web.Request) -> web.StreamResponse:
    """What an auth answers."""
    path = request.path.removeprefix(request.app[GATE].options.hub_path)
    if path == "logout":
        return await _log_out(request)
    return await request.app[AUTHS].forward(request)


# Logging out ------------------------------------------------------------------------------


async def _log_out(request: web.Request) -> web.StreamResponse:
    began = time.monotonic()
    leaving = await _who_leaves(request)
    response = await request.app[AUTHS].forward(request)
    if leaving is not None and await by_cookie(request) is None:  # the session has really ended
        await _stop_servers(request, leaving)
    if response.status < 400:
        request.app[METRICS].logged_out(time.monotonic() - began)
    return response


async def _who_leaves(request: web.Request) -> Identity | None:
    """Whose servers are to be stopped. Another site that sends a browser here can log them out, but no more than that:
    a log-out is a GET, as in JupyterHub, and whoever likes can write a link.
    """
    options, site = request.app[GATE].options, request.headers.get("Sec-Fetch-Site")
    if not options.hub.shutdown_on_logout or site == "cross-site":
        return None
    leaving = await by_cookie(request)
    if leaving is not None and site == "same-site" and options.hosts.routing:
        # Their own servers send people here when they log out there; those of others are other sites.
        referer = without_port(request.headers.get("Referer", "").partition("://")[2].partition("/")[0])
        with suppress(BadHost):
            return leaving if referer == options.hosts.of_user(leaving.name) else None
        return None
    return leaving


async def _stop_servers(request: web.Request, owner: Identity) -> None:
    """Those that run. What is on its way up or down is left alone, as JupyterHub does."""
    freshness = request.app[GATE].freshness
    if freshness is not None and freshness.policy.refreshes and freshness.policy.refresh_pre_stop:
        await freshness.renew(owner.id)  # whatever comes of it: they cannot be asked to log in now
    running = [server for server in await request.app[VIEWS].active(owner.id) if not server.pending]
    ended = await asyncio.gather(
        *(servers.end(request.app, owner.actor, server) for server in running), return_exceptions=True
    )
    for server, outcome in zip(running, ended, strict=True):
        if outcome is not None:  # stopped meanwhile, perhaps; they are logged out whatever it is
            log.warning("server.not_stopped", server=server.id, error=str(outcome) or type(outcome).__name__)
    log.info("logout.servers_stopped", user=owner.id, servers=len(running))
