"""`hubbub kit` and `hubbub migrate`: what a hub needs once, before something else than `hubbub up` starts its parts."""

import argparse
import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Any

import asyncpg

from hubbub import schema
from hubbub_local import kit
from hubbub_local.errors import StackError

_FOLDER: dict[str, Any] = {
    "type": Path,
    "nargs": "?",
    "metavar": "DIR",
    "default": Path(os.environ.get("HUBBUB_KIT", "kit")),
}


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add both to the command line."""
    make = commands.add_parser("kit", help="make a folder of secrets, one a file, for containers or units")
    make.add_argument("folder", help="what is there already is kept (HUBBUB_KIT)", **_FOLDER)
    make.add_argument("--pools", type=_words, metavar="A,B", help="the pools of workers (default)")
    make.add_argument("--nats", type=_words, metavar="HOST:PORT,...", help="where NATS is; several are a cluster")
    make.add_argument("--nats-listen", metavar="HOST:PORT", help="where its server listens (0.0.0.0:4222)")
    make.add_argument("--nats-store", metavar="DIR", help="where its server keeps streams (/data)")
    make.add_argument("--postgres", metavar="HOST:PORT/DB", help="where Postgres is; ?sslmode=... may follow")
    make.add_argument("--owner", metavar="ROLE", help="the role that owns the database (hub)")
    make.add_argument("--mode", type=_mode, metavar="0600", help="of the files; 0444 to mount them one by one")
    make.set_defaults(do=_kit)

    migrate = commands.add_parser("migrate", help="make or update the database of a kit, and its roles")
    migrate.add_argument("folder", help="the kit (HUBBUB_KIT)", **_FOLDER)
    migrate.add_argument("--seconds", type=float, default=60, metavar="N", help="how long to wait for Postgres (60)")
    migrate.set_defaults(do=_migrate)


def _kit(asked: argparse.Namespace) -> int:
    said = ("pools", "nats", "nats_listen", "nats_store", "postgres", "owner", "mode")
    wish = kit.wanted(asked.folder, **{name: getattr(asked, name) for name in said})
    sys.stdout.writelines(f"{name}\n" for name in kit.make(asked.folder, wish))
    return 0


def _migrate(asked: argparse.Namespace) -> int:
    asyncio.run(_until_migrated(kit.text(asked.folder, "postgres-url-owner"), asked.folder, asked.seconds))
    sys.stdout.write(f"the database is at migration {schema.NEWEST}\n")
    return 0


async def _until_migrated(dsn: str, folder: Path, seconds: float) -> None:
    """Postgres may still be starting, which nobody tells: it is asked until it answers, or the time is over."""
    ends = time.monotonic() + seconds
    while True:
        try:
            return await schema.migrate(dsn, kit.role_passwords(folder))
        except schema.SchemaTooNew as error:
            raise StackError(str(error)) from None
        except (OSError, TimeoutError, asyncpg.CannotConnectNowError, asyncpg.InterfaceError) as error:
            if time.monotonic() > ends:
                said = str(error) or type(error).__name__
                raise StackError(f"Postgres did not answer within {seconds:g} s: {said}") from None
        await asyncio.sleep(0.5)


def _words(text: str) -> tuple[str, ...]:
    words = tuple(word.strip() for word in text.split(",") if word.strip())
    if not words:
        raise argparse.ArgumentTypeError(f"{text!r} names nothing")
    return words


def _mode(text: str) -> int:
    try:
        return int(text, 8)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a mode like 0600") from None
