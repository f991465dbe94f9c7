"""The OAuth clients: nothing but the servers that run and the services there are."""

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg
import msgspec

from hubbub import legacy
from hubbub.access import Identity
from hubbub.config import Options
from hubbub.domain.names import full_name, prefix
from hubbub.domain.service import Service, Spec
from hubbub.managed import prefix_of
from hubbub.tokens import LONGEST_TOKEN, token_hash
from hubbub.web.request import Gate

_STATE = msgspec.json.Decoder(Service)

#: As long as a name of 255 characters can get by quoting.
LONGEST_ID = 4096


@dataclass(frozen=True, kw_only=True)
class Client:
    """A server (then `owner`, `owner_id` and `server_id` are set) or a service.

    `secrets`: hashes of the tokens that it may prove itself by. `access` is the scope that lets somebody in;
    `token` the id of the server's own token; `registered` the id of a service that is not the configuration's.
    """

    client_id: str
    secrets: tuple[str, ...]
    redirect_uri: str
    access: str
    allowed_scopes: tuple[str, ...] = ()
    no_confirm: bool = False
    owner: str = ""
    owner_id: str = ""
    server: str = ""
    server_id: str = ""
    token: str = ""
    service: str = ""
    registered: str = ""

    @property
    def full_name(self) -> str:
        """`ada/lab` for a server, empty for a service."""
        return full_name(self.owner, self.server) if self.server_id else ""

    @property
    def description(self) -> str:
        if self.service:
            return f"the service {self.service}"
        return f"{self.owner}'s server {self.server}".rstrip()

    def lets_in(self, identity: Identity) -> bool:
        if self.service:
            return identity.may("access:services", service=self.service)
        return identity.may("access:servers", user=self.owner, server=self.server)

    def knows_secret(self, secret: str) -> bool:
        return 0 < len(secret) <= LONGEST_TOKEN and any(legacy.matches(each, secret) for each in self.secrets)


async def find(pool: "asyncpg.Pool[asyncpg.Record]", gate: Gate, client_id: str) -> Sequence[Client]:
    """All clients of that id: user `a-b` and server `b` of user `a` have the same."""
    if not client_id or len(client_id) > LONGEST_ID or "\0" in client_id:
        return ()
    if not client_id.startswith("service-"):
        return [_server(row, gate.options) for row in await pool.fetch(_SERVERS, client_id)]
    said = [spec for spec in gate.options.services.values() if spec.oauth_client_id == client_id]
    rows = [] if said else await pool.fetch("select id, state from services where client = $1", client_id)
    clients = [await _service(pool, gate.options, spec, said=_configured(spec, gate)) for spec in said] or [
        await _service(pool, gate.options, _STATE.decode(row["state"]).spec, registered=row["id"]) for row in rows
    ]
    return [client for client in clients if client]


def sent_to(clients: Sequence[Client], redirect_uri: str | None) -> Client | None:
    """The one that answers at *redirect_uri*, which only decides where there are several."""
    for client in clients:
        if client.redirect_uri == redirect_uri:
            return client
    return clients[0] if len(clients) == 1 else None


def knowing(clients: Sequence[Client], secret: str) -> Client | None:
    return next((client for client in clients if client.knows_secret(secret)), None)


def _server(row: asyncpg.Record, options: Options) -> Client:
    # One that sleeps has no place until it wakes: then it will have this one.
    place = row["prefix"] or prefix(options.base_url, row["owner"], row["name"])
    return Client(
        client_id=row["client"],
        secrets=(row["hash"],),
        redirect_uri=f"{options.hosts.own_origin_of_user(row['owner'])}{place}oauth_callback",
        access=f"access:servers!server={full_name(row['owner'], row['name'])}",
        allowed_scopes=_granted(row, options),
        owner=row["owner"],
        owner_id=row["user_id"],
        server=row["name"],
        server_id=row["id"],
        token=row["token"],
    )


class _Token(msgspec.Struct):
    grants: tuple[str, ...] | None = None


_TOKEN = msgspec.json.Decoder(_Token)


def _granted(row: asyncpg.Record, options: Options) -> tuple[str, ...]:
    """What the server may ask people for: what was worked out when it started, else what the configuration says."""
    grants = _TOKEN.decode(row["state"]).grants
    said = options.spawner_of(row["pool"] or options.ours.pool).oauth_client_allowed_scopes
    return tuple(said or ()) if grants is None else grants


@dataclass(frozen=True)
class _Said:
    """What the operator says of a service besides its `Spec`. `token`: the hash of its `api_token`, if it has one."""

    token: str
    scopes: tuple[str, ...]


def _configured(spec: Spec, gate: Gate) -> _Said:
    said = gate.access.services[spec.name]
    token = token_hash(said["api_token"]) if said.get("api_token") else ""
    # As in JupyterHub, the deprecated `oauth_roles` count only where no scopes are said.
    roles = () if spec.oauth_client_allowed_scopes else said.get("oauth_roles", ())
    known = [role for role in roles if role in gate.access.roles]
    return _Said(token, tuple(scope for role in known for scope in gate.access.roles[role]))


async def _service(
    pool: "asyncpg.Pool[asyncpg.Record]", options: Options, spec: Spec, said: _Said | None = None, registered: str = ""
) -> Client | None:
    """None for a service that has nothing to prove itself by."""
    if said is not None and said.token:
        secrets: tuple[str, ...] = (said.token,)
    else:
        secrets = tuple(row["hash"] for row in await pool.fetch(_SECRETS, spec.name))
    if not secrets:
        return None
    return Client(
        client_id=spec.oauth_client_id,
        secrets=secrets,
        redirect_uri=_back_to(spec, options),
        access=f"access:services!service={spec.name}",
        allowed_scopes=spec.oauth_client_allowed_scopes or (said.scopes if said else ()),
        no_confirm=spec.oauth_no_confirm,
        service=spec.name,
        registered=registered,
    )


def _back_to(spec: Spec, options: Options) -> str:
    """With subdomains, a path of the service's own is on its own host."""
    back = spec.oauth_redirect_uri
    is_its_own = back.startswith(prefix_of(options.base_url, spec.name))
    return f"{options.hosts.own_origin_of_service(spec.name)}{back}" if is_its_own else back


#: The token that a service was registered with, or that a managed one was started with.
_SECRETS = """
    select t.hash from tokens t
    where t.service = $1 and t.service <> '' and (t.expires_at is null or t.expires_at > now())
    and (t.server = '' or exists (select from servers s where s.id = t.server and s.token = t.id))
"""
_SERVERS = """
    select t.client, t.hash, t.state, t.id as token, s.id, s.name, s.prefix, s.pool, s.user_id, u.name as owner
    from tokens t join servers s on s.token = t.id join users u on u.id = s.user_id
    where t.client = $1
"""
