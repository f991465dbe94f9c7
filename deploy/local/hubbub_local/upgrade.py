"""`hubbub upgrade --check`: whether this release can take over a hub, before anything is changed."""

import argparse
import asyncio
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import asyncpg

from hubbub import __version__, config, releases, schema
from hubbub.config import ConfigError
from hubbub.upcast import newest
from hubbub.views import VIEWS
from hubbub_local import folder, running
from hubbub_local.errors import StackError

#: Postgres's version number from which on it will do.
OLDEST_POSTGRES = 150_000
#: Bytes that should be free beside the database, and which part of its size.
ROOM, PART = 512 * 1024**2, 0.1
#: For `hubbub events` and others that look at all of the log. Seconds.
_PATIENCE = 600

Kind: TypeAlias = Literal["ok", "note", "problem"]


@dataclass
class Findings:
    """What was found out, in the order of looking."""

    found: list[tuple[Kind, str]] = field(default_factory=list)

    def ok(self, words: str) -> None:
        self.found.append(("ok", words))

    def note(self, words: str) -> None:
        self.found.append(("note", words))

    def problem(self, words: str) -> None:
        self.found.append(("problem", words))

    @property
    def problems(self) -> list[str]:
        return [words for kind, words in self.found if kind == "problem"]


async def look(dsn: str, findings: Findings) -> None:
    """Into the database behind *dsn* (its owner's)."""
    connection = await asyncpg.connect(dsn, command_timeout=_PATIENCE)
    try:
        _postgres(connection, findings)
        if not await connection.fetchval("select to_regclass('migrations') is not null"):
            findings.ok("the database is empty: it is made at the first start")
            return
        await _migrations(connection, findings)
        await _releases(connection, findings)
        await _events(connection, findings)
        findings.ok(f"the database has {await _size(connection) / 1024**2:,.0f} MiB")
    finally:
        await connection.close()


def _postgres(connection: "asyncpg.Connection[asyncpg.Record]", findings: Findings) -> None:
    version = connection.get_server_version()
    tell = findings.ok if version.major * 10_000 >= OLDEST_POSTGRES else findings.problem
    tell(f"Postgres {version.major}; {OLDEST_POSTGRES // 10_000} or newer is needed")


async def _migrations(connection: "asyncpg.Connection[asyncpg.Record]", findings: Findings) -> None:
    rows = await connection.fetch("select number, to_jsonb(migrations) -> 'breaks' as breaks from migrations")
    done = max((row["number"] for row in rows), default=0)
    if done > schema.NEWEST:
        findings.problem(
            f"the database is at migration {done}, this release knows {schema.NEWEST}: it is the older one"
        )
        return
    coming = [each for each in schema.MIGRATIONS if each.number > done]
    if not coming:
        findings.ok(f"the database is at migration {done}, as this release wants it")
    elif broken := [each for each in coming if each.breaks]:
        names = ", ".join(f"{each.number} {each.name}" for each in broken)
        findings.problem(
            f"migrations that services of the release before cannot go on beside: {names}; stop them first"
        )
    else:
        names = ", ".join(f"{each.number} {each.name}" for each in coming)
        findings.note(f"migrations to come, which only add: {names}; services of the release before go on beside them")


async def _releases(connection: "asyncpg.Connection[asyncpg.Record]", findings: Findings) -> None:
    living = sorted(await releases.living(connection), key=releases.number)
    if not living:
        findings.ok("no api or auth runs now")
    elif releases.number(living[-1]) > releases.number(__version__):
        findings.problem(f"an api or auth of release {living[-1]} runs, which is newer than this one, {__version__}")
    elif waiting := sorted(name for name, since in releases.READ_SINCE.items() if _is_new(since, living[0])):
        findings.note(f"{', '.join(living)} runs; written once no api or auth is older: {', '.join(waiting)}")
    else:
        findings.ok(f"apis and auths of {', '.join(living)} run")


def _is_new(since: str, oldest: str) -> bool:
    return releases.number(since) > releases.number(oldest)


async def _events(connection: "asyncpg.Connection[asyncpg.Record]", findings: Findings) -> None:
    """Those that a newer release has written, and this one would pass over with their whole stream."""
    rows = await connection.fetch(
        "select split_part(stream, '-', 1) as kind, type, schema_version, count(*) from events group by 1, 2, 3"
    )
    known = {(name, event.__name__) for name, view in VIEWS.items() for event in view.decider.events.__args__}
    strange = [
        f"{row['count']} {row['type']} (version {row['schema_version']})"
        for row in rows
        if (row["kind"], row["type"]) not in known or row["schema_version"] > newest(row["type"])
    ]
    if strange:
        findings.problem(f"the log has events that this release cannot read: {', '.join(sorted(strange))}")
    else:
        findings.ok(f"all {sum(row['count'] for row in rows):,} events of the log are of types that this release reads")


async def _size(connection: "asyncpg.Connection[asyncpg.Record]") -> int:
    return int(await connection.fetchval("select pg_database_size(current_database())"))


def look_at_config(file: Path, findings: Findings) -> None:
    """As the services will read it."""
    try:
        found = config.load(file)
    except ConfigError as error:
        findings.problem(f"the configuration cannot be used: {error}")
        return
    for warning in found.warnings:
        findings.note(warning)
    findings.ok(f"{file} can be used")


def look_at_folder(data: Path, findings: Findings) -> None:
    """The layout of a data folder, and how much room is left."""
    try:
        layout = folder.layout(data)
    except StackError as error:
        findings.problem(str(error))
        return
    findings.ok(f"the layout of {data} is version {layout}")
    free, size = shutil.disk_usage(data).free, sum(_bytes(data / "postgres"))
    words = f"{free / 1024**2:,.0f} MiB are free in {data}"
    (findings.ok if free > max(ROOM, PART * size) else findings.problem)(words)


def _bytes(path: Path) -> Iterator[int]:
    for each in path.rglob("*"):
        try:
            yield each.stat().st_size
        except OSError:
            continue


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add it to the command line."""
    command = commands.add_parser("upgrade", help="say whether this release can take over a hub; changes nothing")
    command.add_argument("--check", action="store_true", required=True)
    command.add_argument("-f", "--config", type=Path, metavar="FILE", help="the configuration that it will have")
    command.add_argument("--postgres", metavar="URL", help="of the database's owner, where no hub runs on the folder")
    command.add_argument("--data", type=Path, default=Path(".hubbub"), metavar="DIR", help="the data folder (.hubbub)")
    command.set_defaults(do=_upgrade)


def _upgrade(asked: argparse.Namespace) -> int:
    findings = Findings()
    if (asked.data / "version").exists():
        look_at_folder(asked.data.absolute(), findings)
    if asked.config:
        look_at_config(asked.config.absolute(), findings)
    try:
        dsn = asked.postgres or running.of(asked.data).owner_dsn
    except StackError as error:
        findings.note(f"the database was not looked at: {error}")
    else:
        asyncio.run(look(dsn, findings))
    findings.note("make a backup before, and keep the release before: see docs/upgrading.md")
    _show(findings.found)
    return 1 if findings.problems else 0


def _show(found: Sequence[tuple[Kind, str]]) -> None:
    for kind, words in found:
        sys.stdout.write(f"{kind + ':':<9}{words}\n")
    bad = sum(1 for kind, _ in found if kind == "problem")
    sys.stdout.write(f"not yet: {bad} in the way\n" if bad else f"release {__version__} can take over\n")
