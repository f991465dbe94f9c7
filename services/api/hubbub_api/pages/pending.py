"""The progress page of a start, and what became of it. Reading it never changes anything; its Cancel button does."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg
import msgspec
from aiohttp import web

from hubbub import house
from hubbub.access import Identity
from hubbub.domain.server_states import Stopped, Stopping
from hubbub.eventlog import Recorded
from hubbub.views import SERVERS
from hubbub.web.next_url import asked_for
from hubbub.web.operators_html import embed
from hubbub.web.pages import render
from hubbub.web.request import GATE, ApiError, redirect, require
from hubbub_api import servers
from hubbub_api.keys import EVENTS, HOUSE, VIEWS
from hubbub_api.pages.asking import hears, logged_in, owner_of, prefix_of
from hubbub_api.pages.card import Card, card, failure_of
from hubbub_api.rows import ServerRow
from hubbub_api.server_log import check_reader

#: What each event of a start is the beginning of.
BEGINS = {
    "SpawnRequested": "Waiting for a free worker",
    "AttemptClaimed": "Starting the server",
    "ServerStarted": "Waiting for its first answer",
    "ServerResponded": "Making it reachable",
}
#: Events of one start: far more than it has.
_MOST = 40

_LAST_WISH = """
    select data from events where stream = $1 and type in ('StopRequested', 'SpawnRequested')
    order by version desc limit 1
"""


@dataclass(frozen=True, kw_only=True)
class Step:
    """`seconds`: how long it took, or has taken so far; null if it has not begun."""

    title: str
    seconds: float | None
    now: bool = False

    @property
    def took(self) -> str:
        return "" if self.seconds is None else said(self.seconds)


def routes(prefix: str) -> list[web.RouteDef]:
    paths = (f"{prefix}spawn-pending/{{owner}}", f"{prefix}spawn-pending/{{owner}}/{{name}}")
    return [*(web.get(path, show) for path in paths), *(web.post(path, cancel) for path in paths)]


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
        redirect(wish or options.hosts.link(owner.name, row.prefix or ""))
    shown = card(row, owner.name, name, options, viewer=identity.name, then=wish)
    if row and shown.state == "starting":
        return await _progress(request, identity, row, shown)
    status = row.failure_status if row and failure_of(row) else 200
    return not_running(request, identity, shown, status, why=await why_stopped(request, row))


@logged_in
async def cancel(request: web.Request, identity: Identity) -> web.StreamResponse:
    """POST, of browsers without scripts: what starts is called off. To the home page."""
    name = request.match_info.get("name", "")
    require(identity, "delete:servers", user=request.match_info["owner"], server=name)
    owner = await owner_of(request, identity)
    row = await request.app[VIEWS].server(owner.name, name)
    if row is not None and row.pending == "spawn":
        await servers.stop(request, identity, row)
    redirect(f"{prefix_of(request)}home")


async def _progress(request: web.Request, identity: Identity, row: ServerRow, shown: Card) -> web.Response:
    done: list[Recorded] = []
    with suppress(asyncpg.PostgresError):
        done = await request.app[EVENTS].page(about=[row.id], types=tuple(BEGINS), limit=_MOST)
    return render(
        request,
        "spawn_pending.html",
        identity,
        server=shown,
        steps=steps([(each.type, each.recorded_at) for each in done], datetime.now(UTC)),
        held=row.holder is not None,
        hears=hears(identity, row.owner),
        reads=reads_log(identity, row.owner, row.name),
    )


async def why_stopped(request: web.Request, row: ServerRow | None) -> str:
    """Why nobody's wish has stopped it last, as `idle for 2 h`; "" if somebody's has, or it was not stopped."""
    if row is None or not isinstance(row.state, Stopped | Stopping) or row.failure:
        return ""
    found = await request.app[VIEWS].row(_LAST_WISH, SERVERS.stream(row.id))
    reason = msgspec.json.decode(found["data"]).get("reason", "") if found else ""
    return reason if " " in reason else ""  # others are tags: asked, drain


def not_running(request: web.Request, identity: Identity, shown: Card, status: int, *, why: str = "") -> web.Response:
    """The page of a server that does not run. *identity*: whoever may see how it is; *why*: it was stopped."""
    if shown.html:
        shown = shown.with_html(*embed(request, shown.html))
    paused = request.app[HOUSE].paused
    starts = identity.may("servers", user=shown.owner, server=shown.name)
    by_itself = starts and not paused and shown.state == "stopped"
    return render(
        request,
        "not_running.html",
        identity,
        status=status,
        server=shown,
        starts=starts,
        begins_in=request.app[GATE].options.hub.implicit_spawn_seconds if by_itself else 0,
        reads=reads_log(identity, shown.owner, shown.name),
        paused=house.why(paused) if paused else "",
        why=why,
    )


def reads_log(identity: Identity, owner: str, name: str) -> bool:
    """Whether *identity* may read what the server prints."""
    try:
        check_reader(identity, owner, name)
    except ApiError:
        return False
    return True


def steps(events: Sequence[tuple[str, datetime]], now: datetime) -> list[Step]:
    """Where the time goes. *events*: types and times of the server's, the latest first; the latest start counts."""
    begun: dict[str, datetime] = {}
    for kind, at in events:
        begun[kind] = at
        if kind == "SpawnRequested":
            break
    taken: dict[str, float] = {}
    ends = now
    for kind in reversed(BEGINS):
        if (began := begun.get(kind)) is not None:
            taken[kind] = max(0.0, (ends - began).total_seconds())
            ends = began
    latest = next((kind for kind in reversed(BEGINS) if kind in taken), None)
    return [Step(title=title, seconds=taken.get(kind), now=kind == latest) for kind, title in BEGINS.items()]


def said(seconds: float) -> str:
    """`0.4 s`, `12 s`, `2 min 5 s`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
