"""Requests for the hub's pages that come to a host below the hub's, where somebody's server is.

A page that is shown there is in the hands of whoever that is: their own pages could look into it, and read what is
typed. So it is shown at the hub's own address alone.
"""

from aiohttp import web

from hubbub.forwarded import without_port
from hubbub.web.request import GATE, ApiError, host_asked_for, redirect

MOVED = "This page is at the hub's own address alone"

#: Below the hub's prefix: what is for no people, and what error pages at any host are made of.
_ANYWHERE = ("static/", "error/", "security/")
_PROBES = ("health", "metrics")
#: The page of the API.
_AUTHORIZE = "api/oauth2/authorize"


def is_astray(request: web.Request) -> bool:
    """Whether it is for a page of the hub, and was sent to another host of its domain."""
    options = request.app[GATE].options
    if not options.hosts.routing or not request.path.startswith(options.hub_path):
        return False
    rest = request.path.removeprefix(options.hub_path)
    if rest.startswith(_ANYWHERE) or rest in _PROBES or (rest.startswith("api/") and rest != _AUTHORIZE):
        return False
    host = without_port(host_asked_for(request))
    return host != options.hosts.domain and options.hosts.is_ours(host)


async def back(request: web.Request) -> web.StreamResponse:
    """To the same page of the hub. Nothing that was sent goes along."""
    if request.method not in ("GET", "HEAD"):
        raise ApiError(403, MOVED)
    redirect(request.app[GATE].options.hosts.public_origin + request.rel_url.raw_path_qs)
