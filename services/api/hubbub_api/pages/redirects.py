"""From everything outside the hub's own addresses to inside them, and slashes where they belong."""

import re
from urllib.parse import urlsplit

from aiohttp import web

from hubbub.web.request import GATE, redirect
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
    path = request.rel_url.raw_path_qs
    inside = path.removeprefix(options.base_url) if path.startswith(options.base_url) else path.lstrip("/")
    if request.rel_url.raw_path + "/" == options.base_url:
        inside = ""
    public = urlsplit(options.hub.public_url)
    redirect((f"{public.scheme}://{public.netloc}" if public.netloc else "") + prefix_of(request) + inside)
