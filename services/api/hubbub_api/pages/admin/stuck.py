"""Servers that are longer in a state than one expects, or whose worker is away, and what is left of earlier starts:
what each is, and the way out.
"""

from dataclasses import dataclass
from datetime import datetime

import asyncpg
from aiohttp import web

from hubbub.access import Identity
from hubbub.domain.names import escape
from hubbub_api import orphans
from hubbub_api.keys import COLLEAGUES, POOL
from hubbub_api.orphans import Orphan
from hubbub_api.pages.admin.room import operator, page
from hubbub_api.pages.card import label
from hubbub_api.pages.spans import ago, span

#: What is on the page at most.
MOST = 200

# Of its time, more than half is gone; not before it has had some seconds.
_SLOW = """
    (s.kind in ('Spawning', 'Started', 'Stopping') or (s.kind = 'Running' and s.user_id <> '' and not exists (
        select from routes r join proxies p on p.id = r.proxy where r.server = s.id and r.attempt = s.attempt)))
    and now() > e.recorded_at + greatest((s.deadline - e.recorded_at) / 2, interval '5 seconds')
"""
_AWAY = "(s.holder is null and s.kind in ('Started', 'Running', 'Stopping') or s.holder = any($1))"
_SOME = f"s.kind <> 'Stopped' and ({_AWAY} or {_SLOW})"
_DOUBTFUL = f"""
    select count(*) over () as total, s.id, s.kind, s.name, s.holder, s.host, s.pool, s.reach, s.deadline,
           u.name as owner, e.recorded_at as entered, {_AWAY} as away, now() as now
    from servers s left join users u on u.id = s.user_id join events e on e.position = s.position
    where {_SOME} order by s.deadline, s.id limit $2
"""
_HOW_MANY = f"""
    select (select count(*) from servers s join events e on e.position = s.position where {_SOME})
        + (select coalesce(sum(leftovers), 0) from servers where leftovers > 0)
"""


@dataclass(frozen=True, kw_only=True)
class Way:
    """A way out: a button that asks the API. `confirm`: the id of the dialog that comes before."""

    title: str
    method: str
    path: str
    body: str = ""
    confirm: str = ""


@dataclass(frozen=True, kw_only=True)
class Doubtful:
    """`key`: of its elements on the page. `whose`: "" of a managed service. `text`: what it is; `next`: what becomes of
    it if nobody does anything.
    """

    key: str
    whose: str
    name: str
    state: str
    text: str
    next: str
    ways: list[Way]

    @property
    def label(self) -> str:
        return label(self.whose, self.name)


@operator
async def show(request: web.Request, identity: Identity) -> web.StreamResponse:
    rows = await request.app[POOL].fetch(_DOUBTFUL, _silent(request.app), MOST)
    left = await request.app[POOL].fetch(orphans.LISTED, MOST, 0)
    return page(
        request,
        identity,
        "stuck.html",
        "/stuck",
        follow="aggregate=server",
        doubtful=[_doubtful(row, identity) for row in rows],
        more=rows[0]["total"] - len(rows) if rows else 0,
        leftovers=[_leftover(orphans.model_of(row), identity) for row in left],
        more_left=left[0]["total"] - len(left) if left else 0,
    )


async def how_many(app: web.Application) -> int:
    """Such servers, and leftovers."""
    return int(await app[POOL].fetchval(_HOW_MANY, _silent(app)))


def _silent(app: web.Application) -> list[str]:
    """Workers that were heard of once. Of the others it is not known that they are silent: this api may be young."""
    return [name for name, heard in app[COLLEAGUES].known().items() if not heard.alive]


def _doubtful(row: asyncpg.Record, identity: Identity) -> Doubtful:
    now: datetime = row["now"]
    since, left = span((now - row["entered"]).total_seconds()), (row["deadline"] - now).total_seconds()
    return Doubtful(
        key=f"server-{row['id']}",
        whose=row["owner"] or "",
        name=row["name"],
        state=row["kind"].lower(),
        text=_away(row) if row["away"] else _slow(row["kind"], since, held=row["holder"] is not None),
        next=_next(row, left),
        ways=_ways(row, identity),
    )


def _slow(kind: str, since: str, *, held: bool) -> str:
    match kind:
        case "Spawning" if not held:
            return f"It has waited for a worker for {since}."
        case "Spawning":
            return f"A worker has been starting it for {since}."
        case "Started":
            return f"It was started {since} ago, and does not answer yet."
        case "Running":
            return f"It has run for {since}, and no proxy has a route to it."
        case _:
            return f"It was told to stop {since} ago, and nobody has seen its end."


def _away(row: asyncpg.Record) -> str:
    if row["holder"] is not None:
        return f"Its worker {row['holder']} is silent. The server itself may well run on."
    who = f"on the host {row['host']}" if row["reach"] == "host" else f"of the pool {row['pool']}"
    return f"Its worker is gone. The server may well run on, and waits for another worker {who} to take it over."


def _next(row: asyncpg.Record, left: float) -> str:
    if row["away"] and row["holder"] is not None:
        return "If the worker comes back, it goes on; else it is given up, or taken over by others that can reach it."
    if row["kind"] == "Running" and row["holder"] is not None:
        what = "stopped, unless a route is made"
    else:
        what = {"Running": "given up as crashed", "Stopping": "taken for stopped"}.get(row["kind"], "given up")
    if left < 0:
        return f"It should have been {what} {span(-left)} ago: does a poller run?"
    return f"In {span(left)} it is {what}."


def _ways(row: asyncpg.Record, identity: Identity) -> list[Way]:
    owner, name = row["owner"], row["name"]
    if owner is None:
        return []
    path = f"users/{escape(owner)}/servers/{escape(name)}" if name else f"users/{escape(owner)}/server"
    found = []
    if row["kind"] == "Stopping":
        if identity.may(orphans.SCOPE, user=owner, server=name):
            found.append(Way(title="Wait no longer", method="POST", path=f"{path}/force-stop", confirm="force"))
    elif identity.may("delete:servers", user=owner, server=name):
        title = "Stop" if row["kind"] == "Running" else "Cancel"
        found.append(Way(title=title, method="DELETE", path=path))
    if row["kind"] == "Running" and not row["away"] and identity.may("proxy"):
        found.append(Way(title="Compare routes", method="POST", path="proxy"))
    return found


# What is left of earlier starts ---------------------------------------------------------------


def _leftover(left: Orphan, identity: Identity) -> Doubtful:
    where = {"pool": f"any worker of the pool {left.pool}", "host": f"a worker on the host {left.host}"}
    who = where.get(left.reach, f"a worker on the host {left.host}")
    when = f" {ago(left.since)} ago" if left.since else ""
    doing = f"{left.worker} is ending it now." if left.worker else f"It is ended as soon as there is {who}."
    path = f"orphans/{left.server}/{left.attempt}"
    ways = []
    if identity.may(orphans.SCOPE):
        ways.append(Way(title="Try again now", method="POST", path=path, body='{"action": "remove"}'))
        if left.adoptable:
            ways.append(Way(title="Make it the server again", method="POST", path=path, body='{"action": "adopt"}'))
        ways.append(Way(title="Forget it", method="DELETE", path=path, confirm="forget"))
    return Doubtful(
        key=f"left-{left.server}-{left.attempt}",
        whose=left.user or "",
        name=left.name,
        state=f"start {left.attempt}",
        text=f"It was given up{when} ({left.reason or 'its worker was lost'}), and nobody has seen its end.",
        next=doing,
        ways=ways,
    )
