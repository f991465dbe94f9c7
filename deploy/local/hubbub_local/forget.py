"""`hubbub forget`: nothing that names somebody is left, as far as this machine and the database go."""

import argparse
import asyncio
import sys
import time
from pathlib import Path
from typing import Any

from cryptography.fernet import InvalidToken

from hubbub import admin, database, forgetting
from hubbub.forgetting import Person
from hubbub.vault import Vault
from hubbub_local import running
from hubbub_local.client import session
from hubbub_local.client.times import duration
from hubbub_local.errors import StackError
from hubbub_local.folder import Folder
from hubbub_local.options import checked

LEFT = "What goes by itself, and what nobody but you can remove, is listed in docs/forgetting.md."


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add it to the command line."""
    command = commands.add_parser("forget", help="delete a user, and all that names them; also of one deleted long ago")
    command.add_argument("user", help="a name; or forgotten-12, or 12, of somebody who was deleted")
    command.add_argument("--yes", action="store_true", help="there is no way back, and that is understood")
    command.add_argument(
        "--rewrite",
        action="store_true",
        help="have Postgres write its tables anew: nothing of them in free space of its files; all wait meanwhile",
    )
    command.add_argument(
        "--timeout",
        type=_seconds,
        default="2m",
        metavar="DURATION",
        help="how long their servers may take to stop (2m)",
    )
    command.add_argument("--as", dest="act_as", default="", metavar="USER", help="as whom they are deleted")
    command.add_argument("--data", type=Path, default=Path(".hubbub"), metavar="DIR", help="the data folder (.hubbub)")
    command.set_defaults(do=_forget)


@checked
def _seconds(text: str) -> float:
    return duration(text).total_seconds()


def _forget(asked: argparse.Namespace) -> int:
    asyncio.run(_do(running.of(asked.data), asked))
    return 0


async def _do(hub: running.Running, asked: argparse.Namespace) -> None:
    connection = await database.connect(hub.owner_dsn)
    try:
        person = await forgetting.find(connection, asked.user)
        if person is None:
            raise StackError(f"there is nobody called {asked.user!r}; who was deleted is called forgotten-<number>")
        if not asked.yes:
            raise StackError(f"{person.name} will be gone for ever: say so with --yes")
        if person.there:
            await _delete(asked, person)
            _say(f"{person.name} is deleted, and the key of what the log has of them destroyed")
        try:
            async with admin.committing(hub.api_dsn, Vault(hub.vault_key)) as committer:
                await forgetting.finish(committer, person)
        except InvalidToken:
            raise StackError("the vault's key is not the one of this database") from None
        await forgetting.clear_up(connection, rewrite=asked.rewrite)
    finally:
        await connection.close()
    folder = Folder(asked.data.absolute())
    removed = _remove_logs(folder, person)
    _remember(folder, person)
    _say(f"the database has nothing of theirs any more that can be read; {removed} logs of servers removed here")
    _say(LEFT)


async def _delete(asked: argparse.Namespace, person: Person) -> None:
    """As the API does it, so that servers, routes and whatever a spawner keeps go in order."""
    where = argparse.Namespace(url="", data=asked.data, act_as=asked.act_as)
    place, ends = session.path("users", person.name), time.monotonic() + asked.timeout
    async with session.connected(where) as api:
        while active := await _active(api, place):
            if time.monotonic() > ends:
                raise StackError(f"{person.name} still has servers that run ({', '.join(active)}): nothing is deleted")
            for server in active:
                try:
                    await api.ask("DELETE", session.server_path(person.name, server))
                except session.Refused as refused:
                    if refused.status not in (400, 404):  # it is stopping, or has just stopped
                        raise
            await asyncio.sleep(0.2)
        await api.ask("DELETE", place)


async def _active(api: session.Hub, place: str) -> list[str]:
    return sorted((await api.get(place)).get("servers", {}))


def _remember(folder: Folder, person: Person) -> None:
    """For whoever brings back a backup from before (`hubbub restore --forgotten`): an id, which names nobody."""
    if person.id and folder.root.is_dir():
        kept = folder.root / "forgotten"
        known = kept.read_text().split() if kept.exists() else []
        kept.write_text("".join(f"{id}\n" for id in dict.fromkeys([*known, person.id])))


def _say(words: str) -> None:
    sys.stdout.write(f"{words}\n")


def _remove_logs(folder: Folder, person: Person) -> int:
    """Those of this machine's workers."""
    found = [path for id in person.servers for path in (folder.logs / "servers").glob(f"{id}.log*")]
    for path in found:
        path.unlink(missing_ok=True)
    return len(found)
