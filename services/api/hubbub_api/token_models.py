"""Tokens as the API shows them, without the tokens themselves (contract, part 2.5)."""

from collections.abc import Sequence

import asyncpg
import msgspec
from aiohttp import web

from hubbub import legacy
from hubbub.access import Identity
from hubbub.domain.names import prefix
from hubbub.views import TOKENS
from hubbub.web.request import GATE
from hubbub_api.answers import stamp
from hubbub_api.keys import ACTIVITIES
from hubbub_api.schemas import Stamp

STATE = msgspec.json.Decoder(TOKENS.decider.states)
#: Those of a user ($1) that count yet, for `token_models`.
ROWS = f"""
    select t.id, t.number, t.state, {legacy.created("'token:' || t.id")} as created,
           a.at as last_activity, s.name as server, o.name as owner,
           v.name as service, coalesce(s.token = t.id, false) as in_server
    from tokens t join events e on e.position = t.number
    left join activity a on a.subject = 'token:' || t.id
    left join servers s on s.id = t.server and t.server <> '' left join users o on o.id = s.user_id
    left join services v on v.client = t.client and v.client <> ''
    where t.user_id = $1 and (t.expires_at is null or t.expires_at > now())
"""


class Token(msgspec.Struct, kw_only=True):
    """`oauth_client` describes whom it was given to; `roles` is always empty."""

    user: str
    id: str
    kind: str = "api_token"
    roles: list[str] = []
    scopes: list[str]
    created: Stamp | None
    last_activity: Stamp | None
    expires_at: Stamp | None
    note: str
    session_id: str | None
    oauth_client: str


class NewToken(Token, kw_only=True):
    """The one answer in which the token itself stands."""

    token: str


async def token_models(request: web.Request, owner: Identity, rows: Sequence[asyncpg.Record]) -> list[Token]:
    """In the order of *rows*. One query at most, however many there are."""
    access, activities = request.app[GATE].access, request.app[ACTIVITIES]
    states = [STATE.decode(row["state"]) for row in rows]
    members = await access.members([*owner.scopes, *(each for state in states for each in state.scopes)])
    found = []
    for row, state in zip(rows, states, strict=True):
        server = f"{row['owner']}/{row['server']}" if row["owner"] else ""
        scopes = owner.scopes
        if "inherit" not in state.scopes:
            scopes = access.roles.token_scopes("user", owner.name, owner.scopes, state.scopes, server, members)
        token = Token(
            user=owner.name,
            id=f"a{row['number']}",
            scopes=sorted(scopes),
            created=stamp(row["created"]),
            last_activity=stamp(activities.newer(f"token:{row['id']}", row["last_activity"])),
            expires_at=stamp(state.expires_at),
            note=state.note,
            session_id=state.session or None,
            oauth_client=client_in_words(request, row, state.client),
        )
        found.append(token)
    return found


def client_in_words(request: web.Request, row: asyncpg.Record, client: str) -> str:
    """Whom the token was given to, in words."""
    gate = request.app[GATE]
    if client == "jupyterhub":
        return "JupyterHub"
    if row["owner"]:
        return f"Server at {prefix(gate.options.base_url, row['owner'], row['server'])}"
    services = {spec.oauth_client_id: name for name, spec in gate.options.services.items()}
    service = row["service"] or services.get(client)
    return f"JupyterHub service {service}" if service else client
