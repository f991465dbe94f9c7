"""What a JupyterHub's database holds, as it means it: users with all that is theirs, and what stands by itself."""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from socket import gethostname
from typing import Any

from hubbub.moving.source import Row, Source, json_in, moment, words

BATCH = 200
#: The client of tokens that no OAuth client was given.
HUB = "jupyterhub"


@dataclass(frozen=True, kw_only=True)
class TheirToken:
    """`hashed`: as JupyterHub keeps it, with the first characters of the token beside (`prefix`)."""

    id: int
    hashed: str
    prefix: str
    scopes: tuple[str, ...]
    note: str
    client: str
    session: str
    service: int | None
    expires_at: datetime | None
    created: datetime | None
    last_activity: datetime | None

    @property
    def over(self) -> bool:
        return self.expires_at is not None and self.expires_at <= datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class TheirServer:
    """`url` and `prefix` are empty unless it runs. `client`: the OAuth client that it is."""

    id: int
    name: str
    display_name: str
    options: Any
    state: Any
    started: datetime | None
    last_activity: datetime | None
    client: str
    url: str = ""
    prefix: str = ""

    @property
    def runs(self) -> bool:
        return bool(self.prefix)

    @property
    def untouched(self) -> bool:
        """Whether nobody has ever used it: everybody has such a default server, of which nothing is known."""
        said = (self.name, self.display_name, self.state, self.options, self.started, self.last_activity, self.prefix)
        return self.options is None and not any(said)


