"""Who is asking, and what they may do: asked of the database for each request, with no memory between requests.

So a revoked token, a closed session or a lost role counts at the very next request, on every replica.
Those who ask at the same moment share a query (`hubbub.batch`).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from hubbub import legacy, sessions
from hubbub.batch import Batch
from hubbub.config import Options
from hubbub.domain import scope
from hubbub.domain.names import full_name, normalize_user_name
from hubbub.domain.role import Role
from hubbub.domain.service import Service
from hubbub.roles import Roles, Shared
from hubbub.tokens import LONGEST_TOKEN, token_hash
from hubbub.vault import Fetches


@dataclass(frozen=True, kw_only=True)
class Identity:
    """`kind` is "user" or "service". `roles` are those held by oneself, `scopes` all that follows, expanded.

    `token` is the number of the token used, 0 for a cookie or a token of the configuration; `client` the OAuth
    client it was issued to; `session` the id of the browser's session, `session_used` when that was last known to be in
    use (None: it is over, or there is none); `secret` what its XSRF token is bound to.
    `members`: of the groups that stand in a filter of `scopes`.
    """

    kind: str
    name: str
    id: str = ""
    number: int = 0
    admin: bool = False
    created: datetime | None = None
    last_activity: datetime | None = None
    roles: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    scopes: frozenset[str] = frozenset()
    members: scope.Members = field(default_factory=dict)
    user_info: bytes | None = field(default=None, repr=False)
    token: int = 0
    token_stream: str = ""
    session: str = ""
    session_used: datetime | None = None
    secret: str = ""
    client: str = ""

    @property
    def by_cookie(self) -> bool:
        return self.kind == "user" and not self.token_stream

    @property
    def actor(self) -> str:
        """How the log names them: by id, since names change and may have to be forgotten."""
        return f"user:{self.id}" if self.kind == "user" else f"service:{self.name}"

    def may(self, base: str, *, user: str = "", server: str | None = None, group: str = "", service: str = "") -> bool:
        return scope.allows(
            self.scopes, base, user=user, server=server, group=group, service=service, members=self.members
        )


class Access:
    """Finds out who somebody is. `services`: those of the configuration, by name."""

    def __init__(self, pool: Fetches, options: Options) -> None:
        self._pool = pool
        self.roles = Roles(options)
        self.services: Mapping[str, dict[str, Any]] = {s["name"]: s for s in options.hub.services}
        self._service_tokens = {
            token_hash(s["api_token"]): s["name"] for s in options.hub.services if s.get("api_token")
        } | {token_hash(token): name for token, name in options.hub.service_tokens.items()}
        self._user_tokens = {
            token_hash(token): normalize_user_name(name)
            for token, name in options.hub.api_tokens.items()
            if normalize_user_name(name) not in options.blocked_users
        }
        not_idle = sessions.not_idle(options.ours.session_idle_timeout)
        self._by_token, self._by_session = f"{_BY_TOKEN} {not_idle}", f"{_BY_SESSION} {not_idle}"
        self._tokens = Batch(self._load_tokens)
        self._sessions = Batch(self._load_sessions)

    async def by_token(self, token: str) -> Identity | None:
        if len(token) > LONGEST_TOKEN:
            return None
        hashed = token_hash(token)
        if (name := self._service_tokens.get(hashed)) is not None:
            return await self._knowing(replace(self.service(name), token_stream=f"config:{name}"))
        if (name := self._user_tokens.get(hashed)) is not None:
            owner = await self.user(name)
            return await self._knowing(replace(owner, token_stream=f"config:{name}")) if owner else None
        row = await self._tokens.get(hashed)
        if row is None and await legacy.find(self._pool, token):
            row = await self._tokens.get(hashed)
        return await self._holder(row) if row else None

    async def by_session(self, secret: str) -> Identity | None:
        """*secret*: what the (verified) login cookie holds."""
        hashed = token_hash(secret)
        row = await self._sessions.get(hashed)
        if row is None:
            return None
        identity = replace(self._user(row), session=row["session"], session_used=row["session_used"], secret=hashed)
        return await self._knowing(identity)

    async def user(self, name: str) -> Identity | None:
        """A user as they are, and all that they may do."""
        rows = await self._pool.fetch(_USER, name)
        return self._user(rows[0]) if rows else None

    def service(self, name: str, *, admin: bool = False) -> Identity:
        """A service, and all that it may do; *admin* is for one that was registered while the hub runs."""
        admin = admin or bool(self.services.get(name, {}).get("admin"))
        roles = self.roles.of_service(name, admin=admin)
        scopes = self.roles.service_scopes(name, admin=admin)
        return Identity(kind="service", name=name, admin="admin" in roles, roles=roles, scopes=scopes)

    async def token_scopes(self, owner: Identity, scopes: tuple[str, ...], server: str = "") -> frozenset[str]:
        """What a token with *scopes* may do for *owner*. *server*: `name/server` of what it was given to."""
        if "inherit" in scopes:
            return owner.scopes
        members = await self.members((*owner.scopes, *scopes))
        return self.roles.token_scopes(owner.kind, owner.name, owner.scopes, scopes, server, members)

    async def members(self, scopes: Collection[str]) -> scope.Members:
        """The names of those in each group that stands in a filter of *scopes*. No query if there is none."""
        groups = scope.groups_in(scopes)
        if not groups:
            return {}
        rows = await self._pool.fetch(_MEMBERS, sorted(groups))
        return {row["name"]: frozenset(row["users"]) for row in rows}

    # Rows -------------------------------------------------------------------------------

    async def _load_tokens(self, hashes: Sequence[str]) -> dict[str, asyncpg.Record]:
        return {row["hash"]: row for row in await self._pool.fetch(self._by_token, list(hashes))}

    async def _load_sessions(self, hashes: Sequence[str]) -> dict[str, asyncpg.Record]:
        return {row["hash"]: row for row in await self._pool.fetch(self._by_session, list(hashes))}

    async def _holder(self, row: asyncpg.Record) -> Identity | None:
        """Whose token it is; None for that of a service that is no more."""
        if name := row["service"]:
            registered = _SERVICE.decode(row["service_state"]).spec if row["service_state"] else None
            if registered is None and name not in self.services:
                return None
            owner = self.service(name, admin=registered is not None and registered.admin)
        elif row["id"] is None:
            return None
        else:
            owner = self._user(row)
        server = full_name(row["server_user"], row["server_name"]) if row["server_user"] else ""
        scopes = await self.token_scopes(owner, _TOKEN.decode(row["token_state"]).scopes, server)
        return await self._knowing(
            replace(
                owner,
                scopes=scopes,
                token=row["token_number"],
                token_stream=row["token_id"],
                session=row["session"],
                session_used=row["session_used"],
                client=row["client"],
            )
        )

    def _user(self, row: asyncpg.Record) -> Identity:
        roles = self.roles.of_user(row["roles"], admin=row["admin"])
        shares = [_shared(each) for each in row["shares"]]
        managed = {name: _ROLE.decode(state).scopes for name, state in row["managed"]}
        return Identity(
            kind="user",
            name=row["name"],
            id=row["id"],
            number=row["number"],
            admin=row["admin"],
            created=row["created"],
            last_activity=row["last_activity"],
            user_info=row["user_info"],
            roles=roles,
            groups=tuple(row["groups"]),
            scopes=self.roles.user_scopes(row["name"], (*roles, *row["group_roles"]), shares, managed),
        )

    async def _knowing(self, identity: Identity) -> Identity:
        members = await self.members(identity.scopes)
        return replace(identity, members=members) if members else identity


class _Token(msgspec.Struct):
    scopes: tuple[str, ...]


class _Share(msgspec.Struct):
    scopes: tuple[str, ...]


_ROLE = msgspec.json.Decoder(Role)
_TOKEN = msgspec.json.Decoder(_Token)
_SHARE = msgspec.json.Decoder(_Share)
_SERVICE = msgspec.json.Decoder(Service)


def _shared(given: list[str]) -> Shared:
    owner, server, state = given
    return full_name(owner, server), _SHARE.decode(state).scopes


#: A user `u`, with what they hold. Each of the lists is found by an index of its own, and most are empty.
_PERSON = f"""
    u.id, u.number, u.name, u.admin, {legacy.created("'user:' || u.id")} as created, a.at as last_activity,
    (select value from vault where key = 'user_info:' || u.id) as user_info,
    array(select role from grants where holder = u.id and kind = 'user' order by number) as roles,
    array(select g.name from members m join groups g on g.id = m.group_id
          where m.user_id = u.id order by g.number) as groups,
    array(select r.role from members m join grants r on r.holder = m.group_id and r.kind = 'group'
          where m.user_id = u.id order by r.number) as group_roles,
    array(select array[d.id, d.state] from roles d
          where exists (select from grants where id = d.id || '/user/' || u.id)
             or exists (select from members m join grants r on r.id = d.id || '/group/' || m.group_id
                        where m.user_id = u.id)) as managed,
    array(select array[o.name, s.name, h.state] from (
              select * from shares where user_id = u.id and user_id <> '' union all
              select h.* from members m join shares h on h.group_id = m.group_id and h.group_id <> ''
              where m.user_id = u.id
          ) h join servers s on s.id = h.server join users o on o.id = s.user_id) as shares
