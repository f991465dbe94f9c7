"""When servers that run will be stopped by `c.Hubbub.cull`, and why: derived from the rows, each time it is asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg
import msgspec
from aiohttp import web

from hubbub.config import Options
from hubbub.cull import End, Terms, ends, is_known, span
from hubbub.domain.server_states import Running, Server
from hubbub.vault import Fetches
from hubbub.web.request import GATE
from hubbub_api.activity import Activities
from hubbub_api.house import Notice
from hubbub_api.keys import ACTIVITIES, POOL
from hubbub_api.rows import ServerRow

_STATE = msgspec.json.Decoder(Server)

#: What another api has heard in this time may not be written down yet.
GRACE = timedelta(seconds=2)

# A proxy that was lost may still lead to the server, for as long as it may only be away. Who leads there and has never
# said all that it heard has said so long ago.
JUDGED = """
    select s.id, s.state, u.name as owner, a.at as heard, h.since as hearing, now() as now,
           array(select g.name from members m join groups g on g.id = m.group_id where m.user_id = s.user_id) as groups,
           (select min(coalesce(p.at, to_timestamp(0))) from routes r left join proxies x on x.id = r.proxy
            left join activity p on p.subject = 'proxy:' || r.proxy
            where r.server = s.id and r.attempt = s.attempt and (x.id is not null or p.at > now() - interval '1 day')
           ) as told
    from servers s join users u on u.id = s.user_id
    left join activity a on a.subject = 'server:' || s.id left join hearing h on true
"""


@dataclass(frozen=True, kw_only=True)
class Ending:
    """`ends`: the earliest first. `heard`: when somebody was last there. `told` and `hearing`: see `hubbub.cull`.
    `now`: when this was so, by Postgres's clock.
    """

    server: str
    state: Running
    terms: Terms
    heard: datetime
    ends: tuple[End, ...]
    told: datetime | None
    hearing: datetime | None
    now: datetime

    def due(self, now: datetime) -> End | None:
        """Why it is to be stopped now."""
        return next((end for end in self.ends if end.at + GRACE <= now and self._is_known(end, now)), None)

    def next_look(self, longest: timedelta) -> datetime:
        """When something may have to be done; after *longest* in any case, since groups change, too."""
        if not self.ends:
            return self.now + longest
        soonest = self.ends[0].at + GRACE
        return min(soonest, self.now + longest) if soonest > self.now else self.now + timedelta(seconds=1)

    @property
    def waits_for(self) -> str:
        """What keeps a server going whose time is up; "" if nothing does."""
        if not self.ends or self.ends[0].at + GRACE > self.now:
            return ""
        if self.state.holder is None:
            return "its worker is lost"
        return "" if self.due(self.now) else "it is not known whether somebody is there"

    def _is_known(self, end: End, now: datetime) -> bool:
        return is_known(end, told=self.told, hearing=self.hearing or now, now=now)


def ending(row: asyncpg.Record, options: Options, activities: Activities) -> Ending | None:
    """Of a row of `JUDGED`; null if the server does not run."""
    state = _STATE.decode(row["state"])
    if not isinstance(state, Running):
        return None
    heard = activities.newer(f"server:{row['id']}", row["heard"])
    terms = options.cull.terms(row["owner"], row["groups"], state.profile, state.name)
    return Ending(
        server=row["id"],
        state=state,
        terms=terms,
        heard=max(heard, state.since) if heard else state.since,
        ends=ends(terms, state.since, heard),
        told=row["told"],
        hearing=row["hearing"],
        now=row["now"],
    )


async def endings(
    source: Fetches, options: Options, activities: Activities, servers: Sequence[str]
) -> dict[str, Ending]:
    """By server id; those that run, and only if there is any rule. One query."""
    if not options.cull.is_on or not servers:
        return {}
    rows = await source.fetch(f"{JUDGED} where s.id = any($1) and s.kind = 'Running'", list(servers))
    found = (ending(row, options, activities) for row in rows)
    return {each.server: each for each in found if each}


async def notices(app: web.Application, rows: Sequence[ServerRow]) -> Mapping[str, Notice]:
    """What the owners of *rows* are told, by server id: of each that has an end, when `warn` says so as a warning."""
    running = [row.id for row in rows if isinstance(row.state, Running)]
    found = await endings(app[POOL], app[GATE].options, app[ACTIVITIES], running)
    return {id: _notice(each, each.ends[0]) for id, each in found.items() if each.ends}


def _notice(each: Ending, end: End) -> Notice:
    idle = end.why == "idle"
    why = f"Nobody will have used it for {span(end.seconds)}" if idle else f"It will have run for {span(end.seconds)}"
    more = "." if idle else ", which is as long as it may."
    waits = f" It goes on for now, because {each.waits_for}." if each.waits_for else ""
    return Notice(
        server=each.state.name,
        deadline=end.at,
        message=f"{why} by then{more}{waits}",
        keeps=idle,
        told_from=end.told_from,
    )
