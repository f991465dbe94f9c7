"""Proxies: the routes that they have, having them compared with what they should be, and moving a proxy."""

from contextlib import suppress
from typing import Any
from uuid import uuid4

import msgspec
import structlog
from aiohttp import web
from msgspec import UNSET, UnsetType

from hubbub.addresses import BadAddress, parsed
from hubbub.config import Options
from hubbub.domain.message import Json
from hubbub.domain.names import prefix
from hubbub.eventlog import Context
from hubbub.hosts import BadHost
from hubbub.managed import prefix_of
from hubbub.transaction import Transaction
from hubbub.web.request import GATE, ApiError, identify, require
from hubbub_api.answers import body_of, page_of, refuse, stamp, typed
from hubbub_api.commit import commit
from hubbub_api.endpoint import Endpoints
from hubbub_api.keys import COMMITTER, COMPARISONS, MOVED, POOL
from hubbub_api.moved import Place
from hubbub_api.past import PagingThen, then
from hubbub_api.views import Views

log = structlog.get_logger()

routes = Endpoints("hub")

_LONGEST = 2000


class Route(msgspec.Struct):
    """`data`: whose it is: `user` and `server_name`, `service`, `hub` or `extra`."""

    routespec: str
    target: str
    data: Json


class MovedProxy(msgspec.Struct, kw_only=True):
    """Where the proxy's API is now, and its token; what is left out is as it was. `proxy`: which one, by the name of
    its proxy-sync, if there are several. Other keys mean nothing.
    """

    api_url: str | UnsetType = UNSET
    auth_token: str | UnsetType = UNSET
    proxy: str | UnsetType = UNSET


# A route that several proxies have is one.
_ROUTES = """
    select q.*, u.name as owner, s.name, s.prefix, v.name as service, a.at as last_activity
    from (select r.server, min(r.target) as target, min(r.number) as number
          from routes r join proxies p on p.id = r.proxy
          group by r.server order by r.server <> 'hub', number limit $1 offset $2) q
    left join servers s on s.id = q.server left join users u on u.id = s.user_id
    left join services v on v.id = substr(q.server, 9) and q.server like 'service:%'
    left join activity a on a.subject = 'server:' || q.server
    order by q.server <> 'hub', q.number
"""
_HOW_MANY = "select count(distinct r.server) from routes r join proxies p on p.id = r.proxy"


@routes.get("/proxy", scopes=("proxy",), query=PagingThen, answers={200: dict[str, Route]})
async def proxy_routes(request: web.Request) -> web.Response:
    """Lists the routes of the proxies, by what they begin with: as those that have joined have reported them, and last
    the operator's own (`c.Proxy.extra_routes`).
    """
    identity = require(await identify(request), "proxy")
    page = page_of(request)
    views, _ = await then(request, identity)
    found, total = await routes_in(views, request.app[GATE].options, offset=page.offset, limit=page.limit)
    return page.answer(request, found, total)


async def routes_in(views: Views, options: Options, *, offset: int, limit: int) -> tuple[dict[str, Route], int]:
    """A page of the routes by what they begin with, and how many there are."""
    rows, [counted] = await views.fetch(_ROUTES, limit, offset), await views.fetch(_HOW_MANY)
    total = counted[0]
    found: dict[str, Route] = {}
    for row in rows:
        spec, data = _route(options, row)
        if row["last_activity"]:
            data["last_activity"] = stamp(row["last_activity"])
        found[spec] = Route(spec, row["target"], data)
    extra = list(options.proxy.extra_routes.items()) if total else []
    first = max(0, offset - total)
    for spec, target in extra[first : first + limit - len(rows)]:
        found[spec] = Route(spec, target, {"extra": True})
    return found, total + len(extra)