"""
_ABOUT = """
    left join events e on e.position = u.number
    left join activity a on a.subject = 'user:' || u.id
"""
_USER = f"select {_PERSON} from users u {_ABOUT} where u.name = $1"
_BY_TOKEN = f"""
    select w.asked as hash, t.id as token_id, t.number as token_number, t.session, t.client, t.service,
           t.state as token_state, sv.state as service_state, so.name as server_user, ts.name as server_name,
           case when x.id is not null then coalesce(xa.at, 'epoch') end as session_used, {_PERSON}
    from {legacy.ASKED} w join tokens t on t.hash = w.hash left join users u on u.id = t.user_id {_ABOUT}
    left join sessions x on x.id = t.session and t.session <> '' {sessions.USED}
    left join services sv on sv.name = t.service and t.service <> ''
    left join servers ts on ts.id = t.server and t.server <> '' left join users so on so.id = ts.user_id
    where (t.expires_at is null or t.expires_at > now())
"""
_BY_SESSION = f"""
    select x.hash, x.id as session, coalesce(xa.at, 'epoch') as session_used, {_PERSON}
    from sessions x join users u on u.id = x.user_id {_ABOUT} {sessions.USED}
    where x.hash = any($1) and x.expires_at > now()
"""
_MEMBERS = """
    select g.name, array_agg(u.name) as users from groups g
    join members m on m.group_id = g.id join users u on u.id = m.user_id
    where g.name = any($1) group by g.name
"""
