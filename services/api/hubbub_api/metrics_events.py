"""How many events of each type the log has: counted from it when somebody asks, each of them once.

So whatever is an event is a figure, too: crashes, lost holders and proxies, leftovers, corrected routes, logins. What
was counted is kept with its position (`bookmarks`).
"""

import asyncpg
import msgspec

from hubbub.views import VIEWS

READER = "events"
#: Positions that are counted at a time, and those that are worth keeping what was counted in them.
WINDOW = 50_000
WORTH_KEEPING = 1000

_HEAD = "select position from log_head"
_NEWS = "select type, count(*) as number from events where position > $1 and position <= $2 group by type"
_KEPT = "select position, about from bookmarks where reader = $1"
_KEEP = """
    insert into bookmarks (reader, position, about) values ($1, $2, $3)
    on conflict (reader) do update set position = excluded.position, about = excluded.about
    where bookmarks.position < excluded.position
"""

_Counted = dict[str, int]

#: All of this release: those that have not happened yet are there at 0, since nobody sees a counter begin at 1 rise.
TYPES = sorted(event.__name__ for view in VIEWS.values() for event in view.decider.events.__args__)


class EventCounts:
    """One reader of the log. `news` must not be called by two at the same time."""

    def __init__(self) -> None:
        self._position = -1
        self._kept = 0
        self._counted: _Counted = {}

    async def news(self, pool: "asyncpg.Pool[asyncpg.Record]") -> tuple[int, _Counted]:
        """Where the log ends, and how many events of each type there are up to there."""
        head: int = await pool.fetchval(_HEAD)
        if not 0 <= self._position <= head:
            await self._load(pool, head)
        while self._position < head:
            until = min(head, self._position + WINDOW)
            for row in await pool.fetch(_NEWS, self._position, until):
                self._counted[row["type"]] = self._counted.get(row["type"], 0) + row["number"]
            self._position = until
        if self._position - self._kept >= WORTH_KEEPING:
            await pool.execute(_KEEP, READER, self._position, msgspec.json.encode(self._counted).decode())
            self._kept = self._position
        return head, dict.fromkeys(TYPES, 0) | self._counted

    async def _load(self, pool: "asyncpg.Pool[asyncpg.Record]", head: int) -> None:
        row = await pool.fetchrow(_KEPT, READER)
        self._position, self._counted = 0, {}
        if row is not None and row["position"] <= head:
            self._position, self._counted = row["position"], msgspec.json.decode(row["about"], type=_Counted)
        self._kept = self._position
