"""The api: REST and pages on the hub's port, answers on the bus, and the relay from the log to the bus."""

import asyncio
import socket
import time
from contextlib import AsyncExitStack

import structlog
from aiohttp import web

from hubbub import bus as hub_bus
from hubbub import eventlog, schema, service
from hubbub.access import Access
from hubbub.bus import Bus
from hubbub.config import ConfigError, Options
from hubbub.follow import Follower
from hubbub.handle import Committer
from hubbub.managed import Managed, managed
from hubbub.relay import Relay
from hubbub.settings import SHUT_DOWN, Settings, give_up
from hubbub.vault import Vault, sealer
from hubbub.web.request import Gate
from hubbub_api import app as application
from hubbub_api import keys, tls
from hubbub_api.activity import Activities
from hubbub_api.auth_states import AuthStates
from hubbub_api.certify import Certifier
from hubbub_api.claims import Claims
from hubbub_api.colleagues import Colleagues
from hubbub_api.farewells import Farewells
from hubbub_api.forms import Forms
from hubbub_api.forward import Auths
from hubbub_api.hellos import Hellos
from hubbub_api.malformed import Runner
from hubbub_api.managed import ManagedServices
from hubbub_api.metrics import METRICS
from hubbub_api.models import Models
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

log = structlog.get_logger()

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
        bus = await stack.enter_async_context(hub_bus.connect(settings.nats_url, settings.instance))

        committer = Committer(settings.postgres_url, vault)
        follower, relay, openings, places = _readers(settings, options, pool, bus)
        activities = Activities(pool)
        access = Access(pool, options)
        gate = Gate(access, options, bytes.fromhex(settings.cookie_secret), settings.forward_key)
        auths = Auths(settings.postgres_url, secured.asking)

        app = application.build(gate, auths)
        app[keys.POOL] = pool
        app[keys.COMMITTER] = committer
        app[keys.FOLLOWER] = follower
        app[keys.VAULT] = vault
        app[keys.BUS] = bus
        app[keys.PLACES] = places
        app[keys.ACTIVITIES] = activities
        app[keys.VIEWS] = Views(pool, vault)
        app[keys.MODELS] = Models(options, access.roles, activities)

        colleagues = Colleagues(settings.lease_seconds)
        keeper = ManagedServices(pool, committer, bus, options, services)
        bus_key = sealer(settings.bus_key)
        app[keys.FORMS], app[keys.FAREWELLS] = Forms(bus, bus_key, options), Farewells(bus, bus_key, options)
        claims = Claims(
            pool, committer, Specs(pool, vault, bus_key, options, access.roles, services), options, colleagues
        )
        hellos = Hellos(pool, committer, options)
        reports = ReportBook(pool, committer, bus_key, access.roles)
        sweeps = Sweeps(pool, committer, bus, options, activities, keeper)
        wanted = WantedRoutes(pool, options)

        finished = asyncio.Event()
        told = app[keys.STOPPING] = asyncio.Event()
        app[keys.ENDING] = []

        async def attend() -> None:
            await _settle_in(pool, committer, options, vault)
            await bus.listen("hub.heartbeat.spawner-worker.*", colleagues.hear)
            await bus.answer("hub.rpc.auth_state.*.*", AuthStates(committer, bus_key).save, queue="api")
            await _answer(bus, claims, hellos, reports, sweeps, wanted, Certifier(pool, secured.authorities))
            await keeper.settle()
            async with _listening(app, options, secured):
                app[METRICS].startup.observe(time.monotonic() - began)
                service.announce("api", url=options.hub_bind_url)
                await asyncio.wait(
                    {asyncio.create_task(stop.wait()), asyncio.create_task(told.wait())}, return_when="FIRST_COMPLETED"
                )
            # Requests that were under way have had what they needed from the other tasks until here.
            finished.set()

        await service.until(
            finished,
            committer.run(),
            follower.run(),
            relay.run(),
            openings.run(),
            activities.run(),
            auths.run(),
            HealthChecks(pool, options, secured.asking).run(),
            app[METRICS].watch_loop(),
            attend(),
        )
        if told.is_set():
            raise SystemExit(SHUT_DOWN)


def _readers(
    settings: Settings, options: Options, pool: eventlog.Pool, bus: Bus
) -> tuple[Follower, Relay, Openings, Places]:
    """Who follows the log, and those who are told by it."""
    follower, relay = Follower(settings.postgres_url), Relay(settings.postgres_url, bus, list(options.pools))
    openings, places = Openings(pool, bus, options, lambda: relay.leads), Places(pool)
    for reader in (lambda _: relay.woken.set(), openings.hear, places.hear):
        follower.tell(reader)
    return follower, relay, openings, places


def _managed(settings: Settings, options: Options) -> dict[str, Managed]:
    try:
        return managed(options.hub.services, settings.bus_key)
    except ConfigError as error:
        give_up(str(error))


async def _settle_in(pool: eventlog.Pool, committer: Committer, options: Options, vault: Vault) -> None:
    await warm(pool, options, vault)
    await settle_configuration(pool, committer, options)
    await settle_services(pool, committer, options)


async def _answer(
    bus: Bus,
    claims: Claims,
    hellos: Hellos,
    reports: ReportBook,
    sweeps: Sweeps,
    wanted: WantedRoutes,
    certifier: Certifier,
) -> None:
    """Every verb of `hub.rpc`, shared with the other apis."""
    verbs = {
        "claim": claims.claim,
        "hello": hellos.hello,
        "holdings": hellos.holdings,
        "report": reports.report,
        "routed": reports.routed,
        "routes": wanted.routes,
        "lease": sweeps.lease,
        "sweep": sweeps.sweep,
        "activity": sweeps.activity,
        "certify": certifier.certify,
    }
    for verb, handler in verbs.items():
        await bus.answer(f"hub.rpc.{verb}.*.*", handler, queue="api")


class _listening:  # noqa: N801 - reads as a verb where it is used
    """The hub's port, shared with the other apis of this host."""

    def __init__(self, app: web.Application, options: Options, secured: Tls) -> None:
        self._runner = Runner(app, shutdown_timeout=5)
        self._options = options
        self._secured = secured

    async def __aenter__(self) -> None:
        await self._runner.setup()
        ip, port = self._options.hub_ip, self._options.hub_port
        try:
            site = web.TCPSite(
                self._runner,
                ip or None,
                port,
                reuse_port=hasattr(socket, "SO_REUSEPORT"),
                backlog=1024,
                ssl_context=self._secured.serving,
            )
            await site.start()
        except OSError as error:
            give_up(f"cannot listen on {ip}:{port}: {error.strerror}")

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()


if __name__ == "__main__":
    main()