@dataclass(kw_only=True)
class TheirUser:
    """`groups`: by their ids. `roles`: by their ids, with whether the authenticator has given them."""

    id: int
    name: str
    admin: bool
    cookie: str
    created: datetime | None
    last_activity: datetime | None
    info: Any
    auth_state: bytes | None
    servers: list[TheirServer] = field(default_factory=list)
    tokens: list[TheirToken] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)
    roles: list[tuple[int, bool]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class TheirRole:
    id: int
    name: str
    description: str
    scopes: tuple[str, ...]
    managed: bool


@dataclass(frozen=True, kw_only=True)
class TheirGroup:
    id: int
    name: str
    properties: dict[str, Any]
    roles: tuple[tuple[int, bool], ...]


@dataclass(frozen=True, kw_only=True)
class TheirShare:
    """Ids. `scopes`: without their filter, which is always this server."""

    id: int
    spawner: int
    user: int | None
    group: int | None
    scopes: tuple[str, ...]
    created: datetime


@dataclass(frozen=True, kw_only=True)
class TheirService:
    """`from_config`: the configuration has it, and everything about it."""

    id: int
    name: str
    from_config: bool
    said: dict[str, Any]


async def users(source: Source) -> AsyncIterator[list[TheirUser]]:
    """All, oldest first, some hundred at a time."""
    after = 0
    while rows := await source.rows(f"select * from users where id > {after} order by id limit {BATCH}"):
        found = {row["id"]: _user(row) for row in rows}
        between = f"between {rows[0]['id']} and {rows[-1]['id']}"
        await _servers(source, found, between)
        for row in await source.rows(f"select * from api_tokens where user_id {between} order by id"):
            if row["client_id"]:  # JupyterHub itself takes none without a client
                found[row["user_id"]].tokens.append(_token(row))
        for row in await source.rows(
            f"select user_id, group_id from user_group_map where user_id {between} order by group_id"
        ):
            found[row["user_id"]].groups.append(row["group_id"])
        for row in await source.rows(f"select * from user_role_map where user_id {between} order by role_id"):
            found[row["user_id"]].roles.append((row["role_id"], bool(row.get("managed_by_auth"))))
        yield list(found.values())
        after = rows[-1]["id"]


async def _servers(source: Source, found: dict[int, TheirUser], between: str) -> None:
    rows = await source.rows(
        "select s.*, v.proto, v.ip, v.port, v.base_url from spawners s left join servers v on v.id = s.server_id "
        f"where s.user_id {between} order by s.id"
    )
    for row in rows:
        found[row["user_id"]].servers.append(_server(row))


def _user(row: Row) -> TheirUser:
    sealed = row["encrypted_auth_state"]
    return TheirUser(
        id=row["id"],
        name=row["name"],
        admin=bool(row["admin"]),
        cookie=row["cookie_id"],
        created=moment(row["created"]),
        last_activity=moment(row["last_activity"]),
        info=json_in(row.get("user_info")),
        auth_state=bytes(sealed) if sealed else None,
    )


def _server(row: Row) -> TheirServer:
    runs = row["server_id"] is not None and row["base_url"] is not None
    return TheirServer(
        id=row["id"],
        name=row["name"] or "",
        display_name=row.get("display_name") or "",
        options=json_in(row["user_options"]),
        state=json_in(row["state"]),
        started=moment(row["started"]),
        last_activity=moment(row["last_activity"]),
        client=row["oauth_client_id"] or "",
        url=_url(row) if runs else "",
        prefix=row["base_url"] if runs else "",
    )


def _url(row: Row) -> str:
    """As JupyterHub has it in the proxy: what listens everywhere is found by the name of the machine."""
    ip = gethostname() if row["ip"] in ("", "0.0.0.0", "::") else row["ip"]
    host = f"[{ip}]" if ":" in ip else ip
    return f"{row['proto']}://{host}:{row['port']}"


def _token(row: Row) -> TheirToken:
    return TheirToken(
        id=row["id"],
        hashed=row["hashed"],
        prefix=row["prefix"],
        scopes=words(row["scopes"]),
        note=row["note"] or "",
        client=row["client_id"],
        session=row["session_id"] or "",
        service=row["service_id"],
        expires_at=moment(row["expires_at"]),
        created=moment(row["created"]),
        last_activity=moment(row["last_activity"]),
    )


async def roles(source: Source) -> dict[int, TheirRole]:
    """By id."""
    return {
        row["id"]: TheirRole(
            id=row["id"],
            name=row["name"],
            description=row["description"] or "",
            scopes=words(row["scopes"]),
            managed=bool(row.get("managed_by_auth")),
        )
        for row in await source.rows("select * from roles order by id")
    }


async def groups(source: Source) -> list[TheirGroup]:
    held: defaultdict[int, list[tuple[int, bool]]] = defaultdict(list)
    for row in await source.rows("select * from group_role_map order by role_id"):
        held[row["group_id"]].append((row["role_id"], bool(row.get("managed_by_auth"))))
    rows = await source.rows("select * from groups order by id")
    return [
        TheirGroup(
            id=row["id"],
            name=row["name"],
            properties=json_in(row["properties"]) or {},
            roles=tuple(held[row["id"]]),
        )
        for row in rows
    ]


async def shares(source: Source) -> AsyncIterator[Sequence[TheirShare]]:
    """Those that count yet, some hundred at a time."""
    after = 0
    while rows := await source.rows(f"select * from shares where id > {after} order by id limit {BATCH}"):
        found = [_share(row) for row in rows if not _over(row["expires_at"])]
        yield [share for share in found if share.scopes and (share.user or share.group)]
        after = rows[-1]["id"]


def _over(expires: Any) -> bool:
    at = moment(expires)
    return at is not None and at <= datetime.now(UTC)


def _share(row: Row) -> TheirShare:
    return TheirShare(
        id=row["id"],
        spawner=row["spawner_id"],
        user=row["user_id"],
        group=row["group_id"],
        scopes=tuple(dict.fromkeys(scope.partition("!")[0] for scope in words(row["scopes"]))),
        created=moment(row["created_at"]) or datetime.now(UTC),
    )


_SERVICE = ("admin", "url", "display", "oauth_no_confirm", "timeout", "oauth_client_id", "redirect_uri")


async def services(source: Source) -> tuple[list[TheirService], list[TheirToken]]:
    """With all the tokens that services have."""
    rows = await source.rows(
        "select s.*, c.redirect_uri from services s left join oauth_clients c on c.identifier = s.oauth_client_id "
        "order by s.id"
    )
    tokens = await source.rows("select * from api_tokens where service_id is not null order by id")
    return [_service(row) for row in rows], [_token(row) for row in tokens if row["client_id"]]


def _service(row: Row) -> TheirService:
    said = {name: row[name] for name in _SERVICE if row.get(name) is not None}
    said["oauth_redirect_uri"] = said.pop("redirect_uri", "")
    said |= {name: bool(said[name]) for name in ("admin", "display", "oauth_no_confirm") if name in said}
    said["info"] = json_in(row["info"]) or {}
    said["oauth_client_allowed_scopes"] = words(row["oauth_client_allowed_scopes"])
    said["name"] = row["name"]
    return TheirService(id=row["id"], name=row["name"], from_config=bool(row["from_config"]), said=said)


async def count(source: Source, table: str) -> int:
    [row] = await source.rows(f"select count(*) as number from {table}")
    return int(row["number"])
