"""Starting a server from the browser. A link of ours starts it at once; one on another site only offers to."""

from typing import NoReturn

from aiohttp import web

from hubbub.access import Identity
from hubbub.domain.message import Rejected
from hubbub.web.next_url import asked_for, keeping_query, with_query
from hubbub.web.pages import render
from hubbub.web.request import GATE, redirect, require
from hubbub_api import servers
from hubbub_api.answers import status_of
from hubbub_api.keys import VIEWS
from hubbub_api.limits import Throttled
from hubbub_api.pages.asking import logged_in, owner_of
from hubbub_api.pages.card import Card, card
from hubbub_api.rows import ServerRow, UserRow


def routes(prefix: str) -> list[web.RouteDef]:
    paths = (f"{prefix}spawn", f"{prefix}spawn/{{owner}}", f"{prefix}spawn/{{owner}}/{{name}}")
    return [
        # Without HEAD: it must have no effect.
        *(web.get(path, show, allow_head=False) for path in paths),
        *(web.post(path, submit) for path in paths),
    ]


@logged_in
async def show(request: web.Request, identity: Identity) -> web.StreamResponse:
    owner, row = await _target(request, identity)
    _go_where_it_is(request, row)
    if _from_elsewhere(request):
        return _page(request, identity, owner, row)
    return await _start(request, identity, owner, row)


@logged_in
async def submit(request: web.Request, identity: Identity) -> web.StreamResponse:
    owner, row = await _target(request, identity)
    _go_where_it_is(request, row)
    return await _start(request, identity, owner, row)


async def _target(request: web.Request, identity: Identity) -> tuple[UserRow, ServerRow | None]:
    name = request.match_info.get("name", "")
    require(identity, "servers", user=request.match_info.get("owner", identity.name), server=name)
    owner = await owner_of(request, identity)
    return owner, await request.app[VIEWS].server(owner.name, name)


def _from_elsewhere(request: web.Request) -> bool:
    """Whether another site sent the browser here, or it only looks ahead: no reason to start anything."""
    site = request.headers.get("Sec-Fetch-Site", "none")
    return site not in ("none", "same-origin") or "prefetch" in request.headers.get("Sec-Purpose", "")


def _go_where_it_is(request: web.Request, row: ServerRow | None) -> None:
    """A server that runs or is on its way is not started again."""
    if row and row.ready:
        redirect(asked_for(request) or keeping_query(row.prefix or "", request, "display_name"))
    if row and row.pending:
        _follow(request, row)


def _follow(request: web.Request, row: ServerRow) -> NoReturn:
    place = keeping_query(_card(request, row.owner, row.name, row).pending_url, request, "display_name")
    wish = asked_for(request)
    redirect(with_query(place, ("next", wish)) if wish else place)


async def _start(request: web.Request, identity: Identity, owner: UserRow, row: ServerRow | None) -> web.StreamResponse:
    name = request.match_info.get("name", "")
    title = request.query.get("display_name", "") if row is None else ""
    try:
        row = await servers.start(request, identity, owner, name, display_name=title)
    except Rejected as refusal:
        page = _page(request, identity, owner, row, status=status_of(refusal), problem=str(refusal))
        if isinstance(refusal, Throttled):
            page.headers["Retry-After"] = str(refusal.seconds)
        return page
    _follow(request, row)


def _page(
    request: web.Request,
    identity: Identity,
    owner: UserRow,
    row: ServerRow | None,
    *,
    status: int = 200,
    problem: str = "",
) -> web.Response:
    """A Start button, which tells what stood in the way when it was pressed before."""
    shown = _card(request, owner.name, request.match_info.get("name", ""), row, viewer=identity.name)
    action = request.rel_url.raw_path_qs
    return render(request, "spawn.html", identity, status=status, server=shown, action=action, problem=problem)


def _card(request: web.Request, owner: str, name: str, row: ServerRow | None, viewer: str = "") -> Card:
    options = request.app[GATE].options
    return card(row, owner, name, base_url=options.base_url, hub_prefix=options.hub_prefix, viewer=viewer)
