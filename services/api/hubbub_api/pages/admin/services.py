"""`/hub/admin/services`: programs beside the hub: how they are, what they may do, and who put them there."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import msgspec
from aiohttp import web

from hubbub.access import Identity
from hubbub.config import Options
from hubbub.domain.names import escape
from hubbub.domain.server_states import Running, Server, Spawning, Started, Stopping
from hubbub.hosts import BadHost
from hubbub.managed import id_of
from hubbub.web.request import GATE, require_any
from hubbub_api import registry, role_book, service_health
from hubbub_api.keys import VIEWS
from hubbub_api.pages.admin.room import operator, page
from hubbub_api.registry import Entry

#: Seconds that a service may take to answer, while somebody waits for the page.
PATIENCE = 0.7
#: Of those with an address; the others are not asked.
MOST_ASKED = 40

_STATE = msgspec.json.Decoder(Server)


@dataclass(frozen=True, kw_only=True)
class Row:
    """`answers`: None if it has no address, or was not asked. `state`, `pid`, `since`: of one that the hub runs."""

    name: str
    path: str
    url: str
    visit: str
    answers: bool | None
    managed: bool
    state: str
    pid: int
    since: datetime | None
    roles: list[str] | None
    client: str
    scopes: list[str]
    admin: bool
    by_api: bool
    whole: bool
    may_change: bool


def routes(prefix: str) -> list[web.RouteDef]:
    return [web.get(f"{prefix}admin/services", show)]


@operator
async def show(request: web.Request, identity: Identity) -> web.StreamResponse:
    require_any(identity, "list:services", filters=("service", "user", "group", "server"))
    options, views = request.app[GATE].options, request.app[VIEWS]
    entries = [
        each
        for each in await registry.everything(views, options)
        if identity.may("list:services", service=each.spec.name)
    ]
    health = {} if options.hub.internal_ssl else await _health(entries, options.base_url)
    pids = await views.service_pids() if any(each.command for each in entries) else {}
    states = {row["id"]: _STATE.decode(row["state"]) for row in await views.fetch(_STATES)}
    return page(
        request,
        identity,
        "services.html",
        "/services",
        follow="aggregate=service,server",
        rows=[_row(request, identity, each, health, pids, states) for each in entries],
        may_add=identity.may("admin:services"),
        may_promote=identity.admin,
    )


async def _health(entries: Sequence[Entry], base_url: str) -> dict[str, bool]:
    """Whether those with an address answer, all asked at once."""
    asked = [each for each in entries if each.spec.url][:MOST_ASKED]
    addresses = [service_health.address_of(each, base_url) for each in asked]
    found = await asyncio.gather(*(service_health.answers(address, PATIENCE) for address in addresses))
    return {each.spec.name: up for each, up in zip(asked, found, strict=True)}


def _row(
    request: web.Request,
    identity: Identity,
    entry: Entry,
    health: Mapping[str, bool],
    pids: Mapping[str, int],
    states: Mapping[str, Server],
) -> Row:
    gate, spec, name = request.app[GATE], entry.spec, entry.spec.name
    state, roles = states.get(id_of(name)), gate.access.roles
    path = entry.prefix(gate.options.base_url)
    held = list(roles.of_service(name, admin=spec.admin))
    return Row(
        name=name,
        path=f"services/{escape(name)}",
        url=spec.url,
        visit=_visit(gate.options, name, path),
        answers=health.get(name),
        managed=bool(entry.command),
        state=_called(state),
        pid=pids.get(name, 0),
        since=getattr(state, "since", None),
        roles=held if identity.may("read:roles:services", service=name) else None,
        client=spec.oauth_client_id,
        scopes=role_book.in_words(roles, spec.oauth_client_allowed_scopes),
        admin=spec.admin,
        by_api=bool(entry.number),
        whole=identity.may("read:services", service=name),
        may_change=identity.may("admin:services", service=name),
    )


def _visit(options: Options, name: str, path: str) -> str:
    with suppress(BadHost):
        return options.hosts.own_origin_of_service(name) + path if path else ""
    return ""


def _called(state: Server | None) -> str:
    match state:
        case Running():
            return "running"
        case Spawning() | Started():
            return "starting"
        case Stopping():
            return "stopping"
        case _:
            return "stopped"


#: Managed services are servers without a person.
_STATES = "select id, state from servers where user_id = ''"
