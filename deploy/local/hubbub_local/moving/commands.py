"""`hubbub import` and `hubbub export` on the command line."""

import argparse
import asyncio
import os
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

from hubbub import eventlog
from hubbub.config import ConfigError, Options, load
from hubbub.handle import Committer, LogUnavailable
from hubbub.moving import crypt, marks, theirs
from hubbub.moving.back import Back
from hubbub.moving.bring import Bringing
from hubbub.moving.marks import NotEmpty
from hubbub.moving.report import Report
from hubbub.moving.source import NotReadable, Source, opened
from hubbub.moving.survey import Survey
from hubbub.vault import Vault
from hubbub_local import options
from hubbub_local.errors import StackError
from hubbub_local.folder import Folder
from hubbub_local.moving import offline, secrets, spooled
from hubbub_local.moving.found import Found
from hubbub_local.moving.offline import Target


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add both to the command line."""
    bring = commands.add_parser("import", help="bring in what a JupyterHub has: people, tokens, servers that run")
    bring.add_argument("database", help="its jupyterhub.sqlite, or its c.JupyterHub.db_url")
    bring.add_argument("-f", "--config", type=Path, metavar="FILE", required=True, help="its jupyterhub_config.py")
    bring.add_argument("--dry-run", action="store_true", help="say what would happen, and change nothing")
    bring.add_argument("--postgres", metavar="URL", help="as of `hubbub up`")
    bring.add_argument("--data", type=Path, default=Path(".hubbub"), metavar="DIR", help="the data folder (.hubbub)")
    bring.set_defaults(do=_import)

    back = commands.add_parser("export", help="write what the hub has into a database for JupyterHub 6.1.1")
    back.add_argument("database", type=Path, metavar="FILE", help="the SQLite file to make")
    back.add_argument("-f", "--config", type=Path, metavar="FILE", required=True, help="the hub's configuration")
    back.add_argument("--postgres", metavar="URL", help="as of `hubbub up`")
    back.add_argument("--data", type=Path, default=Path(".hubbub"), metavar="DIR", help="the data folder (.hubbub)")
    back.set_defaults(do=_export)


def _import(asked: argparse.Namespace) -> int:
    try:
        near = Path(asked.database.removeprefix("sqlite:///")).absolute().parent
        report = asyncio.run(_brought(asked, near))
    except (NotReadable, NotEmpty, ConfigError, crypt.BadKey, LogUnavailable, sqlite3.Error) as error:
        raise StackError(str(error)) from None
    sys.stdout.writelines(f"{line}\n" for line in report.lines(dry=asked.dry_run))
    return 0


async def _brought(asked: argparse.Namespace, near: Path) -> Report:
    """*near*: the folder of its database."""
    config = load(asked.config)
    found = Found(options=config)
    keys = crypt.keeper(os.environ, config.traits.get("CryptKeeper", {}).get("keys"))
    secret = secrets.cookie_secret(config, near)
    async with opened(asked.database) as source:
        looked = await _looked_at(source, Survey(options=config, keys=keys, finds=found))
        _tell_of_configuration(looked.report, config, found, secret)
        if asked.dry_run:
            return looked.report
        async with _target(asked, config, found, secret) as target:
            survey = Survey(options=config, keys=keys, finds=found)
            await _bring(source, survey, found, target, taken_over=bool(secret))
        survey.report.notes = {**survey.report.notes, **looked.report.notes}
        return survey.report


async def _looked_at(source: Source, survey: Survey) -> Survey:
    """All of it once, before anything is changed: what is wrong is better known then."""
    await survey.begin(source)
    async for users in theirs.users(source):
        for user in users:
            survey.prepare(user)
    async for shares in theirs.shares(source):
        survey.report.found["shares"] += len(shares)
    return survey


def _tell_of_configuration(report: Report, config: Options, found: Found, secret: str) -> None:
    for warning in config.warnings:
        report.note(warning)
    if config.cleanup_servers or config.cleanup_proxy:
        report.note("c.JupyterHub.cleanup_servers and cleanup_proxy are not False: JupyterHub ends them with itself")
    if not secret:
        report.note("JupyterHub's cookie secret was not found: people log in again")
    if found.local and not secrets.proxy_token(config):
        report.note(
            "the token of JupyterHub's proxy is not known: set c.ConfigurableHTTPProxy.auth_token, or stop that proxy"
        )
    for url, number in found.hubs.items():
        if config.hub_configured and url != config.hub_api_url:
            report.note(f"{number} servers look for the hub at {url}, and it will be at {config.hub_api_url}")


@asynccontextmanager
async def _target(asked: argparse.Namespace, config: Options, found: Found, secret: str) -> AsyncIterator[Target]:
    if settings := offline.outside():
        yield offline.of_environment(settings)
        return

    def seed(folder: Folder) -> None:
        secrets.take_over(folder, {"cookie_secret": secret, "proxy_token": secrets.proxy_token(config)})
        secrets.keep_ports(folder, config, found.hub())

    wanted = options.Options(data=asked.data, config=asked.config, postgres=asked.postgres)
    async with offline.database(wanted, seed) as target:
        yield target


async def _bring(source: Source, survey: Survey, found: Found, target: Target, *, taken_over: bool) -> None:
    vault = Vault(target.vault_key)
    committer = Committer(target.dsn, vault)
    running = asyncio.create_task(committer.run())
    try:
        origin = await marks.fingerprint(source)
        bringing = Bringing(committer, vault, survey, origin, taken_over=taken_over)
        if not await marks.begin(committer, origin):
            survey.report.note("all of this was brought before: nothing was changed")
            return
        await survey.begin(source)
        await bringing.bring(source)
        if target.data:
            local = {bringing.id("server", id): each for id, each in found.local.items()}
            await spooled.spool(target.dsn, target.vault_key, target.bus_key, survey.options, target.data, local)
        await _count_anew(target.dsn)
        await marks.end(committer, origin)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _count_anew(dsn: str) -> None:
    """So much has come at once that Postgres would plan for tables as they were. What is empty is left alone: it would
    be planned for as if it were to stay so.
    """
    async with eventlog.pool(dsn) as pool:
        for row in await pool.fetch(_FILLED):
            await pool.execute(f"analyze {row['name']}")


_FILLED = "select relid::regclass::text as name from pg_stat_user_tables where pg_relation_size(relid) > 0"


# And back ---------------------------------------------------------------------------------


def _export(asked: argparse.Namespace) -> int:
    if asked.database.exists():
        raise StackError(f"{asked.database} is there already: name a new file")
    unfinished = asked.database.with_name(f"{asked.database.name}.part")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    try:
        report = asyncio.run(_written(asked, unfinished))
    except (ConfigError, crypt.BadKey, sqlite3.Error) as error:
        raise StackError(str(error)) from None
    unfinished.replace(asked.database)  # half of it is never taken for the whole
    sys.stdout.writelines(f"{line}\n" for line in report.lines())
    return 0


async def _written(asked: argparse.Namespace, path: Path) -> Report:
    config = load(asked.config)
    keys = crypt.keeper(os.environ, config.traits.get("CryptKeeper", {}).get("keys"))
    async with _target(asked, config, Found(options=config), "") as target, eventlog.pool(target.dsn) as pool:
        tokens = spooled.tokens(target.data) if target.data else {}
        with closing(sqlite3.connect(path)) as file:
            return await Back(pool=pool, vault=Vault(target.vault_key), file=file, keys=keys, tokens=tokens).write()
