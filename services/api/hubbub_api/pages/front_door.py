"""Where addresses lead that name no server: `/hub/`, and `/hub/user-redirect/x`, a place on everybody's own."""

import inspect
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from hubbub.access import Identity
from hubbub.as_in_tornado import Handler
from hubbub.config import Options
from hubbub.domain.names import escape
from hubbub.web.next_url import asked_for, keeping_query, with_query
from hubbub.web.request import GATE, ApiError, redirect
from hubbub_api.keys import VIEWS
from hubbub_api.pages.asking import logged_in, prefix_of
from hubbub_api.pages.options import web_request


def routes(prefix: str) -> list[web.RouteDef]:
    return [
        web.get(prefix, default),
        web.get(f"{prefix}user-redirect", user_redirect),
        web.get(f"{prefix}user-redirect/{{path:.*}}", user_redirect),
    ]


@dataclass(frozen=True)
class User:
    """What an operator's code reads of whoever asks."""

    name: str
    admin: bool
    groups: list[str]
    escaped_name: str
    url: str


@dataclass(frozen=True)
class Hub:
    base_url: str


class _Asked(Handler):
    """For `default_url`. `hub.base_url`: of the hub's pages, `/hub/`; `base_url`: of everything."""

    def __init__(self, request: web.Request, identity: Identity) -> None:
        options = request.app[GATE].options
        super().__init__(web_request(request, identity), _user(identity, options))
        self.base_url = options.base_url
        self.hub = Hub(options.hub_prefix)


@logged_in
async def default(request: web.Request, identity: Identity) -> web.StreamResponse:
    """To the wished page, else to where the operator wants, else to one's own server, else to where it is started."""
    if wish := asked_for(request):
        redirect(wish)
    options = request.app[GATE].options
    if place := await _wanted(options.hub.default_url, _Asked(request, identity)):
        redirect(keeping_query(place, request))
    place = f"{options.hub_prefix}home"
    if options.hub.redirect_to_server:
        server = await request.app[VIEWS].server(identity.name, "")
        place = f"{options.hub_prefix}spawn"
        if server is not None and server.ready:
            place = options.hosts.link(identity.name, server.prefix or "")
    redirect(keeping_query(place, request))


@logged_in
async def user_redirect(request: web.Request, identity: Identity) -> web.StreamResponse:
    options = request.app[GATE].options
    if hook := options.hub.user_redirect_hook:
        asked = _Asked(request, identity)
        path = request.match_info.get("path", "")
        if place := await _wanted(hook, path, asked.request, asked.current_user, options.base_url):
            redirect(place)
    prefix, who = prefix_of(request), escape(identity.name)
    rest = request.rel_url.raw_path_qs.removeprefix(f"{prefix}user-redirect").lstrip("/")
    named = options.hub.allow_named_servers and options.hub.default_server_name
    server = f"{who}/{escape(named)}" if named else who
    redirect(with_query(f"{prefix}spawn/{server}", ("next", f"{options.base_url}user/{server}/{rest}")))


async def _wanted(said: Any, *arguments: Any) -> str:
    """What the operator says, or their code when it is asked; "" if nothing."""
    found = said
    if callable(said):
        found = said(*arguments)
        if inspect.isawaitable(found):
            found = await found
    if found is not None and not isinstance(found, str):
        raise ApiError(500, f"The configuration of this hub leads to {type(found).__name__}, which is no address.")
    return found or ""


def _user(identity: Identity, options: Options) -> User:
    who = escape(identity.name)
    return User(identity.name, identity.admin, list(identity.groups), who, f"{options.base_url}user/{who}/")
