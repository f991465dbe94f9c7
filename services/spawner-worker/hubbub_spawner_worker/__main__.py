"""python -m hubbub_spawner_worker"""

import asyncio
from functools import partial

import nats
import structlog

from hubbub import bus, service
from hubbub.config import ConfigError, Options
from hubbub.internal_tls.orders import Refused
from hubbub.managed import managed
from hubbub.reachable import doubts
from hubbub.settings import Settings, give_up
from hubbub.vault import UnusableKey, sealer
from hubbub_spawner_worker.adoption import WrongConfiguration
from hubbub_spawner_worker.certificates import Issuer
from hubbub_spawner_worker.host import open_many_files
from hubbub_spawner_worker.spawners.loading import NoSpawner, check, load_class
from hubbub_spawner_worker.worker import Worker
from hubbub_spawner_worker.workshop import Workshop, furnish

log = structlog.get_logger()
NAME = "spawner-worker"


def main() -> None:
    settings = Settings.from_environ(needs=("nats_url", "bus_key"))
    options = service.load_options(settings)
    _check(settings, options)
    try:
        service.run(NAME, settings, partial(work, settings, options), options.hub.log_level)
    except* WrongConfiguration as found:
        give_up(str(found.exceptions[0]))


async def work(settings: Settings, options: Options, stop: asyncio.Event) -> None:
    async with bus.connected(settings) as connection:
        workshop = furnish(settings, options, partial(_publish, connection), open_many_files())
        await service.until(stop, _work(settings, options, connection, workshop))


async def _work(settings: Settings, options: Options, connection: bus.Bus, workshop: Workshop) -> None:
    issuer = await _issuer(settings, connection, workshop) if options.hub.internal_ssl else None
    worker = Worker(connection, workshop, pool=settings.pool, lease=settings.lease_seconds, issuer=issuer)
    contained = worker.reach == "pool"
    for sentence in await asyncio.to_thread(
        doubts, options, pool=settings.pool, elsewhere=bool(settings.nats_seed), contained=contained
    ):
        log.warning("address.doubtful", message=sentence)  # it may be meant all the same
    if settings.pool not in options.pools:
        log.warning("pool.unknown", pool=settings.pool, known=list(options.pools))  # nothing will start here
    ready = partial(service.announce, NAME, worker=workshop.worker, pool=settings.pool, host=workshop.host)
    await worker.run(ready)


async def _issuer(settings: Settings, connection: bus.Bus, workshop: Workshop) -> Issuer:
    folder = settings.data_folder / "tls" / workshop.host
    try:
        return await Issuer.open(connection, folder, pool=settings.pool, worker=workshop.worker)
    except Refused as error:
        raise WrongConfiguration(f"no certificate for this worker: {error}") from None


async def _publish(connection: bus.Bus, subject: str, data: bytes) -> None:
    """To whoever listens; a stream keeps it, but nothing waits for its acknowledgement."""
    try:
        await connection.client.publish(subject, data)
    except (nats.errors.Error, OSError) as error:
        log.debug("bus.publish_lost", subject=subject, error=str(error))


def _check(settings: Settings, options: Options) -> None:
    try:
        check(load_class(options.spawner_class_of(settings.pool)), options.traits)
        sealer(settings.bus_key)
        managed(options.hub.services, settings.bus_key)
    except (NoSpawner, ConfigError) as error:
        give_up(str(error))
    except UnusableKey as error:
        give_up(f"HUBBUB_BUS_KEY is not usable: {error}")


if __name__ == "__main__":
    main()
