"""What the API reads of users and servers."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import asyncpg
import msgspec

from hubbub import legacy
from hubbub.batch import Batch
from hubbub.domain.group import Group
from hubbub.transaction import Transaction
from hubbub.vault import Fetches, Vault
from hubbub_api.rows import ServerRow, UserRow, server_of, user_of

# Ready: running, and routed on every joined proxy, of which there is at least one.
READY = """
    (s.kind = 'Running' and coalesce(nullif((select count(*) from proxies), 0) = (
        select count(*) from routes r join proxies p on p.id = r.proxy
        where r.server = s.id and r.attempt = s.attempt), false))
"""
#: Servers, with what is shown of them.
SERVERS_SHOWN = f"""
    select s.id, s.number, s.state, u.name as owner, {READY} as ready, a.at as last_activity, v.value as options
    from servers s join users u on u.id = s.user_id
    left join activity a on a.subject = 'server:' || s.id left join vault v on v.key = 'options:' || s.id
"""

_PROPERTIES = "select g.name, g.state from groups g join members m on m.group_id = g.id where m.user_id = $1"


class Views:
    """Reads; each a single query, but for those of secrets, which may need keys too."""

    def __init__(self, source: Fetches, vault: Vault) -> None:
        self._source = source
        self._vault = vault
        # Those who ask at the same moment, as in a burst of starts, ask together.
        self._users = Batch(self._load_users)
        self._servers = Batch(self._load_servers)
        self._servers_by_id = Batch(self._load_servers_by_id)
        self._active = Batch(self._load_active)
        self._ids = Batch(self._load_ids)

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
        return await self._servers.get((owner, name))

    async def _load_servers(self, names: Sequence[tuple[str, str]]) -> dict[tuple[str, str], ServerRow]:
        wanted = "select * from unnest($1::text[], $2::text[]) as w (owner, name)"
        rows = await self.fetch(
            f"{SERVERS_SHOWN} join ({wanted}) w on w.owner = u.name and w.name = s.name",
            [owner for owner, _ in names],
            [name for _, name in names],
        )
        return {(row["owner"], server.name): server for row, server in ((row, server_of(row)) for row in rows)}

    async def server_by_id(self, id: str) -> ServerRow | None:
        return await self._servers_by_id.get(id)

    async def _load_servers_by_id(self, ids: Sequence[str]) -> dict[str, ServerRow]:
        rows = await self.fetch(f"{SERVERS_SHOWN} where s.id = any($1)", list(ids))
        return {row["id"]: server_of(row) for row in rows}

    async def servers_of(self, users: Iterable[str], *, stopped: bool = True) -> dict[str, list[ServerRow]]:
        """By the users' ids; without stopped ones unless asked for."""
        # Spelled so that these users' servers are looked up, not all that are active gone through.
        only = "" if stopped else " and s.kind || '' <> 'Stopped'"
        rows = await self.fetch(f"{SERVERS_SHOWN} where s.user_id = any($1){only} order by s.number", list(users))
        found: defaultdict[str, list[ServerRow]] = defaultdict(list)
        for row in rows:
            server = server_of(row)
            found[server.user_id].append(server)
        return found

    async def options(self, servers: Iterable[ServerRow]) -> dict[str, Any]:
        """User options by server id; a server without any is left out. No query if the owners' keys are known."""
        return await self._opened({server: server.options for server in servers if server.options})

    async def state(self, server: ServerRow) -> Any:
        """What its spawner remembers; None if nothing."""
        return (await self.states([server])).get(server.id)

    async def states(self, servers: Iterable[ServerRow]) -> dict[str, Any]:
        """What their spawners remember, by server id; a server of which nothing is known is left out."""
        by_key = {f"state:{server.id}": server for server in servers}
        rows = await self.fetch("select key, value from vault where key = any($1)", list(by_key))
        return await self._opened({by_key[row["key"]]: row["value"] for row in rows})

    async def properties(self, user: UserRow) -> dict[str, dict[str, Any]]:
        """Those of the groups that a user is in, by name. No query if they are in none."""
        rows = await self.fetch(_PROPERTIES, user.id) if user.groups else []
        return {row["name"]: msgspec.json.decode(row["state"], type=Group).properties for row in rows}

    async def auth_state(self, user: UserRow) -> Any:
        """What was learnt about a user at login; None if nothing. No query if their key is known."""
        if user.auth_state is None:
            return None
        await self._vault.load(self._source, [user.id])
        data = self._vault.open_bytes(user.id, user.auth_state)
        return None if data is None else msgspec.json.decode(data)

    async def infos(self, sealed: Mapping[str, bytes | None]) -> dict[str, Any]:
        """What logins said of users to be shown (`user_info`), by id; *sealed* as the vault has it. Who has none is
        left out. No query if their keys are known.
        """
        given = {user: value for user, value in sealed.items() if value is not None}
        await self._vault.load(self._source, given)
        opened = {user: self._vault.open_bytes(user, value) for user, value in given.items()}
        return {user: msgspec.json.decode(data) for user, data in opened.items() if data is not None}

    async def _opened(self, sealed: Mapping[ServerRow, bytes]) -> dict[str, Any]:
        """By server id."""
        await self._vault.load(self._source, {server.user_id for server in sealed})
        found = {}
        for server, value in sealed.items():
            if (data := self._vault.open_bytes(server.user_id, value)) is not None:
                found[server.id] = msgspec.json.decode(data)
        return found

    async def active(self, user: str) -> list[ServerRow]:
        """The user's (by id) servers that are not stopped."""
        return await self._active.get(user) or []

    async def _load_active(self, users: Sequence[str]) -> dict[str, list[ServerRow]]:
        return await self.servers_of(users, stopped=False)

    async def ids(self, user: str) -> tuple[str, dict[str, str]] | None:
        """The id of a user, and those of their servers by name."""
        return await self._ids.get(user)

    async def _load_ids(self, users: Sequence[str]) -> dict[str, tuple[str, dict[str, str]]]:
        rows = await self.fetch(
            "select u.name as user, u.id, s.name, s.id as server from users u left join servers s on s.user_id = u.id "
            "where u.name = any($1)",
            list(users),
        )
        found: dict[str, tuple[str, dict[str, str]]] = {row["user"]: (row["id"], {}) for row in rows}
        for row in rows:
            if row["server"]:
                found[row["user"]][1][row["name"]] = row["server"]
        return found

    async def person(self, name: str, *, stopped: bool) -> tuple[UserRow, list[ServerRow]] | None:
        """A user with their servers, without stopped ones unless asked for."""
        rows = await self.fetch(_PERSON, name, stopped)
        if not rows:
            return None
        return user_of(rows[0]), [server_of(row, "server_") for row in rows if row["server_id"]]

    async def service_pids(self) -> dict[str, int]:
        """The processes of the managed services that run, by name; each on the host of its worker."""
        rows = await self.fetch(_SERVICE_STATES)
        await self._vault.load(self._source, {row["id"] for row in rows})
        found = {}
        for row in rows:
            data = self._vault.open_bytes(row["id"], row["value"])
            if data is not None and isinstance(pid := msgspec.json.decode(data).get("pid"), int):
                found[row["name"]] = pid
        return found

    async def user(self, name: str) -> UserRow | None:
        return await self._users.get(name)

    async def _load_users(self, names: Sequence[str]) -> dict[str, UserRow]:
        return {user.name: user for user in await self.users_named(names)}

    async def users_named(self, names: Sequence[str]) -> list[UserRow]:
        """Those of *names* that there are, oldest first."""
        return [
            user_of(row) for row in await self.fetch(f"{_USERS} where u.name = any($1) order by u.number", list(names))
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
            values.append(f"%{escaped(name_filter.lower())}%")
            where.append(f"lower(u.name) like ${len(values)}")
        if state:
            where.append(_BY_STATE[state])
        condition = " and ".join(where)
        total = "count(*) over ()" if len(where) > 1 else "(select number from counts where what = 'users')"
        by = sort.removeprefix("-")
        inner, outer = (order[sort.startswith("-")] for order in _ORDERS[by])
        # What one does not sort by is looked up for the page alone; the limit stands in the statement itself, since
        # Postgres would plan for a tenth of the table if it did not know it.
        heard = "left join activity a on a.subject = 'user:' || u.id" if by == "last_activity" else ""
        values.append(offset)
        rows = await self.fetch(
            f"select q.*, {_CREATED.format('q')} as created, a.at as last_activity, i.value as user_info,"
            f" {_held_by('q')} from ("
            f" select u.id, u.number, u.name, u.admin, {total} as total from users u {heard} where {condition}"
            f" order by {inner} limit {int(limit)} offset ${len(values)}"
            f") q join events e on e.position = q.number left join activity a on a.subject = 'user:' || q.id"
            f" left join vault i on i.key = 'user_info:' || q.id"
            f" order by {outer}",
            *values,
        )
        if rows:
            return [user_of(row) for row in rows], rows[0]["total"]
        if offset == 0:
            return [], 0
        counted = await self.row(f"select count(*) from users u where {condition}", *values[:-1])
        return [], counted[0] if counted else 0


def _held_by(user: str) -> str:
    return f"""
        array(select g.name from members m join groups g on g.id = m.group_id
              where m.user_id = {user}.id order by g.number) as groups,
        array(select role from grants where holder = {user}.id and kind = 'user' order by number) as granted
    """


_SERVICE_STATES = """
    select s.id, s.name, v.value from servers s join vault v on v.key = 'state:' || s.id
    where s.user_id = '' and s.kind in ('Started', 'Running')
"""
_CREATED = legacy.created("'user:' || {}.id")
_IN_GROUPS = "select m.user_id from members m join groups g on g.id = m.group_id where g.name = any($2)"
_USERS = f"""
    select u.id, u.number, u.name, u.admin, {_CREATED.format("u")} as created, a.at as last_activity,
           x.value as auth_state, i.value as user_info, {_held_by("u")}
    from users u join events e on e.position = u.number
    left join activity a on a.subject = 'user:' || u.id left join vault x on x.key = 'auth_state:' || u.id
    left join vault i on i.key = 'user_info:' || u.id
"""
_PERSON = f"""
    select p.*, s.id as server_id, s.number as server_number, s.state as server_state, p.name as server_owner,
           {READY} as server_ready, a.at as server_last_activity, v.value as server_options
    from ({_USERS} where u.name = $1) p left join servers s on s.user_id = p.id and ($2 or s.kind <> 'Stopped')
    left join activity a on a.subject = 'server:' || s.id left join vault v on v.key = 'options:' || s.id
    order by s.number
"""
#: What to sort by, upwards and downwards, inside and outside of the page; as the indexes are sorted.
_ORDERS = {
    "id": (("u.number", "u.number desc"), ("q.number", "q.number desc")),
    "name": (("u.name", "u.name desc"), ("q.name", "q.name desc")),
    "last_activity": (
        ("a.at nulls first, u.number", "a.at desc nulls last, u.number"),
        ("a.at nulls first, q.number", "a.at desc nulls last, q.number"),
    ),
}
_BY_STATE = {
    "active": "u.id in (select s.user_id from active_servers s)",
    "ready": f"u.id in (select s.user_id from active_servers s where {READY})",
    "inactive": "u.id not in (select s.user_id from active_servers s)",
}


def escaped(text: str) -> str:
    """*text* for LIKE, where it stands for itself."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
