"""What the API reads: users and servers as rows of the views, with what is derived from them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg
import msgspec

from hubbub.domain.server_messages import Failure
from hubbub.domain.server_states import Held, Known, Running, Server, Spawning, Started, Stopped, Stopping

_STATE = msgspec.json.Decoder(Server)

# Ready: running, and routed on every joined proxy, of which there is at least one.
READY = """
    (s.kind = 'Running' and coalesce(nullif((select count(*) from proxies), 0) = (
        select count(*) from routes r join proxies p on p.id = r.proxy
        where r.server = s.id and r.attempt = s.attempt), false))
"""
_SERVERS = f"""
    select s.id, s.number, s.state, u.name as owner, {READY} as ready, a.at as last_activity
    from servers s join users u on u.id = s.user_id
    left join activity a on a.subject = 'server:' || s.id
"""


@dataclass(frozen=True, kw_only=True)
class ServerRow:
    id: str
    number: int
    user_id: str
    owner: str
    state: Known
    ready: bool
    last_activity: datetime | None

    @property
    def name(self) -> str:
        return self.state.name

    @property
    def display_name(self) -> str:
        return self.state.display_name or self.state.name

    @property
    def kind(self) -> str:
        return type(self.state).__name__

    @property
    def attempt(self) -> int:
        return self.state.attempt

    @property
    def active(self) -> bool:
        return not isinstance(self.state, Stopped)

    @property
    def holder(self) -> str | None:
        return self.state.holder if isinstance(self.state, Held) else None

    @property
    def prefix(self) -> str | None:
        return self.state.prefix if isinstance(self.state, Held) else None

    @property
    def url(self) -> str | None:
        return self.state.url if isinstance(self.state, Started | Running) else None

    @property
    def since(self) -> datetime | None:
        return self.state.since if isinstance(self.state, Held) else None

    @property
    def failure(self) -> Failure | None:
        return self.state.failure if isinstance(self.state, Stopped | Stopping) else None

    @property
    def pending(self) -> str | None:
        """Running but not yet routed everywhere is still a spawn to whoever waits for it."""
        if isinstance(self.state, Spawning | Started) or (isinstance(self.state, Running) and not self.ready):
            return "spawn"
        return "stop" if isinstance(self.state, Stopping) else None


@dataclass(frozen=True, kw_only=True)
class UserRow:
    id: str
    number: int
    name: str
    admin: bool
    created: datetime | None
    last_activity: datetime | None


def _server(row: asyncpg.Record) -> ServerRow:
    state = _STATE.decode(row["state"])
    assert isinstance(state, Known)
    return ServerRow(
        id=row["id"],
        number=row["number"],
        user_id=state.user,
        owner=row["owner"],
        state=state,
        ready=row["ready"],
        last_activity=row["last_activity"],
    )


def _user(row: asyncpg.Record) -> UserRow:
    return UserRow(**{field: row[field] for field in UserRow.__dataclass_fields__})


class Views:
    """Reads; each a single query."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def server(self, owner: str, name: str) -> ServerRow | None:
        row = await self._pool.fetchrow(f"{_SERVERS} where u.name = $1 and s.name = $2", owner, name)
        return _server(row) if row else None

    async def server_by_id(self, id: str) -> ServerRow | None:
        row = await self._pool.fetchrow(f"{_SERVERS} where s.id = $1", id)
        return _server(row) if row else None

    async def servers_of(self, users: Iterable[str], *, stopped: bool = True) -> dict[str, list[ServerRow]]:
        """By the users' ids; without stopped ones unless asked for."""
        only = "" if stopped else " and s.kind <> 'Stopped'"
        rows = await self._pool.fetch(f"{_SERVERS} where s.user_id = any($1){only} order by s.number", list(users))
        found: defaultdict[str, list[ServerRow]] = defaultdict(list)
        for row in rows:
            server = _server(row)
            found[server.user_id].append(server)
        return found

    async def user(self, name: str) -> UserRow | None:
        row = await self._pool.fetchrow(f"{_USERS} where u.name = $1", name)
        return _user(row) if row else None

    async def users(
        self,
        *,
        names: Sequence[str] | None,
        state: str | None,
        name_filter: str,
        sort: str,
        offset: int,
        limit: int,
    ) -> tuple[list[UserRow], int]:
        """A page of users, and how many there are. *names*: only these (null: all)."""
        where = ["true"]
        values: list[str | int | list[str]] = []
        if names is not None:
            values.append(list(names))
            where.append(f"u.name = any(${len(values)})")
        if name_filter:
            values.append(f"%{_escaped(name_filter.lower())}%")
            where.append(f"lower(u.name) like ${len(values)}")
        if state:
            where.append(_BY_STATE[state])
        condition = " and ".join(where)
        order, outer = _ORDERS[sort.removeprefix("-")]
        direction = "desc nulls last" if sort.startswith("-") else "asc nulls first"
        values += [limit, offset]
        rows = await self._pool.fetch(
            f"select q.*, e.recorded_at as created from ("
            f" select u.id, u.number, u.name, u.admin, a.at as last_activity, count(*) over () as total"
            f" from users u left join activity a on a.subject = 'user:' || u.id where {condition}"
            f" order by {order} {direction}, u.number limit ${len(values) - 1} offset ${len(values)}"
            f") q join events e on e.position = q.number order by {outer} {direction}, q.number",
            *values,
        )
        if rows:
            return [_user(row) for row in rows], rows[0]["total"]
        if offset == 0:
            return [], 0
        return [], await self._pool.fetchval(
            f"select count(*) from users u left join activity a on a.subject = 'user:' || u.id where {condition}",
            *values[:-2],
        )


_USERS = """
    select u.id, u.number, u.name, u.admin, e.recorded_at as created, a.at as last_activity
    from users u join events e on e.position = u.number
    left join activity a on a.subject = 'user:' || u.id
"""
#: What to sort by, inside and outside of the page.
_ORDERS = {
    "id": ("u.number", "q.number"),
    "name": ("u.name", "q.name"),
    "last_activity": ("a.at", "q.last_activity"),
}
_BY_STATE = {
    "active": "exists (select from servers s where s.user_id = u.id and s.kind <> 'Stopped')",
    "ready": f"exists (select from servers s where s.user_id = u.id and {READY})",
    "inactive": "not exists (select from servers s where s.user_id = u.id and s.kind <> 'Stopped')",
}


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
