"""What a worker is told of an attempt that it holds."""

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
import msgspec
from cryptography.fernet import MultiFernet

from hubbub.config import Options
from hubbub.domain.names import client_id, full_name
from hubbub.domain.server_states import Held as HeldState
from hubbub.domain.server_states import Server
from hubbub.eventlog import context_in
from hubbub.managed import Managed
from hubbub.roles import Roles
from hubbub.rpc import Person, Spec
from hubbub.vault import Vault

_STATE = msgspec.json.Decoder(Server)

# What asked for the attempt: so that its start belongs to the same conversation and trace.
CAUSE = """
    left join lateral (select meta from events e where e.stream = 'server-' || s.id and e.type = 'SpawnRequested'
        order by e.version desc limit 1) cause on true
"""
_SPECS = f"""
    select s.id, s.state, u.number, u.name, u.admin, t.hash, cause.meta,
           coalesce(u.id, s.id) as secrets_of, o.value as options, v.value as spawner_state, x.hash as digest
    from servers s left join users u on u.id = s.user_id left join tokens t on t.id = s.token
    left join vault o on o.key = 'options:' || s.id left join vault v on v.key = 'state:' || s.id
    left join settled x on x.section = s.id and s.user_id = ''
    {CAUSE}
    where s.id = any($1) and (u.id is not null or s.user_id = '')
"""


class Specs:
    def __init__(
        self,
        pool: "asyncpg.Pool[asyncpg.Record]",
        vault: Vault,
        bus_key: MultiFernet,
        options: Options,
        roles: Roles,
        managed: Mapping[str, Managed],
    ) -> None:
        """*managed*: this process's managed services, by id."""
        self._pool = pool
        self._vault = vault
        self._bus_key = bus_key
        self._options = options
        self._roles = roles
        self._managed = managed

    async def of(self, ids: Sequence[str]) -> list[Spec]:
        """Everything a worker needs to start each of these servers; one query."""
        if not ids:
            return []
        rows = await self._pool.fetch(_SPECS, list(ids))
        await self._vault.load(self._pool, {row["secrets_of"] for row in rows})
        return [self._spec(row) for row in rows if isinstance(_STATE.decode(row["state"]), HeldState)]

    def _spec(self, row: asyncpg.Record) -> Spec:
        state = _STATE.decode(row["state"])
        assert isinstance(state, HeldState)
        secret = msgspec.json.encode({"options": self._open(row, "options"), "state": self._open(row, "spawner_state")})
        cause = context_in(row["meta"]) if row["meta"] else None
        about = self._spec_of_person(row, state) if state.user else self._spec_of_service(row, state)
        return Spec(
            server=row["id"],
            attempt=state.attempt,
            name=state.name,
            display_name=state.display_name,
            traceparent=cause.traceparent if cause else "",
            correlation=cause.correlation if cause else "",
            prefix=state.prefix,
            hash=row["hash"] or "",
            sealed=self._bus_key.encrypt(secret).decode(),
            deadline=state.deadline,
            **about,
        )

    def _spec_of_person(self, row: asyncpg.Record, state: HeldState) -> dict[str, Any]:
        owner, allowed = row["name"], self._options.spawner.oauth_client_allowed_scopes
        return {
            "person": Person(id=state.user, number=row["number"], name=owner, admin=row["admin"]),
            "client_id": client_id(owner, state.name),
            "token_scopes": tuple(self.token_scopes()),
            "access_scopes": (
                f"access:servers!server={full_name(owner, state.name)}",
                f"access:servers!user={owner}",
            ),
            "client_allowed_scopes": tuple(sorted(self._roles.tree.expand(allowed))),
        }

    def _spec_of_service(self, row: asyncpg.Record, state: HeldState) -> dict[str, Any]:
        """What is secret of it the worker has in its own configuration."""
        return {
            "person": Person(id="", number=0, name="", admin=False),
            "client_id": self.client(row["id"], state),
            "token_scopes": ("inherit",),
            "access_scopes": ("access:services", f"access:services!service={state.name}"),
            "service": state.name,
            "digest": row["digest"] or "",
        }

    def _open(self, row: asyncpg.Record, column: str) -> Any:
        data = self._vault.open_bytes(row["secrets_of"], row[column]) if row[column] else None
        return msgspec.json.decode(data) if data else {}

    def client(self, id: str, state: HeldState) -> str:
        service = self._managed.get(id)
        return service.client if service else f"service-{state.name}"

    def token_scopes(self) -> list[str]:
        given = self._options.spawner.server_token_scopes or list(self._roles["server"])
        return list(dict.fromkeys([*given, "users:activity!user"]))
