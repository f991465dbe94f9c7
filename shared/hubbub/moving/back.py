"""Back out: a database that JupyterHub 6.1.1 opens, with what it can know of what is here."""

import json
import secrets
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import msgspec
from cryptography.fernet import MultiFernet

from hubbub import legacy
from hubbub.domain.names import client_id, full_name
from hubbub.domain.scope_tree import ROLES as USUAL
from hubbub.domain.server_states import Running
from hubbub.domain.token import Token
from hubbub.moving.report import Report
from hubbub.moving.their_schema import STATEMENTS
from hubbub.moving.theirs import HUB
from hubbub.vault import Vault
from hubbub.views import GRANTS, GROUPS, SERVERS, SERVICES, SHARES, TOKENS

Row = asyncpg.Record
Ids = dict[str, int]


@dataclass(kw_only=True)
class Back:
    """*file*: empty. *keys*: what JupyterHub will open auth states with. *tokens*: those that are known as they are,
    by the ids of the servers that have them.
    """

    pool: "asyncpg.Pool[asyncpg.Record]"
    vault: Vault
    file: sqlite3.Connection
    keys: MultiFernet | None
    tokens: Mapping[str, str] = field(default_factory=dict)
    report: Report = field(default_factory=Report)
    _users: Ids = field(default_factory=dict)
    _groups: Ids = field(default_factory=dict)
    _roles: Ids = field(default_factory=dict)
    _services: Ids = field(default_factory=dict)
    _servers: dict[str, tuple[int, str]] = field(default_factory=dict)
    _clients: set[str] = field(default_factory=set)
    _names: dict[str, str] = field(default_factory=dict)

    async def write(self) -> Report:
        """Everything, or nothing. Reads as the log is now: nobody is to change anything meanwhile."""
        with self.file:
            for statement in STATEMENTS:
                self.file.execute(statement)
            self._client(HUB, "", "", [])
            await self._write_roles()
            await self._write_groups()
            await self._write_users()
            await self._write_services()
            await self._write_servers()
            await self._write_tokens()
            await self._write_shares()
        return self.report

    def _add(self, table: str, **columns: Any) -> int:
        names, marks = ", ".join(columns), ", ".join("?" for _ in columns)
        values = [_plain(value) for value in columns.values()]
        return self.file.execute(f"insert into {table} ({names}) values ({marks})", values).lastrowid or 0

    def _count(self, kind: str) -> None:
        self.report.found[kind] += 1
        self.report.brought[kind] += 1

    # Whom and what they hold --------------------------------------------------------------

    async def _write_roles(self) -> None:
        """JupyterHub makes those of its configuration anew; of its usual ones it wants to know who holds them."""
        for name, scopes in USUAL.items():
            self._roles[name] = self._add("roles", name=name, description="", scopes=scopes, managed_by_auth=False)
        for row in await self.pool.fetch("select id, state from roles order by number"):
            state = json.loads(row["state"])
            about = {"description": state.get("description", ""), "scopes": state["scopes"], "managed_by_auth": True}
            self._roles[row["id"]] = self._add("roles", name=row["id"], **about)

    async def _write_groups(self) -> None:
        for row in await self.pool.fetch("select id, name, state from groups order by number"):
            properties = GROUPS.decode_state(row["state"]).properties  # type: ignore[attr-defined]
            self._groups[row["id"]] = self._add("groups", name=row["name"], properties=properties)
            self._count("groups")

    async def _write_users(self) -> None:
        rows = await self.pool.fetch(_USERS)
        await self.vault.load(self.pool, [row["id"] for row in rows])
        for row in rows:
            info = self._open(row["id"], row["info"])
            self._names[row["id"]] = row["name"]
            self._users[row["id"]] = id = self._add(
                "users",
                name=row["name"],
                admin=row["admin"],
                created=row["created"],
                last_activity=row["last_activity"],
                cookie_id=secrets.token_hex(16),
                user_info=info,
                encrypted_auth_state=self._auth_state(row),
            )
            for role in ("user", "admin") if row["admin"] else ("user",):
                self._add("user_role_map", user_id=id, role_id=self._roles[role], managed_by_auth=False)
            self._count("users")
        for row in await self.pool.fetch("select group_id, user_id from members order by number"):
            self._add("user_group_map", user_id=self._users[row["user_id"]], group_id=self._groups[row["group_id"]])
            self._count("memberships")
        for row in await self.pool.fetch("select state from grants order by number"):
            self._grant(GRANTS.decode_state(row["state"]))

    def _grant(self, grant: Any) -> None:
        """Those of the configuration's own roles follow from the configuration."""
        holders = self._users if grant.kind == "user" else self._groups
        if grant.role in self._roles and grant.role not in ("user", "admin") and grant.holder in holders:
            about = {f"{grant.kind}_id": holders[grant.holder], "role_id": self._roles[grant.role]}
            self._add(f"{grant.kind}_role_map", **about, managed_by_auth=grant.source == "login")

    def _auth_state(self, row: Row) -> bytes | None:
        data = self.vault.open_bytes(row["id"], row["auth_state"]) if row["auth_state"] else None
        if data is None:
            return None
        if self.keys is None:
            self.report.note("not taken along: auth states, because JUPYTERHUB_CRYPT_KEY is not set", row["name"])
            return None
        self._count("auth states")
        return self.keys.encrypt(data)

    async def _write_services(self) -> None:
        for row in await self.pool.fetch("select name, state from services order by number"):
            spec = SERVICES.decode_state(row["state"]).spec  # type: ignore[attr-defined]
            if spec.oauth_client_id:
                self._client(spec.oauth_client_id, "", spec.oauth_redirect_uri, spec.oauth_client_allowed_scopes)
            self._services[spec.name] = self._add(
                "services",
                name=spec.name,
                admin=spec.admin,
                url=spec.url or None,
                oauth_client_allowed_scopes=spec.oauth_client_allowed_scopes,
                info=spec.info,
                display=spec.display,
                oauth_no_confirm=spec.oauth_no_confirm,
                timeout=spec.timeout,
                from_config=False,
                oauth_client_id=spec.oauth_client_id or None,
            )
            self._count("services")

    # Servers ------------------------------------------------------------------------------

    async def _write_servers(self) -> None:
        for row in await self.pool.fetch(_SERVERS):
            state, owner = SERVERS.decode_state(row["state"]), self._names[row["user_id"]]
            runs = isinstance(state, Running)
            columns: dict[str, Any] = {"started": None, "server_id": None, "oauth_client_id": None}
            if isinstance(state, Running):
                columns = self._running(row, state, owner)
            elif row["kind"] != "Stopped":
                whole = f"{owner}/{row['name']}"
                self.report.note("on their way up or down: JupyterHub takes them for stopped", whole)
            id = self._add(
                "spawners",
                user_id=self._users[row["user_id"]],
                name=row["name"],
                display_name=row["display_name"],
                state=self._open(row["user_id"], row["spawner_state"]) or {},
                user_options=self._open(row["user_id"], row["options"]) or {},
                last_activity=row["last_activity"],
                **columns,
            )
            self._servers[row["id"]] = (id, full_name(owner, row["name"]))
            self._count("servers")
            if runs:
                self._count("running servers")

    def _running(self, row: Row, state: Running, owner: str) -> dict[str, Any]:
        at = urlsplit(state.url)
        about = {"proto": at.scheme, "ip": at.hostname, "port": at.port, "base_url": state.prefix}
        server = self._add("servers", **about, cookie_name="cookie")
        client = row["client"] or client_id(owner, row["name"])
        secret = as_theirs(row["hash"]) if row["hash"] else ""
        self._client(client, secret, f"{state.prefix}oauth_callback", [])
        return {"started": state.since, "server_id": server, "oauth_client_id": client}

    def _client(self, identifier: str, secret: str, redirect_uri: str, scopes: Any) -> None:
        if identifier not in self._clients:
            self._clients.add(identifier)
            about = {"secret": secret, "redirect_uri": redirect_uri, "allowed_scopes": scopes}
            self._add("oauth_clients", identifier=identifier, description=identifier, **about)

    # Tokens and shares --------------------------------------------------------------------

    async def _write_tokens(self) -> None:
        for row in await self.pool.fetch(_TOKENS):
            token = TOKENS.decode_state(row["state"])
            assert isinstance(token, Token)
            if not self._has_owner(token):
                continue
            self.report.found["tokens"] += 1
            known = self.tokens.get(token.server, "") if row["in_server"] else ""
            if prefix := row["prefix"] or known[: legacy.PREFIX]:
                self._token(row, token, prefix)
            else:
                whose = self._names.get(token.user) or token.service
                self.report.note("not taken along: tokens made here, whose first characters nobody knows", whose)

    def _has_owner(self, token: Token) -> bool:
        return token.service in self._services if token.service else token.user in self._users

    def _token(self, row: Row, token: Token, prefix: str) -> None:
        is_of_hub = row["in_server"] or token.client not in self._clients
        self._add(
            "api_tokens",
            user_id=self._users.get(token.user),
            service_id=self._services.get(token.service) if token.service else None,
            hashed=as_theirs(token.hash),
            prefix=prefix,
            client_id=HUB if is_of_hub else token.client,
            session_id=token.session or None,
            created=row["created"],
            expires_at=token.expires_at,
            last_activity=row["last_activity"],
            note=token.note,
            scopes=token.scopes,
        )
        self.report.brought["tokens"] += 1

    async def _write_shares(self) -> None:
        for row in await self.pool.fetch("select state from shares order by number"):
            share: Any = SHARES.decode_state(row["state"])
            spawner, name = self._servers[share.server]
            [owner] = self.file.execute("select user_id from spawners where id = ?", (spawner,)).fetchone()
            self._add(
                "shares",
                user_id=self._users.get(share.user),
                group_id=self._groups.get(share.group),
                created_at=share.since,
                scopes=[f"{scope}!server={name}" for scope in share.scopes],
                owner_id=owner,
                spawner_id=spawner,
            )
            self._count("shares")

    def _open(self, person: str, data: bytes | None) -> Any:
        opened = self.vault.open_bytes(person, data) if data else None
        return None if opened is None else msgspec.json.decode(opened)


