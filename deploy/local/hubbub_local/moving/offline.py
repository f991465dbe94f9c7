"""The hub's database while the hub itself is down: that of a data folder, or the one that the environment names."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from hubbub.settings import Settings
from hubbub_local import folder, options, plan, up
from hubbub_local.folder import Folder
from hubbub_local.supervisor import Supervisor


@dataclass(frozen=True, kw_only=True)
class Target:
    """`dsn`: of a role that may write the log. `data`: the folder of the workers of this host, if there are any."""

    dsn: str
    vault_key: str
    bus_key: str
    data: Path | None


def outside() -> Settings | None:
    """What an api of this hub is told, where that is in the environment; None if the hub is a data folder's."""
    settings = Settings.from_environ()
    return settings if settings.postgres_url and settings.vault_key else None


@asynccontextmanager
async def database(wanted: options.Options, seed: Callable[[Folder], None]) -> AsyncIterator[Target]:
    """Start the Postgres of the folder, if it has its own, and stop it again. *seed*: fills a new folder first.

    Raises StackError if the hub runs.
    """
    with folder.take(wanted.data) as data:
        seed(data)
        made = plan.make(wanted, data)
        async with Supervisor(data, lambda _: None, asyncio.Event()) as house:
            await up.start_postgres(made, house)
            await up.migrate(made)
            keys = made.keys
            yield Target(dsn=made.owner_dsn, vault_key=keys.vault_key, bus_key=keys.bus_key, data=data.root)


def of_environment(settings: Settings) -> Target:
    data = settings.data_folder
    return Target(
        dsn=settings.postgres_url,
        vault_key=settings.vault_key,
        bus_key=settings.bus_key,
        data=data if settings.bus_key and data.is_dir() else None,
    )
