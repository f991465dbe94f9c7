"""The home page: one's own servers, those of others that one may use, and services."""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from aiohttp import web

from hubbub import house
from hubbub.access import Identity
from hubbub.domain.names import escape, prefix
from hubbub.domain.scope import held_at_all
from hubbub.hosts import BadHost
from hubbub.web.operators_html import embed
from hubbub.web.pages import Link, render
from hubbub.web.request import GATE, ApiError, redirect
from hubbub_api import quotas, registry, server_end, servers
from hubbub_api.endings import endings
from hubbub_api.house import Notice
from hubbub_api.keys import HOUSE, POOL, VIEWS
from hubbub_api.pages.asking import logged_in, prefix_of
from hubbub_api.pages.card import Card, card, when
from hubbub_api.rows import ServerRow
from hubbub_api.share_models import OF_USER

#: Seconds: what was done elsewhere meanwhile may have put a warning off.
LONGEST_CLOCK, DAY = 60, 86_400
#: Servers of others on one page: who has more may ask the API.
MOST_SHARED = 100

_SHARED = f"""
    select h.server, bool_or(h.user_id <> '') as directly, array_remove(array_agg(distinct g.name), null) as groups
    from shares h left join groups g on g.id = h.group_id and h.group_id <> ''
    where {OF_USER} group by h.server order by min(h.number) limit {MOST_SHARED}
"""
#: How many have a share of each of these servers, and how many links to them are about.
_GIVEN = """
    select server, count(*) as given from (
        select server from shares where server = any($1)
        union all select server from share_codes where server = any($1) and expires_at > now()
    ) x group by server
"""


@dataclass(frozen=True, kw_only=True)
class Theirs:
    """A server of somebody else. `groups`: by way of which it is shared. `leave`: below the API; "" if one cannot."""

    card: Card
    opens: bool
    starts: bool
    groups: tuple[str, ...]
    leave: str


def routes(prefix: str) -> list[web.RouteDef]:
    return [web.get(f"{prefix}home", show), web.post(f"{prefix}home", act)]


@logged_in
async def show(request: web.Request, identity: Identity) -> web.StreamResponse:
    options = request.app[GATE].options
    rows = (await request.app[VIEWS].servers_of([identity.id])).get(identity.id, [])
    by_name = {row.name: row for row in rows}
    notices = await endings(request.app, rows)
    cards = {
        name: _card(request, identity, by_name.get(name), identity.name, name, notices)
        for name in ["", *sorted(name for name in by_name if name)]
    }
    named = [each for name, each in cards.items() if name]
    limit = options.hub.named_server_limit_per_user
    paused = request.app[HOUSE].paused
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
        new_url=options.hosts.link(identity.name, prefix(options.base_url, identity.name, "")),
        given=await _given(request, identity, by_name),
        theirs=await _theirs(request, identity),
        services=await _services(request, identity),
        paused=house.why(paused) if paused else "",
        home=f"{prefix_of(request)}home",
        clock=_clock(notices.values()),
        used=await _used(request, identity),
        when=when,
    )


@logged_in
async def act(request: web.Request, identity: Identity) -> web.StreamResponse:
    """POST, of browsers without scripts: `stop` is the name of one's server that is to stop, or `keep` of one that is
    not to be stopped yet. Back to the page.
    """
    form = await request.post()
    asked = next((name for name in ("stop", "keep") if isinstance(form.get(name), str)), "")
    if not asked:
        raise ApiError(400, "The form does not say which server to stop.")
    wanted = str(form[asked])
    row = await request.app[VIEWS].server(identity.name, wanted)
    if row is not None and asked == "keep" and row.ready and identity.may("users:activity", user=identity.name):
        await server_end.is_there(request.app, row)
    if row is not None and asked == "stop" and row.active and _may_stop(identity, wanted):
        await servers.stop(request, identity, row)
    redirect(f"{prefix_of(request)}home")


def _may_stop(identity: Identity, name: str) -> bool:
    return identity.may("delete:servers", user=identity.name, server=name)


def _clock(notices: Iterable[Notice]) -> int:
    """In how many seconds to look at the page again: no event tells that it is time for a warning. 0: not for that."""
    now = datetime.now(UTC)
    times = [
        (time, each.keeps) for each in notices if each.told_from for time in (each.told_from, each.deadline) if time
    ]
    ahead = [((time - now).total_seconds() + 1, LONGEST_CLOCK if keeps else DAY) for time, keeps in times if time > now]
    return int(max(1, min(min(seconds, longest) for seconds, longest in ahead))) if ahead else 0


def _card(
    request: web.Request,
    identity: Identity,
    row: ServerRow | None,
    owner: str,
    name: str,
    notices: Mapping[str, Notice],
) -> Card:
    options = request.app[GATE].options
    shown = card(row, owner, name, options, viewer=identity.name, notice=notices.get(row.id) if row else None)
    if shown.html:
        [html] = embed(request, shown.html)
        return shown.with_html(html)
    return shown


async def _used(request: web.Request, identity: Identity) -> list[str]:
    """What is used of their quotas, in words."""
    found = await quotas.people(request.app[POOL], request.app[GATE].options.quotas, [identity.id])
    return [use.words for person in found.values() for use in person.uses]


async def _given(request: web.Request, identity: Identity, rows: Mapping[str, ServerRow]) -> dict[str, int] | None:
    """With how many each server is shared, links counted; null if they cannot be shared at all."""
    if not identity.may("shares", user=identity.name):
        return None
    names = {row.id: name for name, row in rows.items()}
    found = await request.app[VIEWS].fetch(_GIVEN, list(names)) if names else []
    return {names[row["server"]]: row["given"] for row in found}


async def _theirs(request: web.Request, identity: Identity) -> list[Theirs]:
    """Two queries, however many there are."""
    views = request.app[VIEWS]
    shares = await views.fetch(_SHARED, identity.id)
    rows = await asyncio.gather(*(views.server_by_id(share["server"]) for share in shares))
    notices, found = await endings(request.app, [row for row in rows if row]), []
    for share, row in zip(shares, rows, strict=True):
        if row is None:
            continue
        leaves = share["directly"] and identity.may("users:shares", user=identity.name)
        theirs = Theirs(
            card=_card(request, identity, row, row.owner, row.name, notices),
            opens=identity.may("access:servers", user=row.owner, server=row.name),
            starts=identity.may("servers", user=row.owner, server=row.name),
            groups=tuple(share["groups"]),
            leave=f"users/{escape(identity.name)}/shared/{escape(row.owner)}/{escape(row.name)}" if leaves else "",
        )
        found.append(theirs)
    return found


async def _services(request: web.Request, identity: Identity) -> list[Link]:
    """Those that want to be shown, and that this person may use."""
    if not held_at_all(identity.scopes, "access:services"):
        return []
    options, found = request.app[GATE].options, []
    for entry in await registry.everything(request.app[VIEWS], options):
        name = entry.spec.name
        if entry.spec.display and entry.spec.url and identity.may("access:services", service=name):
            with suppress(BadHost):  # of the operator's own hook, whose log says so
                found.append(Link(name, options.hosts.own_origin_of_service(name) + entry.prefix(options.base_url)))
    return found
