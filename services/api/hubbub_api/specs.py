"""What a worker is told of an attempt that it holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import msgspec
import structlog
from cryptography.fernet import MultiFernet

from hubbub.config import Options
from hubbub.domain.group import Group
from hubbub.domain.names import client_id, full_name
from hubbub.domain.server_states import Held as HeldState
from hubbub.domain.server_states import Running, Server, Spawning, Started, Stopping
from hubbub.eventlog import context_in
from hubbub.managed import Managed
from hubbub.roles import Roles
from hubbub.rpc import Inherited, Person, Spec
from hubbub.vault import Vault
from hubbub_api import server_tokens

log = structlog.get_logger()

#: Sealed. A larger one is not told: with everything else about a start it has to fit into one message.
LARGEST_AUTH_STATE = 64 * 1024

_STATE = msgspec.json.Decoder(Server)
_GROUP = msgspec.json.Decoder(Group)

# What asked for the attempt: so that its start belongs to the same conversation and trace.
CAUSE = """
    left join lateral (select meta from events e where e.stream = 'server-' || s.id and e.type = 'SpawnRequested'
        order by e.version desc limit 1) cause on true
"""
_TOLD = """
    select s.id, s.state, u.number, u.name, u.admin, t.hash, cause.meta,
           coalesce(u.id, s.id) as secrets_of, o.value as options, v.value as spawner_state, x.hash as digest,
           q.value as request, a.value as auth_state, {attempt} as left_attempt,
           array(select g.state from members m join groups g on g.id = m.group_id
                 where m.user_id = u.id order by g.number) as groups
    from {source} left join users u on u.id = s.user_id left join tokens t on t.id = {used}
    left join vault o on o.key = 'options:' || s.id left join vault v on v.key = {key}
    left join vault q on q.key = 'request:' || s.id left join vault a on a.key = 'auth_state:' || u.id
    left join settled x on x.section = s.id and s.user_id = ''
    {cause}
    where {which} and (u.id is not null or s.user_id = '')
"""
_SPECS = _TOLD.format(
    source="servers s",
    used="s.token",
    key="'state:' || s.id",
    cause=CAUSE,
    which="s.id = any($1)",
    attempt="s.attempt",
)
# Of what is over while nothing else is, e.g. by an operator's own hand, the state may still be where it was.
_LEFTOVERS = _TOLD.format(
    source="unnest($1::text[], $2::int[], $3::text[]) as w (id, attempt, token) join servers s on s.id = w.id",
    used="w.token",
    key="""coalesce((select key from vault where key = 'state:' || s.id || ':' || w.attempt),
        case when s.kind = 'Stopped' and s.attempt = w.attempt then 'state:' || s.id end)""",
    cause=CAUSE,
    which="true",
    attempt="w.attempt",
)


@dataclass(frozen=True, kw_only=True)
class Job:
    """To end what is left of an attempt. `state` is what the attempt would be, were it still being stopped."""

    server: str
    state: Stopping


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
        return [each.spec for each in await self.inherited(ids)]

    async def inherited(self, ids: Sequence[str]) -> list[Inherited]:
        """The same with what each of them is now; without those that are over meanwhile."""
        if not ids:
            return []
        rows = await self._pool.fetch(_SPECS, list(ids))
        await self._vault.load(self._pool, {row["secrets_of"] for row in rows})
        states = [(row, _STATE.decode(row["state"])) for row in rows]
        return [
            Inherited(spec=self._spec(row, state), state=state)
            for row, state in states
            if isinstance(state, Spawning | Started | Running | Stopping)
        ]

    async def leftovers(self, jobs: Sequence[Job]) -> list[Spec]:
        """Everything a worker needs to end what is left of these attempts."""
        if not jobs:
            return []
        ids, attempts = [job.server for job in jobs], [job.state.attempt for job in jobs]
        rows = await self._pool.fetch(_LEFTOVERS, ids, attempts, [job.state.token for job in jobs])
        await self._vault.load(self._pool, {row["secrets_of"] for row in rows})
        states = {(job.server, job.state.attempt): job.state for job in jobs}
        return [self._spec(row, states[row["id"], row["left_attempt"]]) for row in rows]

    def _spec(self, row: asyncpg.Record, state: HeldState) -> Spec:
        groups = [_GROUP.decode(group) for group in row["groups"]]
        cause = context_in(row["meta"]) if row["meta"] else None
        about = self._spec_of_person(row, state, groups) if state.user else self._spec_of_service(row, state)
        return Spec(
            server=row["id"],
            attempt=state.attempt,
            name=state.name,
            display_name=state.display_name,
            traceparent=cause.traceparent if cause else "",
            correlation=cause.correlation if cause else "",
            prefix=state.prefix,
            hash=row["hash"] or "",
            sealed=self._sealed(row, groups),
            deadline=state.deadline,
            reach=state.reach,
            **about,
        )

    def _sealed(self, row: asyncpg.Record, groups: Sequence[Group]) -> str:
        """What nobody on the way is to read; see `Spec.sealed`."""
        secret = {"options": self._open(row, "options"), "state": self._open(row, "spawner_state")}
        secret |= {kind: opened for kind in ("request", "auth_state") if (opened := self._open(row, kind))}
        if row["auth_state"] and len(row["auth_state"]) > LARGEST_AUTH_STATE:
            log.error("auth_state.too_large", server=row["id"], bytes=len(row["auth_state"]), most=LARGEST_AUTH_STATE)
            del secret["auth_state"]
        if groups:
            secret["groups"] = [{"name": group.name, "properties": group.properties} for group in groups]
        return self._bus_key.encrypt(msgspec.json.encode(secret)).decode()

    def _spec_of_person(self, row: asyncpg.Record, state: HeldState, groups: Sequence[Group]) -> dict[str, Any]:
        owner, allowed = row["name"], self._options.spawner_of(state.pool).oauth_client_allowed_scopes or ()
        names = tuple(group.name for group in groups)
        return {
            "person": Person(id=state.user, number=row["number"], name=owner, admin=row["admin"], groups=names),
            "client_id": client_id(owner, state.name),
            "token_scopes": self.token_scopes(state.pool),
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

    def token_scopes(self, pool: str) -> tuple[str, ...]:
        """What the tokens of servers in *pool* begin with."""
        return server_tokens.scopes(self._roles, self._options.spawner_of(pool).server_token_scopes)