def _route(options: Options, row: Any) -> tuple[str, dict[str, Any]]:
    hosts, base_url, server = options.hosts, options.base_url, row["server"]
    if server == "hub":
        return hosts.hub_routespec, {"hub": True}
    with suppress(BadHost):
        if server.startswith("service:"):
            name = row["service"] or server.removeprefix("service:")
            return hosts.spec_of_service(name, prefix_of(base_url, name)), {"service": name}
        if row["owner"] is not None:
            spec = hosts.spec_of_server(row["owner"], row["prefix"] or prefix(base_url, row["owner"], row["name"]))
            return spec, {"user": row["owner"], "server_name": row["name"]}
    return f"{base_url}unknown/{server}/", {"server": server}


@routes.post("/proxy", scopes=("proxy",))
async def check_routes(request: web.Request) -> web.Response:
    """Has the routes of every proxy compared with what they should be, now. Answers when that is done, or after 5 s."""
    require(await identify(request), "proxy")
    return await _compare_all(request)


async def _compare_all(request: web.Request) -> web.Response:
    proxies = [row["id"] for row in await request.app[POOL].fetch("select id from proxies")]
    if not await request.app[COMPARISONS].compare(proxies):
        log.warning("proxy.compares_slowly", proxies=proxies)
    return _done()


def _done() -> web.Response:
    return web.Response(status=200, content_type="application/json")


@routes.patch("/proxy", scopes=("proxy",), body=MovedProxy, answers={200: None})
async def move_proxy(request: web.Request) -> web.Response:
    """Moves a proxy, for good: its proxy-sync goes on with the one at `api_url`, which others keep running. Answers
    when that has all routes, or after 5 s. 400, and nothing has changed: nobody answers there, or not to this token, or
    proxies of its kind have no address.
    """
    identity = require(await identify(request), "proxy")
    said = await body_of(request)
    if said is None:
        raise ApiError(400, "need JSON body")
    if not isinstance(said, dict):
        raise ApiError(400, "Request body must be JSON dict")
    body: MovedProxy = typed(said, MovedProxy, "Invalid body")
    to, named = _place(body), body.proxy or ""
    if not (to.api_url or to.auth_token):
        return await _compare_all(request)
    moves: list[tuple[str, Place]] = []

    async def move(tx: Transaction) -> tuple[str, Place]:
        moves[:] = [await request.app[MOVED].move(tx, named, to)]
        return moves[0]

    async def render(_: Views, __: tuple[str, Place]) -> web.Response:
        return _done()

    with request.app[COMPARISONS].hearing(to.id) as heard:
        response = await commit(request, identity, move, render)
        for proxy, before in moves:
            log.warning("proxy.moved", proxy=proxy, api_url=to.api_url or before.api_url)
            if not await heard.of([proxy]):
                log.warning("proxy.compares_slowly", proxies=[proxy])
            elif problem := heard.said[proxy].problem:
                await _undo(request, proxy, to, before)
                return refuse(400, problem)
    return response


async def _undo(request: web.Request, proxy: str, to: Place, before: Place) -> None:
    async def body(tx: Transaction) -> None:
        await request.app[MOVED].undo(tx, proxy, to.id, before)

    await request.app[COMMITTER].submit(body, Context.of(f"proxy:{proxy}"))


def _place(body: MovedProxy) -> Place:
    """With the id of this move."""
    url, secret = body.api_url, body.auth_token
    if url is not UNSET:
        try:
            parts = parsed(url)
        except BadAddress as error:
            raise ApiError(400, f"api_url: {error}") from None
        if not parts.hostname or "@" in parts.netloc or parts.query or parts.fragment or not _is_plain(url):
            raise ApiError(400, f"api_url: {url[:100]!r} is not an address like http://127.0.0.1:8001")
    if secret is not UNSET and not _is_plain(secret):
        raise ApiError(400, "auth_token: it is empty, too long, or has characters that no header may have")
    return Place(id=uuid4().hex, api_url="" if url is UNSET else url.rstrip("/"), auth_token=secret or "")


def _is_plain(text: str) -> bool:
    return 0 < len(text) <= _LONGEST and text.isascii() and text.isprintable() and " " not in text
