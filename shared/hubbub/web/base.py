"""Routes below a base URL of any characters. `/jü lab/` stands quoted wherever it is sent or stored: `/j%C3%BC%20lab/`.

aiohttp compares unquoted paths with quoted routes, so routes are declared below a stand-in, `/j~C3~BC~20lab/`.
"""

from collections.abc import Iterable
from urllib.parse import unquote

from aiohttp import web
from yarl import URL

from hubbub.addresses import BadAddress, quoted


def stand_in(prefix: str) -> str:
    """*prefix* (quoted), or a path that begins with it, as routes have it."""
    return prefix.replace("%", "~")


def placed(routes: Iterable[web.RouteDef], prefix: str) -> list[web.RouteDef]:
    """*routes*, which were declared below *prefix*, as they are to be added."""
    return [
        web.RouteDef(each.method, stand_in(prefix) + each.path.removeprefix(prefix), each.handler, each.kwargs)
        if each.path.startswith(prefix)
        else each
        for each in routes
    ]


def rest_of(raw_path: str, base_url: str) -> str | None:
    """What follows *base_url* in *raw_path*, however that has it quoted; None if it is outside."""
    if raw_path.startswith(base_url):
        return raw_path.removeprefix(base_url)
    depth = base_url.count("/")
    *base, rest = raw_path.split("/", depth)
    if len(base) < depth or unquote(raw_path[: len(raw_path) - len(rest)]) != unquote(base_url):
        return None
    try:
        return rest if quoted("/".join((*base, ""))) == base_url else None
    except BadAddress:
        return None


def elsewhere(request: web.Request, base_url: str) -> str | None:
    """The address of a *request* that quotes the base URL in another way, as it should be; else None.

    Cookies would not be sent along to the one that was asked for.
    """
    asked = request.rel_url.raw_path
    if asked.startswith(base_url) or (rest := rest_of(asked, base_url)) is None:
        return None
    query = request.rel_url.raw_query_string
    return f"{base_url}{rest}{'?' if query else ''}{query}"


def resolve_below(app: web.Application, base_url: str) -> None:
    """Have *app* find its routes, which are below the stand-in for *base_url*."""
    if "%" not in base_url:
        return
    resolve = app.router.resolve

    async def resolved(request: web.Request) -> web.UrlMappingMatchInfo:
        rest = rest_of(request.rel_url.raw_path, base_url)
        # The stand-in itself is no address of ours: whatever is outside is as good as `/`.
        path = "/" if rest is None else stand_in(base_url) + rest
        return await resolve(request.clone(rel_url=URL.build(path=path, encoded=True)))

    app.router.resolve = resolved  # type: ignore[method-assign]