def as_theirs(hashed: str) -> str:
    """A hash as JupyterHub reads it: ours is one of its kind, of one round and without salt."""
    return hashed if legacy.is_legacy(hashed) else hashed.replace("sha256:", "sha256:1::", 1)


def _plain(value: Any) -> Any:
    """As JupyterHub keeps it in SQLite."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
    return json.dumps(value) if isinstance(value, dict | list | tuple) else value


_USERS = f"""
    select u.id, u.name, u.admin, {legacy.created("'user:' || u.id")} as created, a.at as last_activity,
           i.value as info, x.value as auth_state
    from users u join events e on e.position = u.number left join activity a on a.subject = 'user:' || u.id
    left join vault i on i.key = 'user_info:' || u.id left join vault x on x.key = 'auth_state:' || u.id
    order by u.number
"""
_SERVERS = """
    select s.id, s.user_id, s.name, s.display_name, s.kind, s.state, a.at as last_activity, o.value as options,
           v.value as spawner_state, t.hash, t.client
    from servers s left join activity a on a.subject = 'server:' || s.id
    left join vault o on o.key = 'options:' || s.id left join vault v on v.key = 'state:' || s.id
    left join tokens t on t.id = s.token
    where s.user_id <> '' order by s.number
"""
_TOKENS = f"""
    select t.state, l.prefix, {legacy.created("'token:' || t.id")} as created, a.at as last_activity,
           coalesce(s.token = t.id, false) as in_server
    from tokens t join events e on e.position = t.number left join legacy_tokens l on l.hashed = t.hash
    left join activity a on a.subject = 'token:' || t.id left join servers s on s.id = t.server and t.server <> ''
    where (t.expires_at is null or t.expires_at > now()) and (t.service = '' or s.id is null)
    order by t.number
"""
