"""Users and servers as clients see them: computed in full, then filtered by what the asker may read."""

import dataclasses
from typing import Any

import msgspec

from hubbub.access import Identity, Roles
from hubbub.domain import scope
from hubbub.domain.names import escape, full_name, prefix
from hubbub.vault import Vault
from hubbub_api.activity import Activities, newest
from hubbub_api.answers import stamp
from hubbub_api.views import ServerRow, UserRow

#: field -> scopes that reveal it (contract, part 2.1); `kind` and `name` come with any of them.
USER_FIELDS: dict[str, tuple[str, ...]] = {
    "admin": ("read:users", "read:users:name", "read:roles:users"),
    "user_info": ("read:users", "read:users:name"),
    "groups": ("read:users", "read:users:groups"),
    "roles": ("read:users", "read:roles:users"),
    "server": ("read:users",),
    "pending": ("read:users",),
    "created": ("read:users",),
    "last_activity": ("read:users", "read:users:activity"),
}
READ_USER = (
    "read:users",
    "read:users:name",
    "read:servers",
    "read:users:groups",
    "read:users:activity",
    "read:roles:users",
)


class Models:
    """`options`: user options by server id, already opened (see `Secrets`)."""

    def __init__(self, base_url: str, roles: Roles, activities: Activities) -> None:
        self._base_url = base_url
        self._roles = roles
        self._activities = activities

    def user(
        self,
        asker: Identity,
        user: UserRow,
        servers: list[ServerRow],
        *,
        options: dict[str, Any] | None = None,
        stopped: bool = False,
    ) -> dict[str, Any]:
        default = next((server for server in servers if server.name == ""), None)
        heard = self._activities.newer(f"user:{user.id}", user.last_activity)
        heard = newest([heard, *(self._heard(server) for server in servers)])
        full: dict[str, Any] = {
            "admin": user.admin,
            "user_info": None,
            "groups": [],
            "roles": self._roles.of_user(user.name, admin=user.admin),
            "server": default.prefix if default and default.ready else None,
            "pending": default.pending if default else None,
            "created": stamp(user.created),
            "last_activity": stamp(heard),
        }
        model: dict[str, Any] = {"kind": "user", "name": user.name}
        for field, bases in USER_FIELDS.items():
            if any(asker.may(base, user=user.name) for base in bases):
                model[field] = full[field]
        if shown := self._servers(asker, user, servers, options or {}, stopped=stopped):
            model["servers"] = shown
        elif asker.may("read:servers", user=user.name):
            model["servers"] = {}
        if asker.may("admin:auth_state", user=user.name):
            model["auth_state"] = None
        return model

    def _servers(
        self, asker: Identity, user: UserRow, servers: list[ServerRow], options: dict[str, Any], *, stopped: bool
    ) -> dict[str, Any]:
        return {
            server.name: self.server(asker, server, options.get(server.id))
            for server in servers
            if (stopped or server.active) and asker.may("read:servers", user=user.name, server=server.name)
        }

    def server(
        self, asker: Identity, server: ServerRow, options: dict[str, Any] | None = None, state: Any = None
    ) -> dict[str, Any]:
        place = "server" if not server.name else f"servers/{server.name}"
        url = server.prefix or prefix(self._base_url, server.owner, server.name)
        model: dict[str, Any] = {
            "name": server.name,
            "display_name": server.display_name,
            "full_name": full_name(server.owner, server.name),
            "last_activity": stamp(self._heard(server) or server.since),
            "started": stamp(server.since),
            "pending": server.pending,
            "ready": server.ready,
            "stopped": not server.active,
            "url": url,
            "user_options": options if options is not None else {},
            "progress_url": f"{self._base_url}hub/api/users/{escape(server.owner)}/{place}/progress",
            "full_url": None,
            "full_progress_url": None,
        }
        if asker.may("admin:server_state", user=server.owner, server=server.name):
            model["state"] = state if state is not None else {}
        return model

    def _heard(self, server: ServerRow) -> Any:
        return self._activities.newer(f"server:{server.id}", server.last_activity)

    def identity(self, asker: Identity, user: UserRow | None, servers: list[ServerRow]) -> dict[str, Any]:
        """`GET /user`: the owner as the token may see it, and always who it is (contract, part 2.6)."""
        if asker.kind == "service":
            model: dict[str, Any] = {
                "kind": "service",
                "name": asker.name,
                "admin": asker.admin,
                "roles": self._roles.of_service(asker.name),
            }
        else:
            assert user is not None
            known = scope.expand([f"read:users:name!user={asker.name}", f"read:users:groups!user={asker.name}"])
            seeing = dataclasses.replace(asker, scopes=asker.scopes | known)
            model = self.user(seeing, user, servers)
        model["token_id"] = f"a{asker.token}" if asker.token else None
        model["session_id"] = asker.session or None
        model["scopes"] = sorted(asker.scopes)
        return model


class Secrets:
    """Opens what the vault holds of servers."""

    def __init__(self, pool: Any, vault: Vault) -> None:
        self._pool = pool
        self._vault = vault

    async def options(self, servers: list[ServerRow]) -> dict[str, Any]:
        return await self._read("options", servers)

    async def states(self, servers: list[ServerRow]) -> dict[str, Any]:
        return await self._read("state", servers)

    async def _read(self, kind: str, servers: list[ServerRow]) -> dict[str, Any]:
        """By server id; a server without an entry is left out. Two queries at most, none for no servers."""
        if not servers:
            return {}
        people = {f"{kind}:{server.id}": server for server in servers}
        rows = await self._pool.fetch("select key, value from vault where key = any($1)", list(people))
        if not rows:
            return {}
        await self._vault.load(self._pool, {people[row["key"]].user_id for row in rows})
        found = {}
        for row in rows:
            server = people[row["key"]]
            if (data := self._vault.open_bytes(server.user_id, row["value"])) is not None:
                found[server.id] = msgspec.json.decode(data)
        return found
