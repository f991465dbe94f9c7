"""Pausing starts, and the banner on every page: what is so, and forms which ask the API for something else."""

from aiohttp import web

from hubbub.access import Identity
from hubbub.domain.house import LONGEST
from hubbub_api.keys import HOUSE
from hubbub_api.pages.admin.room import operator, page


@operator
async def show(request: web.Request, identity: Identity) -> web.StreamResponse:
    house = request.app[HOUSE]
    return page(
        request,
        identity,
        "house.html",
        "/house",
        follow="aggregate=house",
        paused=house.paused,
        put_up=house.banner(),
        longest=LONGEST,
    )
