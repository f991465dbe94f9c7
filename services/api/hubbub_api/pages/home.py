"""The home page: one's own servers. And the hub's front door, which leads to where one most likely wants to go."""

from aiohttp import web

from hubbub.access import Identity
from hubbub.domain.names import escape, prefix
from hubbub.web.next_url import asked_for, keeping_query
from hubbub.web.pages import render
from hubbub.web.request import GATE, redirect
from hubbub_api.keys import VIEWS
from hubbub_api.pages.asking import logged_in
from hubbub_api.pages.card import card


@logged_in
async def default(request: web.Request, identity: Identity) -> web.StreamResponse:
    """`/hub/`: to the wished page, else to one's own server, else to where it is started."""
    if wish := asked_for(request):
        redirect(wish)
    options = request.app[GATE].options
    place = f"{options.hub_prefix}home"
    if options.hub.redirect_to_server:
        server = await request.app[VIEWS].server(identity.name, "")
        running = server is not None and server.ready
        place = ((server and server.prefix) or "") if running else f"{options.hub_prefix}spawn"
    redirect(keeping_query(place, request))


@logged_in
async def show(request: web.Request, identity: Identity) -> web.StreamResponse:
    options = request.app[GATE].options
    rows = (await request.app[VIEWS].servers_of([identity.id])).get(identity.id, [])
    by_name = {row.name: row for row in rows}
    cards = {
        name: card(
            by_name.get(name),
            identity.name,
            name,
            base_url=options.base_url,
            hub_prefix=options.hub_prefix,
            viewer=identity.name,
        )
        for name in ["", *sorted(name for name in by_name if name)]
    }
    named = [each for name, each in cards.items() if name]
    limit = options.hub.named_server_limit_per_user
    return render(
        request,
        "home.html",
        identity,
        default=cards[""],
        named=named,
        allow_named=options.hub.allow_named_servers,
        limit=limit,
        room=not limit or len(named) < limit,
        new_path=f"users/{escape(identity.name)}/servers/",
        new_spawn=f"{options.hub_prefix}spawn/{escape(identity.name)}/",
        new_url=prefix(options.base_url, identity.name, ""),
    )
