"""The front of the admin room: how many of what there are now, and pictures of how it has gone."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from aiohttp import web

from hubbub.access import Identity
from hubbub_api import figures, workers
from hubbub_api.keys import HOUSE, POOL
from hubbub_api.pages.admin import stuck
from hubbub_api.pages.admin.room import operator, page

#: Whose events change a number here.
FOLLOW = "aggregate=server,user,proxy,house"
#: What pictures may show: how far back, in steps of how many seconds.
RANGES = {
    "1h": ("Last hour", timedelta(hours=1), 60),
    "24h": ("Last day", timedelta(days=1), 600),
    "7d": ("Last week", timedelta(days=7), 3600),
    "30d": ("Last 30 days", timedelta(days=30), 10_800),
}
#: Pictures: what charts.js calls each, and people.
PICTURES = (
    ("servers", "Servers by state"),
    ("starts", "Starts per minute"),
    ("seconds", "Seconds that starts took"),
    ("failures", "Failed starts by reason"),
    ("logins", "Logins per minute"),
)

_NOW = """
    select (select number from counts where what = 'users') as users, (select position from log_head) as position,
        count(*) filter (where kind = 'Running') as running, count(*) filter (where kind = 'Stopping') as stopping,
        count(*) filter (where kind in ('Spawning', 'Started') and holder is not null) as starting,
        count(*) filter (where kind = 'Spawning' and holder is null) as waiting
    from servers where kind <> 'Stopped'
"""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """`place`: the address below `/hub/admin` where one sees more. `bad`: somebody should."""

    title: str
    value: str
    place: str
    note: str = ""
    bad: bool = False


@operator
async def show(request: web.Request, identity: Identity) -> web.StreamResponse:
    chosen = request.query.get("range", "")
    if chosen not in RANGES:
        chosen = "1h"
    _, back, step = RANGES[chosen]
    return page(
        request,
        identity,
        "overview.html",
        "",
        follow=FOLLOW,
        figures=await numbers(request.app),
        paused=request.app[HOUSE].paused,
        ranges=[(key, title) for key, (title, _, _) in RANGES.items()],
        chosen=chosen,
        back=int(back.total_seconds()),
        step=step,
        pictures=PICTURES,
    )


async def numbers(app: web.Application) -> list[Figure]:
    """All that stands above the pictures."""
    now, there, hour, doubtful = await asyncio.gather(
        app[POOL].fetchrow(_NOW), workers.workers(app), figures.last_hour(app), stuck.how_many(app)
    )
    assert now is not None
    up = sum(each.status == "up" for each in there)
    silent = sum(each.status == "silent" for each in there)
    draining = sum(each.draining is not None for each in there)
    others = [f"{number} {what}" for number, what in ((silent, "silent"), (draining, "draining")) if number]
    return [
        Figure(title="People", value=_number(now["users"]), place="/users"),
        Figure(title="Running", value=_number(now["running"]), place="/users?state=ready"),
        Figure(title="Starting", value=_number(now["starting"]), place="/users?state=pending"),
        Figure(title="Stopping", value=_number(now["stopping"]), place="/users?state=pending"),
        Figure(title="Waiting", value=_number(now["waiting"]), place="/queue"),
        Figure(title="Stuck", value=_number(doubtful), place="/stuck", bad=doubtful > 0),
        Figure(title="Workers", value=_number(up), place="/workers", note=", ".join(others), bad=not up or silent > 0),
        Figure(title="Starts in the last hour", value=_number(hour.asked), place="/starts?range=1h"),
        Figure(
            title="Failed in the last hour",
            value=_number(hour.failed),
            place="/starts?range=1h&end=ill",
            bad=hour.failed > 0,
        ),
        Figure(
            title="Half of them ready within",
            value="\N{EN DASH}" if hour.median is None else f"{hour.median:.1f} s",
            place="/starts?range=1h&order=slow",
        ),
        Figure(title="Events in the log", value=_number(now["position"]), place="/events"),
    ]


def _number(number: int) -> str:
    """`12 345`, with thin spaces that do not break; `1.23 M`."""
    if number >= 1_000_000:
        return f"{number / 1_000_000:.2f}\N{NARROW NO-BREAK SPACE}M"
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
