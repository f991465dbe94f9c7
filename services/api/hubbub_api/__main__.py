"""The api: REST and pages on the hub's port, answers on the bus, and the relay from the log to the bus."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import msgspec
import structlog
from aiohttp import web

from hubbub import bus as hub_bus
from hubbub import eventlog, schema, service
from hubbub.access import Access
from hubbub.bus import Bus
from hubbub.config import ConfigError, Options
from hubbub.follow import Follower
from hubbub.handle import Committer
from hubbub.house import HouseNow
from hubbub.managed import Managed, managed
from hubbub.relay import Relay
from hubbub.settings import SHUT_DOWN, Settings, give_up
from hubbub.vault import Vault, sealer
from hubbub.web import cookie_secret
from hubbub.web.freshness import Freshness
from hubbub.web.request import GATE, Gate
from hubbub_api import app as application
from hubbub_api import keys, tls, unwelcome
from hubbub_api.activity import Activities
from hubbub_api.auth_states import AuthStates
from hubbub_api.certify import Certifier
from hubbub_api.claims import Claims
from hubbub_api.colleagues import Colleagues
from hubbub_api.comparing import Comparisons
from hubbub_api.events import Events
from hubbub_api.farewells import Farewells
from hubbub_api.feed import Feed
from hubbub_api.forms import Forms
from hubbub_api.forward import Auths
from hubbub_api.hellos import Hellos
from hubbub_api.leaving import listening
from hubbub_api.managed import ManagedServices
from hubbub_api.metrics import METRICS
from hubbub_api.misses import Misses
from hubbub_api.models import Models
from hubbub_api.moved import MovedProxies
from hubbub_api.past import PAST, Past, Unheard
from hubbub_api.places import Places
from hubbub_api.queue import Openings
from hubbub_api.reports import ReportBook
from hubbub_api.service_health import HealthChecks
from hubbub_api.services import settle_services
from hubbub_api.specs import Specs
from hubbub_api.startup import settle_configuration
from hubbub_api.sweeps import Sweeps
from hubbub_api.tls import Tls
from hubbub_api.views import Views
from hubbub_api.wanted import WantedRoutes
from hubbub_api.warm import warm
from hubbub_api.webhooks import Webhooks

log = structlog.get_logger()

Answers = Callable[[str, bytes], Awaitable[msgspec.Struct | None]]

#: Seconds that questions on the bus may take which were taken before the end.
_ANSWERED_WITHIN = 2.0

NEEDS = ("postgres_url", "nats_url", "cookie_secret", "vault_key", "bus_key", "forward_key")


def main() -> None:
    began = time.monotonic()
    settings = Settings.from_environ(needs=NEEDS)
    options = service.load_options(settings)
    service.run("api", settings, lambda stop: serve(settings, options, stop, began), options.hub.log_level)


async def serve(settings: Settings, options: Options, stop: asyncio.Event, began: float) -> None:
    vault, services, secured = Vault(settings.vault_key), _managed(settings, options), tls.of(options)
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(eventlog.pool(settings.postgres_url))
        try:
            await schema.check(pool)
        except schema.SchemaTooNew as error:
            give_up(str(error))
        bus = await stack.enter_async_context(hub_bus.connected(settings))

        committer = Committer(settings.postgres_url, vault)
        follower, relay, openings, places = _readers(settings, options, pool, bus)
        activities = Activities(pool, idle_timeout=options.ours.session_idle_timeout)
        access = Access(pool, options)
        gate, auths = _entrance(settings, access, options, secured)

        app = application.build(gate, auths)
        _equip(app, settings, options, pool, vault, bus)
        app[keys.COMMITTER], app[keys.FOLLOWER], app[keys.PLACES] = committer, follower, places
        app[keys.ACTIVITIES], app[keys.MODELS] = activities, Models(options, access.roles, activities)
        app[keys.EVENTS] = events = Events(pool, vault)
        app[keys.FEED] = feed = Feed(follower, events)
        before = Models(options, access.roles, Unheard())
        app[PAST] = await stack.enter_async_context(Past(settings.postgres_url, vault, before))

        keeper = ManagedServices(pool, committer, bus, options, services)
        specs = Specs(pool, vault, sealer(settings.bus_key), options, access.roles, services)
        verbs, house = _verbs(app, settings, options, specs, keeper), app[keys.HOUSE]

        finished = asyncio.Event()
        told = app[keys.STOPPING]

        async def attend() -> None:
            await _settle_in(pool, committer, options, vault, house)
            await _listen(app)
            for verb, handler in verbs.items():
                await bus.answer(f"hub.rpc.{verb}.*.*", app[METRICS].counted(verb, handler), queue="api")
            await bus.answer("hub.rpc.certify.*.*", Certifier(pool, secured.authorities).certify, queue="api")
            await keeper.settle()
            async with listening(app, options, settings, secured):
                app[METRICS].began(time.monotonic() - began)
                service.announce("api", url=options.hub_bind_url)
                await asyncio.wait(
                    {asyncio.create_task(stop.wait()), asyncio.create_task(told.wait())}, return_when="FIRST_COMPLETED"
                )
            # Requests that were under way have had what they needed from the other tasks until here.
            await bus.retire(_ANSWERED_WITHIN)
            finished.set()

        await service.until(
            finished,
            committer.run(),
            follower.run(),
            feed.run(),
            Webhooks(settings.postgres_url, pool, events, follower, options.ours.webhooks).run(),
            house.run(),
            relay.run(),
            openings.run(),
            activities.run(),
            auths.run(),
            unwelcome.delete_refused(app),
            HealthChecks(pool, options, secured.asking).run(),
            app[METRICS].watch_loop(),
            app[METRICS].teller(pool, settings.instance, bus).run(),
            attend(),
        )
        if told.is_set():
            raise SystemExit(SHUT_DOWN)


def _readers(
    settings: Settings, options: Options, pool: eventlog.Pool, bus: Bus
) -> tuple[Follower, Relay, Openings, Places]:
    """Who follows the log, and those who are told by it."""
    follower = Follower(settings.postgres_url)
    relay = Relay(settings.postgres_url, bus, list(options.pools), replicas=settings.bus_replicas)
    openings, places = Openings(pool, bus, options, lambda: relay.leads), Places(pool)
    for reader in (lambda _: relay.woken.set(), openings.hear, places.hear):
        follower.tell(reader)
    return follower, relay, openings, places


def _entrance(settings: Settings, access: Access, options: Options, secured: Tls) -> tuple[Gate, Auths]:
    key = settings.forward_key
    auths = Auths(settings.postgres_url, secured.asking, prefix=options.hub_prefix, forward_key=key)
    freshness = Freshness(lambda: auths.policy, auths.refresh)
    return Gate(access, options, _cookie_secret(settings.cookie_secret), key, freshness), auths


def _cookie_secret(text: str) -> cookie_secret.CookieSecret:
    try:
        return cookie_secret.read(text)
    except cookie_secret.BadSecret as error:
        give_up(f"HUBBUB_COOKIE_SECRET is not usable: {error}")


def _managed(settings: Settings, options: Options) -> dict[str, Managed]:
    try:
        return managed(options.hub.services, settings.bus_key)
    except ConfigError as error:
        give_up(str(error))


async def _settle_in(
    pool: eventlog.Pool, committer: Committer, options: Options, vault: Vault, house: HouseNow
) -> None:
    await house.load(pool)
    await warm(pool, options, vault)
    await settle_configuration(pool, committer, options)
    await settle_services(pool, committer, options)


async def _listen(app: web.Application) -> None:
    """To signals."""
    bus = app[keys.BUS]
    await bus.listen("hub.heartbeat.spawner-worker.*", app[keys.COLLEAGUES].hear)
    await bus.listen("hub.heartbeat.proxy-sync.*", app[keys.PROXY_SYNCS].hear)
    await bus.listen("hub.heartbeat.poller.*", app[keys.POLLERS].hear)
    await bus.listen("hub.heartbeat.log", app[METRICS].ours.heads.hear)
    await bus.listen("hub.compared.*", app[keys.COMPARISONS].hear)


def _equip(
    app: web.Application, settings: Settings, options: Options, pool: eventlog.Pool, vault: Vault, bus: Bus
) -> None:
    """What handlers find in the application, and nobody else needs."""
    bus_key = sealer(settings.bus_key)
    app[keys.POOL], app[keys.VAULT], app[keys.BUS] = pool, vault, bus
    app[keys.VIEWS] = Views(pool, vault)
    app[keys.COMPARISONS], app[keys.MISSES], app[keys.MOVED] = Comparisons(bus), Misses(bus), MovedProxies(pool, vault)
    app[keys.COLLEAGUES], app[keys.PROXY_SYNCS] = Colleagues(settings.lease_seconds), Colleagues(settings.lease_seconds)
    app[keys.POLLERS] = Colleagues(settings.lease_seconds)
    app[keys.HOUSE] = HouseNow(settings.postgres_url)
    app[keys.FORMS], app[keys.FAREWELLS] = Forms(bus, bus_key, options), Farewells(bus, bus_key, options)


def _verbs(
    app: web.Application, settings: Settings, options: Options, specs: Specs, keeper: ManagedServices
) -> dict[str, Answers]:
    """Every verb of `hub.rpc`, shared with the other apis."""
    pool, committer, bus_key = app[keys.POOL], app[keys.COMMITTER], sealer(settings.bus_key)
    hellos = Hellos(pool, committer, options)
    reports = ReportBook(pool, committer, bus_key, app[GATE].access.roles, options.services)
    sweeps = Sweeps(pool, committer, app[keys.BUS], options, app[keys.ACTIVITIES], keeper)
    return {
        "claim": Claims(pool, committer, specs, options, app[keys.COLLEAGUES]).claim,
        "hello": hellos.hello,
        "holdings": hellos.holdings,
        "report": reports.report,
        "routed": reports.routed,
        "routes": WantedRoutes(pool, options).routes,
        "moved": app[keys.MOVED].where,
        "lease": sweeps.lease,
        "sweep": sweeps.sweep,
        "activity": sweeps.activity,
        "auth_state": AuthStates(committer, bus_key).save,
    }


if __name__ == "__main__":
    main()
