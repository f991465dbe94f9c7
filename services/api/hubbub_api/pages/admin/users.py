"""`/hub/admin/users`: everybody, with their servers, in a table that finds, orders and acts for one or many."""

from dataclasses import dataclass

from aiohttp import web
from yarl import URL

from hubbub.access import Identity
from hubbub.domain import scope
from hubbub.domain.names import escape
from hubbub.web.request import GATE, ApiError, require_any
from hubbub_api import people, people_wanted
from hubbub_api.keys import ACTIVITIES, VIEWS
from hubbub_api.pages.admin.lines import Line, lines, may_administer
from hubbub_api.pages.admin.room import operator, page
from hubbub_api.people import SORTS, Place
from hubbub_api.people_wanted import STATES, Person, Wanted
from hubbub_api.rows import ServerRow

#: People on a page.
PAGE = 50
#: What everybody's address may say, so that nobody has the database look for a book.
LONGEST_SEARCH = 255

ORDERS = {
    "name": "Name, A to Z",
    "-name": "Name, Z to A",
    "-last_activity": "Active last",
    "last_activity": "Active longest ago",
    "-created": "Newest",
    "created": "Oldest",
    "state": "Running first",
    "-state": "Stopped first",
}
#: What the heads of columns order by: first so, then the other way round.
HEADS = {"name": "name", "state": "state", "last_activity": "-last_activity", "created": "-created"}
#: What happened to whom is news for this page.
FOLLOW = "aggregate=user,server,route,proxy"
#: What may be read of somebody by whom, besides those who may read all of them.
_READ: dict[str, tuple[str, ...]] = {
    "groups": ("read:users:groups",),
    "activity": ("read:users:activity",),
    "created": (),
}


@dataclass(frozen=True)
class Row:
    """A person in the table. `path`: below the API. `stopped`: how many named servers of theirs are not shown.

    `sees`: which columns whoever looks may read of them.
    """

    person: Person
    url: str
    path: str
    lines: list[Line]
    stopped: int
    sees: dict[str, bool]
    may_edit: bool
    may_delete: bool


def routes(prefix: str) -> list[web.RouteDef]:
    return [web.get(f"{prefix}admin/users", show)]


@operator
async def show(request: web.Request, identity: Identity) -> web.StreamResponse:
    require_any(identity, "list:users", filters={"user", "group"})
    wanted, place = _wanted(request, identity), _place(request)
    options, views = request.app[GATE].options, request.app[VIEWS]
    if wanted.sort.endswith("last_activity"):
        await request.app[ACTIVITIES].write()
    found = await people.page(views, wanted, place, PAGE)
    who = await people_wanted.people(views, found.ids)
    servers = await views.servers_of(found.ids)
    whole = request.query.get("stopped") == "1"
    rows = [_row(request, identity, each, servers.get(each.id, []), whole=whole) for each in who]
    return page(
        request,
        identity,
        "users.html",
        "/users",
        follow=FOLLOW,
        rows=rows,
        found=found,
        wanted=wanted,
        whole=whole,
        states=STATES,
        orders=ORDERS,
        heads=_heads(request, wanted),
        previous=_page_url(request, found.previous),
        following=_page_url(request, found.following),
        first=_page_url(request, Place() if found.start else None),
        last=_page_url(request, Place(last=True) if found.following else None),
        toggled=_url(request, stopped="" if whole else "1"),
        may=_may(identity),
        ends={"servers": options.cleanup_servers, "proxy": options.cleanup_proxy},
    )


def _wanted(request: web.Request, identity: Identity) -> Wanted:
    search, state = request.query.get("search", "").strip(), request.query.get("state", "")
    sort = request.query.get("sort", "name")
    if state and state not in STATES:
        raise ApiError(400, f"There is no such state of people: {state[:50]}")
    if sort not in SORTS:
        raise ApiError(400, f"People cannot be put in order by {sort[:50]}")
    return Wanted.by(identity, search=search[:LONGEST_SEARCH], state=state, sort=sort)


def _place(request: web.Request) -> Place:
    start = request.query.get("from", "0")
    return Place(
        start=int(start) if start.isascii() and start.isdecimal() and len(start) < 10 else 0,
        after=request.query.get("after", ""),
        before=request.query.get("before", ""),
        last=request.query.get("last") == "1",
    )


def _row(request: web.Request, viewer: Identity, person: Person, servers: list[ServerRow], *, whole: bool) -> Row:
    every = lines(servers, person.name, request.app[GATE].options, viewer)
    shown = [each for each in every if whole or not each.card.name or each.card.state != "stopped"]
    return Row(
        person=person,
        url=f"{request.app[GATE].options.hub_prefix}admin/users/{escape(person.name)}",
        path=f"users/{escape(person.name)}",
        lines=shown,
        stopped=len(every) - len(shown),
        sees={
            column: any(viewer.may(base, user=person.name) for base in ("read:users", *bases))
            for column, bases in _READ.items()
        },
        may_edit=may_administer(viewer, person.name, admin=person.admin),
        may_delete=viewer.may("delete:users", user=person.name) and person.id != viewer.id,
    )


def _may(identity: Identity) -> dict[str, bool]:
    """What there are buttons for. What a button may not do for somebody, the API refuses."""
    return {
        "start": scope.held_at_all(identity.scopes, "start:servers"),
        "stop": scope.held_at_all(identity.scopes, "delete:servers"),
        "delete": scope.held_at_all(identity.scopes, "delete:users"),
        "create": identity.may("admin:users"),
        "promote": identity.admin and identity.may("admin:users"),
        "shutdown": identity.may("shutdown"),
    }


# Addresses of this page with another query ----------------------------------------------------

#: What another search, order or filter begins anew.
_PLACE = ("from", "after", "before", "last")


def _url(request: web.Request, **changed: str) -> str:
    kept = {key: value for key, value in request.query.items() if key not in _PLACE}
    query = {key: value for key, value in {**kept, **changed}.items() if value}
    return str(URL.build(path=request.rel_url.raw_path, encoded=True).with_query(query))


def _page_url(request: web.Request, place: Place | None) -> str:
    return "" if place is None else _url(request, **place.query)


def _heads(request: web.Request, wanted: Wanted) -> dict[str, tuple[str, str]]:
    """Of each column: its address, and how the table is ordered by it now (as ARIA has it)."""
    found = {}
    for column, first in HEADS.items():
        other = first.removeprefix("-") if first.startswith("-") else f"-{first}"
        url = _url(request, sort=other if wanted.sort == first else first)
        by = wanted.sort.removeprefix("-") == column
        found[column] = (url, ("descending" if wanted.sort.startswith("-") else "ascending") if by else "none")
    return found
