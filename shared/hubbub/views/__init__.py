"""The views: for each kind of stream a table whose row is a function of the stream's state.

So writing, replaying and verifying are the same few lines for all of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec

from hubbub.domain import (
    account,
    code,
    grant,
    group,
    house,
    member,
    proxy,
    role,
    route,
    server,
    service,
    session,
    share,
    share_code,
    token,
    user,
)
from hubbub.domain.message import Decider, State
from hubbub.domain.server_states import Absent, Server, Stopped


@dataclass(frozen=True, eq=False)
class View:
    """`row` gives the columns of a state, in order of `columns` (name -> Postgres type); None: no row."""

    table: str
    decider: Decider[Any, Any, Any]
    columns: dict[str, str]
    row: Callable[[Any], tuple[Any, ...] | None]

    @cached_property
    def decode_state(self) -> Callable[[str], State]:
        return msgspec.json.Decoder(self.decider.states).decode

    @cached_property
    def decode_event(self) -> Callable[[bytes], Any]:
        return msgspec.json.Decoder(self.decider.events).decode

    def upsert(self, table: str | None = None) -> str:
        """The statement that writes many rows at once; one array a column."""
        common = {"id": "text", "number": "bigint", "version": "int", "position": "bigint", "state": "text"}
        columns = {**common, **self.columns}
        arrays = ", ".join(f"${place}::{kind}[]" for place, kind in enumerate(columns.values(), 1))
        updates = ", ".join(f"{name} = excluded.{name}" for name in columns if name not in ("id", "number"))
        return (
            f"insert into {table or self.table} ({', '.join(columns)}) select * from unnest({arrays}) "
            f"on conflict (id) do update set {updates}"
        )

    def stream(self, id: str) -> str:
        return f"{self.decider.name}-{id}"


def _server(state: Server) -> tuple[Any, ...] | None:
    if isinstance(state, Absent):
        return None
    kind = type(state).__name__
    head = (state.user, state.name, state.display_name, kind, state.attempt, len(state.leftovers) or None)
    if isinstance(state, Stopped):
        return (*head, None, None, None, None, None, None, state.token, None, None, None)
    url = getattr(state, "url", None) or None
    where = (state.since, state.pool, state.holder, state.host, state.prefix, url, state.token, state.deadline)
    return (*head, *where, None if state.reach == "process" else state.reach, state.asker or None)


def _token(state: token.TokenState) -> tuple[Any, ...] | None:
    if isinstance(state, token.NoToken):
        return None
    return (state.hash, state.user, state.service, state.client, state.session, state.server, state.expires_at)


USERS = View(
    "users",
    user.decider,
    {"name": "text", "admin": "boolean"},
    lambda state: None if isinstance(state, user.NoUser) else (state.name, state.admin),
)
SERVERS = View(
    "servers",
    server.decider,
    {
        "user_id": "text",
        "name": "text",
        "display_name": "text",
        "kind": "text",
        "attempt": "int",
        "leftovers": "int",
        "since": "timestamptz",
        "pool": "text",
        "holder": "text",
        "host": "text",
        "prefix": "text",
        "url": "text",
        "token": "text",
        "deadline": "timestamptz",
        "reach": "text",
        "asker": "text",
    },
    _server,
)
TOKENS = View(
    "tokens",
    token.decider,
    {
        "hash": "text",
        "user_id": "text",
        "service": "text",
        "client": "text",
        "session": "text",
        "server": "text",
        "expires_at": "timestamptz",
    },
    _token,
)
SESSIONS = View(
    "sessions",
    session.decider,
    {"hash": "text", "user_id": "text", "expires_at": "timestamptz"},
    lambda state: None if isinstance(state, session.NoSession) else (state.hash, state.user, state.expires_at),
)
CODES = View(
    "codes",
    code.decider,
    {"hash": "text", "user_id": "text", "expires_at": "timestamptz"},
    lambda state: None if isinstance(state, code.NoCode) else (state.hash, state.user, state.expires_at),
)
ROUTES = View(
    "routes",
    route.decider,
    {"proxy": "text", "server": "text", "attempt": "int", "target": "text"},
    lambda state: (
        None if isinstance(state, route.NoRoute) else (state.proxy, state.server, state.attempt, state.target)
    ),
)
PROXIES = View("proxies", proxy.decider, {}, lambda state: None if isinstance(state, proxy.NotJoined) else ())

GROUPS = View(
    "groups",
    group.decider,
    {"name": "text"},
    lambda state: None if isinstance(state, group.NoGroup) else (state.name,),
)
MEMBERS = View(
    "members",
    member.decider,
    {"group_id": "text", "user_id": "text"},
    lambda state: None if isinstance(state, member.NoMember) else (state.group, state.user),
)
ROLES = View("roles", role.decider, {}, lambda state: None if isinstance(state, role.NoRole) else ())
GRANTS = View(
    "grants",
    grant.decider,
    {"role": "text", "kind": "text", "holder": "text", "source": "text"},
    lambda state: None if isinstance(state, grant.NoGrant) else (state.role, state.kind, state.holder, state.source),
)
SHARES = View(
    "shares",
    share.decider,
    {"server": "text", "user_id": "text", "group_id": "text"},
    lambda state: None if isinstance(state, share.NoShare) else (state.server, state.user, state.group),
)
SHARE_CODES = View(
    "share_codes",
    share_code.decider,
    {"hash": "text", "server": "text", "expires_at": "timestamptz"},
    lambda state: None if isinstance(state, share_code.NoShareCode) else (state.hash, state.server, state.expires_at),
)
SERVICES = View(
    "services",
    service.decider,
    {"name": "text", "client": "text"},
    lambda state: None if isinstance(state, service.NoService) else (state.spec.name, state.spec.oauth_client_id),
)
ACCOUNTS = View(
    "accounts",
    account.decider,
    {"name": "text", "approved": "boolean"},
    lambda state: None if isinstance(state, account.NoAccount) else (state.name, isinstance(state, account.Account)),
)
HOUSES = View("houses", house.decider, {}, lambda state: None if state == house.decider.initial else ())

VIEWS: dict[str, View] = {
    view.decider.name: view
    for view in (
        USERS,
        SERVERS,
        TOKENS,
        SESSIONS,
        CODES,
        ROUTES,
        PROXIES,
        GROUPS,
        ROLES,
        MEMBERS,
        GRANTS,
        SHARES,
        SHARE_CODES,
        SERVICES,
        ACCOUNTS,
        HOUSES,
    )
}


def view_of(stream: str) -> View | None:
    """The view that a stream's name belongs to; None for a kind that this release does not know."""
    return VIEWS.get(stream.partition("-")[0])
