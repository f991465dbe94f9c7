"""Who is asking, and what they may do: one query a request, no memory between requests.

So a revoked token, a closed session or a lost role counts at the very next request, on every replica.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import asyncpg
import msgspec

from hubbub.config import Options
from hubbub.domain import scope
from hubbub.domain.names import full_name
from hubbub.tokens import token_hash

#: A longer token never matches, so that nobody can make us hash megabytes.
LONGEST_TOKEN = 64

IDENTIFY = ("read:users:name!user", "read:users:groups!user")


@dataclass(frozen=True, kw_only=True)
class Identity:
    """`kind` is "user" or "service". `scopes` are expanded; `token` is the number of the token used, 0 for a
    cookie; `session` the id of the browser's session; `secret` what its XSRF token is bound to.
    """

    kind: str
    name: str
    id: str = ""
    number: int = 0
    admin: bool = False
    scopes: frozenset[str] = frozenset()
    token: int = 0
    token_stream: str = ""
    session: str = ""
    secret: str = ""
    client: str = ""

    @property
    def by_cookie(self) -> bool:
        return self.kind == "user" and not self.token_stream

    @property
    def actor(self) -> str:
        """How the log names them: by id, since names change and may have to be forgotten."""
        return f"user:{self.id}" if self.kind == "user" else f"service:{self.name}"

    def may(self, base: str, *, user: str = "", server: str | None = None) -> bool:
        return scope.allows(self.scopes, base, user=user, server=server)


@dataclass(frozen=True)
class Role:
    scopes: tuple[str, ...]
    users: frozenset[str]
    services: frozenset[str]


class Roles:
    """The roles of the operator's configuration on top of the built-in ones."""

    def __init__(self, options: Options) -> None:
        self._roles = {name: Role(scopes, frozenset(), frozenset()) for name, scopes in scope.ROLES.items()}
        for role in options.hub.load_roles:
            name = role["name"]
            built_in = self._roles.get(name)
            given = tuple(role.get("scopes", built_in.scopes if built_in else ()))
            self._roles[name] = Role(
                built_in.scopes if name == "admin" and built_in else given,
                frozenset(str(user).lower() for user in role.get("users", ())),
                frozenset(role.get("services", ())),
            )
        self._admin_services = {s["name"] for s in options.hub.services if s.get("admin")}

    def __getitem__(self, name: str) -> Role:
        return self._roles[name]

    def of_user(self, name: str, *, admin: bool) -> list[str]:
        held = ["user", *(["admin"] if admin else [])]
        return held + [key for key, role in self._roles.items() if name in role.users and key not in held]

    def of_service(self, name: str) -> list[str]:
        held = ["admin"] if name in self._admin_services else []
        return held + [key for key, role in self._roles.items() if name in role.services and key not in held]

    def user_scopes(self, name: str, *, admin: bool) -> frozenset[str]:
        named = [each for role in self.of_user(name, admin=admin) for each in self._roles[role].scopes]
        return scope.expand(named, user=name)

    def service_scopes(self, name: str) -> frozenset[str]:
        named = [each for role in self.of_service(name) for each in self._roles[role].scopes]
        return scope.expand(named, service=name)


def token_scopes(owner: frozenset[str], name: str, scopes: tuple[str, ...], server: str = "") -> frozenset[str]:
    """What a token with *scopes* may do for its owner. *server*: `name/server` of the client it was given to."""
    if "inherit" in scopes:
        return owner
    return scope.intersect(scope.expand((*scopes, *IDENTIFY), user=name, server=server), owner)


class Access:
    """Finds out who somebody is."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", options: Options) -> None:
        self._pool = pool
        self.roles = Roles(options)
        self.services: Mapping[str, dict[str, Any]] = {s["name"]: s for s in options.hub.services}
        self._service_tokens = {
            token_hash(s["api_token"]): s["name"] for s in options.hub.services if s.get("api_token")
        }

    async def by_token(self, token: str) -> Identity | None:
        if len(token) > LONGEST_TOKEN:
            return None
        hashed = token_hash(token)
        for known, name in self._service_tokens.items():
            if hmac.compare_digest(known, hashed):
                return self.service(name)
        row = await self._pool.fetchrow(_BY_TOKEN, hashed)
        if row is None:
            return None
        held = _TOKEN.decode(row["token_state"])
        owner = self.roles.user_scopes(row["name"], admin=row["admin"])
        server = full_name(row["server_user"], row["server_name"]) if row["server_user"] else ""
        return Identity(
            kind="user",
            name=row["name"],
            id=row["id"],
            number=row["number"],
            admin=row["admin"],
            scopes=token_scopes(owner, row["name"], held.scopes, server),
            token=row["token_number"],
            token_stream=row["token_id"],
            session=row["session"],
            client=row["client"],
        )

    async def by_session(self, secret: str) -> Identity | None:
        """*secret*: what the (verified) login cookie holds."""
        hashed = token_hash(secret)
        row = await self._pool.fetchrow(_BY_SESSION, hashed)
        if row is None:
            return None
        return Identity(
            kind="user",
            name=row["name"],
            id=row["id"],
            number=row["number"],
            admin=row["admin"],
            scopes=self.roles.user_scopes(row["name"], admin=row["admin"]),
            session=row["session"],
            secret=hashed,
        )

    def service(self, name: str) -> Identity:
        return Identity(
            kind="service",
            name=name,
            admin="admin" in self.roles.of_service(name),
            scopes=self.roles.service_scopes(name) | {"read:services:name!service=" + name},
            token_stream=f"config:{name}",
        )


class _Token(msgspec.Struct):
    scopes: tuple[str, ...]


_TOKEN = msgspec.json.Decoder(_Token)

_BY_TOKEN = """
    select u.id, u.number, u.name, u.admin, t.id as token_id, t.number as token_number, t.session, t.client,
           t.state as token_state, o.name as server_user, s.name as server_name
    from tokens t join users u on u.id = t.user_id
    left join servers s on s.id = t.server left join users o on o.id = s.user_id
    where t.hash = $1 and (t.expires_at is null or t.expires_at > now())
"""
_BY_SESSION = """
    select u.id, u.number, u.name, u.admin, s.id as session
    from sessions s join users u on u.id = s.user_id where s.hash = $1 and s.expires_at > now()
"""
