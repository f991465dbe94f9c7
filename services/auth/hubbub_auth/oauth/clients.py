"""The OAuth clients: nothing but the servers that run and the services that are configured."""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from hubbub.access import LONGEST_TOKEN, Identity
from hubbub.config import Options
from hubbub.domain.names import full_name
from hubbub.tokens import token_hash

#: As long as a name of 255 characters can get by quoting.
LONGEST_ID = 4096


@dataclass(frozen=True, kw_only=True)
class Client:
    """A server (then `owner`, `owner_id` and `server_id` are set) or a service.

    `access` is the scope that lets somebody in; `token` the id of the server's own token.
    """

    client_id: str
    secret_hash: str
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
            return "access:services" in identity.scopes or self.access in identity.scopes
        return identity.may("access:servers", user=self.owner, server=self.server)

    def knows_secret(self, secret: str) -> bool:
        return 0 < len(secret) <= LONGEST_TOKEN and hmac.compare_digest(token_hash(secret), self.secret_hash)


async def find(pool: "asyncpg.Pool[asyncpg.Record]", options: Options, client_id: str) -> Sequence[Client]:
    """All clients of that id: user `a-b` and server `b` of user `a` have the same."""
    if not client_id or len(client_id) > LONGEST_ID or "\0" in client_id:
        return ()
    services = [_service(each, options) for each in options.hub.services if _id_of(each) == client_id]
    rows = await pool.fetch(_SERVERS, client_id)
    return [*(each for each in services if each), *(_server(row, options) for row in rows)]


def sent_to(clients: Sequence[Client], redirect_uri: str | None) -> Client | None:
    """The one that answers at *redirect_uri*, which only decides where there are several."""
    for client in clients:
        if client.redirect_uri == redirect_uri:
            return client
    return clients[0] if len(clients) == 1 else None


def knowing(clients: Sequence[Client], secret: str) -> Client | None:
    return next((client for client in clients if client.knows_secret(secret)), None)


def _server(row: asyncpg.Record, options: Options) -> Client:
    return Client(
        client_id=row["client"],
        secret_hash=row["hash"],
        redirect_uri=f"{row['prefix']}oauth_callback",
        access=f"access:servers!server={full_name(row['owner'], row['name'])}",
        allowed_scopes=tuple(options.spawner.oauth_client_allowed_scopes),
        owner=row["owner"],
        owner_id=row["user_id"],
        server=row["name"],
        server_id=row["id"],
        token=row["token"],
    )


def _id_of(service: dict[str, Any]) -> str:
    return str(service.get("oauth_client_id") or f"service-{service['name']}")


def _service(service: dict[str, Any], options: Options) -> Client | None:
    """None for a service that has no way to take part: no secret, or nowhere to send people back to."""
    name, secret = service["name"], service.get("api_token")
    back = service.get("oauth_redirect_uri")
    if not back and service.get("url"):
        back = f"{options.base_url}services/{name}/oauth_callback"
    if not secret or not back:
        return None
    return Client(
        client_id=_id_of(service),
        secret_hash=token_hash(secret),
        redirect_uri=back,
        access=f"access:services!service={name}",
        allowed_scopes=tuple(service.get("oauth_client_allowed_scopes", ())),
        no_confirm=bool(service.get("oauth_no_confirm")),
        service=name,
    )


_SERVERS = """
    select t.client, t.hash, t.id as token, s.id, s.name, s.prefix, s.user_id, u.name as owner
    from tokens t join servers s on s.token = t.id join users u on u.id = s.user_id
    where t.client = $1
"""
