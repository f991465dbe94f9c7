"""From everything outside the hub's own addresses to inside them, and slashes where they belong."""

import re

from aiohttp import web

from hubbub.web.base import rest_of
from hubbub.web.request import GATE, redirect
from hubbub_api.pages import missed
from hubbub_api.pages.asking import prefix_of


def routes(prefix: str) -> list[web.RouteDef]:
    base = prefix.removesuffix("hub/")
    outside = f"(?!{re.escape(prefix[1:-1])}(?:/|$)).*"
    return [
        web.get(prefix.rstrip("/"), add_slash),
        web.get(f"{base}{{kind:user|services}}/{{name}}", add_slash),
        web.get(f"/{{path:{outside}}}", into_hub),
    ]


async def add_slash(request: web.Request) -> web.StreamResponse:
    path, query = request.rel_url.raw_path, request.rel_url.raw_query_string
    redirect(f"{path}/{'?' if query else ''}{query}", permanent=True)


async def into_hub(request: web.Request) -> web.StreamResponse:
    """`/user/ada/tree` to `/hub/user/ada/tree`, where the login's cookies are sent along."""
    options = request.app[GATE].options
    if request.headers.get("Upgrade", "").lower() == "websocket":  # which goes nowhere that it is led to
        await missed.note(request)
    path, query = request.rel_url.raw_path, request.rel_url.raw_query_string
    inside = rest_of(path, options.base_url)
    if inside is None:
        inside = "" if rest_of(f"{path}/", options.base_url) == "" else path.lstrip("/")
    redirect(f"{options.hosts.public_origin}{prefix_of(request)}{inside}{'?' if query else ''}{query}")
