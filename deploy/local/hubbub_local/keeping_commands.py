"""`hubbub backup`, `restore`, `archive` and `check` on the command line: the log in files, and back."""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from hubbub.keeping import files
from hubbub.keeping.archive import Archived, archive
from hubbub.keeping.backup import FORGOTTEN, SECRETS, backup
from hubbub.keeping.chain import Chain, Piece
from hubbub.keeping.files import Damaged, Manifest
from hubbub.keeping.refused import Refused
from hubbub.keeping.restore import Restored, restore
from hubbub.keeping.signing import Sealed
from hubbub.settings import Settings
from hubbub.verify import verify
from hubbub_local import keys, kit, options, running
from hubbub_local.client.times import moment
from hubbub_local.errors import StackError
from hubbub_local.folder import Folder, write_private
from hubbub_local.moving import offline
from hubbub_local.moving.offline import Target
from hubbub_local.options import checked

T = TypeVar("T")

#: What goes along with `--with-secrets`, if it is there.
_SECRET_FILES = ("secrets.json", "ports.json", "kit.json")


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add them to the command line."""
    save = commands.add_parser("backup", help="write all that a hub knows into a folder, while it runs or not")
    save.add_argument("folder", type=Path, metavar="DIR", help="a new or empty folder")
    save.add_argument("--since", type=Path, metavar="DIR", help="an earlier backup: its events are left out here")
    save.add_argument("--with-secrets", action="store_true", help="also secrets.json: then it opens itself")
    _where(save)
    save.set_defaults(do=_backup)

    bring = commands.add_parser("restore", help="make a hub anew from backups, as it was at any position or time")
    bring.add_argument("folders", type=Path, nargs="+", metavar="DIR", help="a backup; others, and archives, before it")
    bring.add_argument("--to", type=checked(_place), metavar="TIME|POSITION", help="up to there; all of it if not said")
    bring.add_argument(
        "--forgotten", type=Path, metavar="DIR|FILE", help="a later backup, or ids of users: they stay forgotten"
    )
    bring.add_argument("--key", default="", metavar="HEX", help="who must have signed (see `hubbub check`)")
    _where(bring)
    bring.set_defaults(do=_restore)

    put = commands.add_parser("archive", help="put the old part of the log into a folder, and take it out of here")
    put.add_argument("folder", type=Path, metavar="DIR", help="where earlier archives are, or a new one")
    put.add_argument(
        "--before", type=checked(_place), required=True, metavar="TIME|POSITION", help="90d: what is older than that"
    )
    put.add_argument("--unread", action="store_true", help="also what a webhook has not taken yet, and never will")
    _where(put)
    put.set_defaults(do=_archive)

    look = commands.add_parser("check", help="prove that backups and archives are whole and signed; needs no hub")
    look.add_argument("folders", type=Path, nargs="+", metavar="DIR")
    look.add_argument("--key", default="", metavar="HEX", help="who must have signed them")
    look.set_defaults(do=_check)


def _where(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--config", type=Path, metavar="FILE", help="as of `hubbub up`")
    parser.add_argument("--data", type=Path, default=Path(".hubbub"), metavar="DIR", help="the data folder (.hubbub)")
    parser.add_argument("--kit", type=Path, metavar="DIR", help="the folder of `hubbub kit`")
    parser.add_argument(
        "--postgres", metavar="URL", help="its owner's URL: with HUBBUB_VAULT_KEY, a hub that something else runs"
    )


def _place(text: str) -> datetime | int:
    """A position of the log, or a time. ValueError with a sentence if it is neither."""
    return int(text) if text.isdecimal() else moment(text, datetime.now().astimezone())


def _backup(asked: argparse.Namespace) -> int:
    async def made() -> Manifest:
        async with _hub(asked) as hub:
            secrets = _secrets(hub.data) if asked.with_secrets else {}
            return await backup(hub.dsn, hub.vault_key, asked.folder, asked.since, secrets=secrets)

    manifest = _run(made())
    events = manifest.ends.position - manifest.begins.position
    _say(f"{events} events, up to {_mark(manifest)}, are in {asked.folder}")
    if not asked.with_secrets:
        _say("its secrets are not: whoever restores it needs the hub's secrets.json")
    return 0


def _restore(asked: argparse.Namespace) -> int:
    async def made() -> tuple[Restored, list[str]]:
        forgotten = _forgotten(asked.forgotten) if asked.forgotten else set()
        newest = Chain.of([Piece(folder, files.read_manifest(folder, asked.key)) for folder in asked.folders]).newest

        def seed(folder: Folder) -> None:
            table = newest.manifest.table(SECRETS)
            for rows in files.read_table(newest.folder, table) if table else ():
                for row in rows:
                    if not (folder.root / row["name"]).exists():
                        write_private(folder.root / row["name"], row["text"])
            if not folder.secrets.exists():
                raise StackError(
                    f"put the hub's secrets.json into {folder.root} first: without it nothing sealed can be opened"
                )

        async with _hub(asked, seed=seed) as hub:
            done = await restore(hub.dsn, hub.vault_key, asked.folders, asked.to, forgotten=forgotten, key=asked.key)
            return done, await verify(hub.dsn, hub.vault_key)

    done, problems = _run(made())
    _say(f"the hub is as it was at event {done.position}" + (f", {done.at.isoformat()}" if done.at else ""))
    if done.left_out:
        _say(f"{done.left_out} later events were left out")
    if done.forgotten:
        _say(f"{done.forgotten} users are forgotten by now: the hub deletes them when it starts")
    for problem in problems:
        _say(problem)
    if not problems:
        _say("the log and every view of it are whole")
    return 1 if problems else 0


def _archive(asked: argparse.Namespace) -> int:
    async def made() -> Archived:
        async with _hub(asked) as hub:
            return await archive(hub.dsn, hub.vault_key, asked.folder, asked.before, unread=asked.unread, say=_say)

    done = _run(made())
    _say(f"{done.written} events were archived, {done.deleted} deleted here: the log begins with {done.horizon + 1}")
    return 0


def _check(asked: argparse.Namespace) -> int:
    bad = False
    for folder in asked.folders:
        try:
            manifest = files.check(folder, asked.key)
        except Damaged as error:
            bad = True
            _say(f"{folder}: {error}")
            continue
        first = manifest.begins.position + 1
        _say(f"{folder}: {manifest.kind}, events {first} to {_mark(manifest)}, signed with {manifest.key}")
    return 1 if bad else 0


def _mark(manifest: Manifest) -> str:
    at = manifest.ends.at
    return f"{manifest.ends.position}" + (f" ({at.isoformat()})" if at else "")


def _forgotten(path: Path) -> set[str]:
    if not path.is_dir():
        return {line.strip() for line in path.read_text().splitlines() if line.strip()}
    manifest = files.read_manifest(path)
    table = manifest.table(FORGOTTEN)
    return {row["id"] for rows in files.read_table(path, table) for row in rows} if table else set()


def _secrets(folder: Path | None) -> dict[str, str]:
    found = {name: folder / name for name in _SECRET_FILES} if folder else {}
    there = {name: path.read_text() for name, path in found.items() if path.exists()}
    if "secrets.json" not in there:
        raise StackError("the secrets of this hub are not in a folder that is known here: keep them yourself")
    return there


# Which hub ----------------------------------------------------------------------------------


@asynccontextmanager
async def _hub(asked: argparse.Namespace, seed: Callable[[Folder], None] | None = None) -> AsyncIterator[Target]:
    """Its owner's database, and its key. *seed*: it is to be made anew, so it does not run."""
    if asked.kit is not None:
        folder = Folder(asked.kit.absolute())
        dsn = asked.postgres or kit.text(folder.root, "postgres-url-owner")
        yield Target(dsn=dsn, vault_key=keys.load(folder).vault_key, bus_key="", data=folder.root)
        return
    if asked.postgres and (key := Settings.from_environ().vault_key):
        yield Target(dsn=asked.postgres, vault_key=key, bus_key="", data=None)
        return
    if seed is None and (hub := _running(asked.data)) is not None:
        yield Target(dsn=hub.owner_dsn, vault_key=hub.vault_key, bus_key="", data=asked.data)
        return
    wanted = options.Options(data=asked.data, config=asked.config, postgres=asked.postgres)
    async with offline.database(wanted, seed or _as_it_is) as target:
        yield target


def _running(data: Path) -> running.Running | None:
    try:
        return running.of(data)
    except StackError:
        return None


def _as_it_is(folder: Folder) -> None:
    if not folder.secrets.exists():
        raise StackError(f"there is no hub in {folder.root}")


def _run(made: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(made)
    except (Refused, Damaged) as error:
        raise StackError(str(error)) from None
    except Sealed:
        raise StackError("the hub's signing key does not open with this vault key") from None


def _say(sentence: str) -> None:
    sys.stdout.write(f"{sentence}\n")
    sys.stdout.flush()
