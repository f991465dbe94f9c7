"""GET /services; GET, POST, DELETE /services/{service}: those of the configuration, and more while the hub runs."""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from uuid import uuid4

import asyncpg
import structlog
from aiohttp import web

from hubbub.access import Identity
from hubbub.config import Options
from hubbub.domain.message import AlreadyExists, NotFound
from hubbub.domain.service import RegisterService
from hubbub.domain.token import IssueToken
from hubbub.eventlog import Context
from hubbub.handle import Committer
from hubbub.tokens import token_hash
from hubbub.transaction import Transaction
from hubbub.views import SERVICES, TOKENS
from hubbub.web.request import GATE, ApiError, identify, require, require_any
from hubbub_api import registration, registry, service_health
from hubbub_api.answers import answer, body_of, shaped
from hubbub_api.commit import commit
from hubbub_api.endpoint import Endpoints
from hubbub_api.keys import FOLLOWER, MODELS, VIEWS
from hubbub_api.registration import NewService
from hubbub_api.registry import Entry
from hubbub_api.removal import distrust, remove_service
from hubbub_api.schemas import Service
from hubbub_api.views import Views

log = structlog.get_logger()

routes = Endpoints("services")

READ_SERVICE = ("read:services", "read:services:name", "read:roles:services")

#: Seconds to wait for proxies to have, or to have lost, a service's route.
ROUTE_SECONDS = 5
NOTE = "Given when the service was registered"


@routes.get("/services", scopes=("list:services",), answers={200: dict[str, Service]})
async def listing(request: web.Request) -> web.Response:
    """Lists the services that the asker may list, by name. Never in pages."""
    identity = require_any(await identify(request), "list:services", filters=("service", "user", "group", "server"))
    views = request.app[VIEWS]
    entries = await registry.everything(views, request.app[GATE].options)
    seen = [entry for entry in entries if identity.may("list:services", service=entry.spec.name)]
    pids = await _pids(views, seen)
    return answer({entry.spec.name: _model(request, identity, entry, pids) for entry in seen})


@routes.get("/services/{service}", scopes=READ_SERVICE, answers={200: Service})
async def show(request: web.Request) -> web.Response:
    """Shows a service, as far as the asker may see it."""
    name = request.match_info["service"]
    identity = require(await identify(request), *READ_SERVICE, service=name)
    views = request.app[VIEWS]
    entry = await _find(request, views, name)
    return answer(_model(request, identity, entry, await _pids(views, [entry])))


async def _pids(views: Views, entries: Iterable[Entry]) -> Mapping[str, int]:
    """Of those that the house runs itself."""
    return await views.service_pids() if any(entry.command for entry in entries) else {}


async def _find(request: web.Request, views: Views, name: str) -> Entry:
    entry = await registry.find(views, request.app[GATE].options, name)
    if entry is None:
        raise NotFound(f"No such service: {name[:255]}")
    return entry


def _model(request: web.Request, identity: Identity, entry: Entry, pids: Mapping[str, int]) -> Service:
    gate, spec = request.app[GATE], entry.spec
    model: Service = request.app[MODELS].service(
        identity,
        Service(
            name=spec.name,
            admin=spec.admin,
            roles=list(gate.access.roles.of_service(spec.name, admin=spec.admin)),
            url=spec.url,
            prefix=entry.prefix(gate.options.base_url),
            command=list(entry.command),
            pid=pids.get(spec.name, 0),
            info=spec.info,
            display=spec.display,
        ),
    )
    return model


@routes.post("/services/{service}", scopes=("admin:services",), body=NewService, answers={201: Service, 409: None})
async def create(request: web.Request) -> web.Response:
    """Registers a service that runs elsewhere. The answer waits a while for its `url` to answer; the service is there
    even if that does not.
    """
    name = request.match_info["service"]
    identity = require(await identify(request), "admin:services", service=name)
    options = request.app[GATE].options
    data = await body_of(request)
    if await registry.find(request.app[VIEWS], options, name):
        raise AlreadyExists(f"Service {name} already exists")
    if not data or not isinstance(data, dict):
        raise ApiError(400, "Invalid service data")
    body = shaped(data, NewService)
    spec = registration.spec(request, name, body)
    await registration.check_held(request, identity, spec)
    hashed = token_hash(body.api_token) if body.api_token else ""

    async def register(tx: Transaction) -> None:
        await registration.check_free(request, tx, spec, hashed)
        # Of an earlier service of that name, in whatever configuration that was.
        await distrust(tx, name, spec.oauth_client_id)
        await tx.act(SERVICES, uuid4().hex, RegisterService(spec=spec))
        if hashed:
            await tx.act(TOKENS, uuid4().hex, IssueToken(user="", service=name, hash=hashed, note=NOTE))

    async def render(views: Views, _: None) -> web.Response:
        return answer(_model(request, identity, await _find(request, views, name), {}), 201)

    response = await commit(request, identity, register, render)
    if spec.url:
        entry = await _find(request, request.app[VIEWS], name)
        address = service_health.address_of(entry, options.base_url)
        if not await service_health.answers(address, spec.timeout):
            log.warning("service.unreachable", name=name, url=spec.url)
        await _wait_until(request, _ROUTED, entry)
    return response


async def _wait_until(request: web.Request, question: str, entry: Entry) -> None:
    """The proxies have heard of it, unless they are slow: an answer tells of what a visitor finds."""
    views, follower = request.app[VIEWS], request.app[FOLLOWER]
    with follower.watch(entry.owner, {"RouteAdded", "RouteRemoved"}) as changed, suppress(TimeoutError):
        async with asyncio.timeout(ROUTE_SECONDS):
            while not (await views.fetch(question, entry.owner))[0][0]:
                await changed.wait()
                changed.clear()


_ROUTED = """
    select not exists (select from proxies p where not exists (select from routes r where r.id = p.id || '.' || $1))
"""
_UNROUTED = "select not exists (select from routes r join proxies p on p.id = r.proxy where r.server = $1)"


@routes.delete("/services/{service}", scopes=("admin:services",), answers={200: None, 405: None})
async def remove(request: web.Request) -> web.Response:
    """Forgets a service, and revokes its token and those that people have given it. 405: it is the configuration's."""
    name = request.match_info["service"]
    identity = require(await identify(request), "admin:services", service=name)
    if name in request.app[GATE].options.services:
        raise ApiError(405, f"Service {name} is not modifiable at runtime")
    missing = NotFound(f"Service {name[:255]} does not exist")
    entry = await registry.find(request.app[VIEWS], request.app[GATE].options, name)
    if entry is None:
        raise missing

    async def body(tx: Transaction) -> None:
        if not await remove_service(tx, name):
            raise missing

    async def render(_: Views, __: None) -> web.Response:
        return web.Response(status=200, content_type="application/json")

    response = await commit(request, identity, body, render)
    await _wait_until(request, _UNROUTED, entry)
    return response


async def settle_services(pool: "asyncpg.Pool[asyncpg.Record]", committer: Committer, options: Options) -> None:
    """At start: the configuration's word counts, so a service that it has, too, is no longer the API's."""
    rows = await pool.fetch("select name from services where name = any($1)", list(options.services))
    for row in rows:

        async def body(tx: Transaction, name: str = row["name"]) -> None:
            await remove_service(tx, name, "configured")

        await committer.submit(body, Context.of("configuration"))
        log.warning("service.replaced", name=row["name"], by="c.JupyterHub.services")
