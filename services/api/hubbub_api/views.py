"""What the API reads: users and servers as rows of the views, with what is derived from them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from hubbub.domain.server_messages import Failure
from hubbub.domain.server_states import Held, Known, Running, Server, Spawning, Started, Stopped, Stopping
from hubbub.transaction import Transaction
from hubbub.vault import Fetches, Vault

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
    """`granted`: the roles that the user holds besides those that everybody and every administrator has."""

    id: str
    number: int
    name: str
    admin: bool
    created: datetime | None
    last_activity: datetime | None
    groups: list[str]
    granted: list[str]


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
    """Reads; each a single query, but for those of secrets, which may need keys too."""

    def __init__(self, source: Fetches, vault: Vault) -> None:
        self._source = source
        self._vault = vault

    def within(self, tx: Transaction) -> "Views":
        """The same, of what is so inside of a transaction."""
        return Views(tx, self._vault)

    async def fetch(self, query: str, *args: Any) -> list[asyncpg.Record]:
        return await self._source.fetch(query, *args)

    async def row(self, query: str, *args: Any) -> asyncpg.Record | None:
        """The first row, if there is one."""
        rows = await self._source.fetch(query, *args)
        return rows[0] if rows else None

    async def server(self, owner: str, name: str) -> ServerRow | None:
        row = await self.row(f"{_SERVERS} where u.name = $1 and s.name = $2", owner, name)
        return _server(row) if row else None

    async def server_by_id(self, id: str) -> ServerRow | None:
        row = await self.row(f"{_SERVERS} where s.id = $1", id)
        return _server(row) if row else None

    async def servers_of(self, users: Iterable[str], *, stopped: bool = True) -> dict[str, list[ServerRow]]:
        """By the users' ids; without stopped ones unless asked for."""
        only = "" if stopped else " and s.kind <> 'Stopped'"
        rows = await self.fetch(f"{_SERVERS} where s.user_id = any($1){only} order by s.number", list(users))
        found: defaultdict[str, list[ServerRow]] = defaultdict(list)
        for row in rows:
            server = _server(row)
            found[server.user_id].append(server)
        return found

    async def options(self, servers: Iterable[ServerRow]) -> dict[str, Any]:
        """User options by server id; a server without any is left out."""
        return await self._secrets("options", servers)

    async def states(self, servers: Iterable[ServerRow]) -> dict[str, Any]:
        """What spawners remember, by server id."""
        return await self._secrets("state", servers)

    async def _secrets(self, kind: str, servers: Iterable[ServerRow]) -> dict[str, Any]:
        owners = {f"{kind}:{server.id}": server for server in servers}
        rows = await self.fetch("select key, value from vault where key = any($1)", list(owners)) if owners else []
        if not rows:
            return {}
        await self._vault.load(self._source, {owners[row["key"]].user_id for row in rows})
        found = {}
        for row in rows:
            server = owners[row["key"]]
            if (data := self._vault.open_bytes(server.user_id, row["value"])) is not None:
                found[server.id] = msgspec.json.decode(data)
        return found

    async def user(self, name: str) -> UserRow | None:
        row = await self.row(f"{_USERS} where u.name = $1", name)
        return _user(row) if row else None

    async def users_named(self, names: Sequence[str]) -> list[UserRow]:
        """Those of *names* that there are, oldest first."""
        return [
            _user(row) for row in await self.fetch(f"{_USERS} where u.name = any($1) order by u.number", list(names))
        ]

    async def users(
        self,
        *,
        names: Sequence[str] | None,
        groups: Sequence[str],
        state: str | None,
        name_filter: str,
        sort: str,
        offset: int,
        limit: int,
    ) -> tuple[list[UserRow], int]:
        """A page of users, and how many there are. *names*: only these, and those in *groups* (null: all)."""
        where = ["true"]
        values: list[Any] = []
        if names is not None:
            values += [list(names), list(groups)]
            where.append(f"(u.name = any($1) or u.id in ({_IN_GROUPS}))")
        if name_filter:
            values.append(f"%{_escaped(name_filter.lower())}%")
            where.append(f"lower(u.name) like ${len(values)}")
        if state:
            where.append(_BY_STATE[state])
        condition = " and ".join(where)
        order, outer = _ORDERS[sort.removeprefix("-")]
        direction = "desc nulls last" if sort.startswith("-") else "asc nulls first"
        values += [limit, offset]
        rows = await self.fetch(
            f"select q.*, e.recorded_at as created, {_held_by('q')} from ("
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
        counted = await self.row(
            f"select count(*) from users u left join activity a on a.subject = 'user:' || u.id where {condition}",
            *values[:-2],
        )
        return [], counted[0] if counted else 0


def _held_by(user: str) -> str:
    return f"""
        array(select g.name from members m join groups g on g.id = m.group_id
              where m.user_id = {user}.id order by g.number) as groups,
        array(select role from grants where holder = {user}.id and kind = 'user' order by number) as granted
    """


_IN_GROUPS = "select m.user_id from members m join groups g on g.id = m.group_id where g.name = any($2)"
_USERS = f"""
    select u.id, u.number, u.name, u.admin, e.recorded_at as created, a.at as last_activity, {_held_by("u")}
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
