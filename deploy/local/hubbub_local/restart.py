"""`hubbub restart`: the services one by one, each when the one before is there again; nobody is to notice."""

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import asyncpg

from hubbub import schema
from hubbub_local import control, running
from hubbub_local.errors import StackError
from hubbub_local.folder import Folder
from hubbub_local.supervisor import Supervisor

#: Those first that decide: only when all of them read what is new is it written (`hubbub.releases`).
ORDER = ("api", "auth", "poller", "proxy-sync", "spawner-worker")


def restarting(house: Supervisor) -> control.Restart:
    """What restarts children of *house* that were asked for by their name, or by that of a service."""

    async def restart(asked: Sequence[str]) -> AsyncIterator[tuple[str, float]]:
        for name in which(asked, [name for service in ORDER for name in sorted(house.copies(service))]):
            yield name, await house.restart(name)

    return restart


def which(asked: Sequence[str], there: Sequence[str]) -> list[str]:
    """Of the children that are *there*, in their order; all of them if nothing was asked for. Raises StackError."""
    for each in asked:
        if each not in there and each not in ORDER:
            raise StackError(f"there is no {each!r}; there are {', '.join((*ORDER, *there))}")
    return [name for name in there if not asked or any(name == each or name.startswith(f"{each}-") for each in asked)]


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add it to the command line."""
    command = commands.add_parser("restart", help="restart services one by one: for new code or configuration")
    command.add_argument("service", nargs="*", help="as api, or api-2; all of them if not said")
    command.add_argument("--data", type=Path, default=Path(".hubbub"), metavar="DIR", help="the data folder (.hubbub)")
    command.set_defaults(do=_restart)


def _restart(asked: argparse.Namespace) -> int:
    asyncio.run(_ask(running.of(asked.data), Folder(asked.data.absolute()), asked.service))
    return 0


async def _ask(hub: running.Running, folder: Folder, services: Sequence[str]) -> None:
    """With the database as this release, of which the services are going to be, wants it: migrations only add."""
    began = time.monotonic()
    try:
        await schema.migrate(hub.owner_dsn, None)
    except schema.SchemaTooNew as error:
        raise StackError(str(error)) from None
    except (asyncpg.PostgresError, OSError) as error:
        raise StackError(f"cannot prepare the database: {type(error).__name__}: {error}") from None

    def tell(name: str, seconds: float) -> None:
        without = f", {seconds:.1f} s without it" if seconds else ""
        sys.stdout.write(f"{name}: restarted{without}\n")
        sys.stdout.flush()

    await control.ask_restart(folder, services, tell)
    sys.stdout.write(f"all of them in {time.monotonic() - began:.1f} s\n")
