"""The progress page of a start, and what became of it. Reading it never changes anything."""

from aiohttp import web

from hubbub.access import Identity
from hubbub.web.next_url import asked_for
from hubbub.web.pages import render
from hubbub.web.request import GATE, ApiError, redirect, require
from hubbub_api.keys import VIEWS
from hubbub_api.pages.asking import logged_in, owner_of
from hubbub_api.pages.card import card, failure_of


@logged_in
async def show(request: web.Request, identity: Identity) -> web.StreamResponse:
    name = request.match_info.get("name", "")
    require(identity, "servers", user=request.match_info["owner"], server=name)
    owner = await owner_of(request, identity)
    row = await request.app[VIEWS].server(owner.name, name)
    if row is None and name:
        raise ApiError(404, f"{owner.name} has no such server {name}")
    options = request.app[GATE].options
    wish = asked_for(request)
    if row and row.ready:
        redirect(wish or row.prefix or "")
    shown = card(
        row,
        owner.name,
        name,
        base_url=options.base_url,
        hub_prefix=options.hub_prefix,
        viewer=identity.name,
        then=wish,
    )
    if shown.state == "starting":
        return render(request, "spawn_pending.html", identity, server=shown)
    status = row.failure_status if row and failure_of(row) else 200
    return render(request, "not_running.html", identity, status=status, server=shown)
