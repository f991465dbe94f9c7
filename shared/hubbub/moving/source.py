"""A JupyterHub's database, read as it is: SQLite or Postgres. Nothing is ever written to it."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import asyncpg
import msgspec

#: What JupyterHub's own migrations call its schema, from 5.0 to 6.1.
KNOWN = ("4621fec11365", "be8ecf03ddac", "afd65840b69e", "ff1860e38070", "f460b0348206")
HEAD = "f460b0348206"

Row = dict[str, Any]


class NotReadable(Exception):
    """It is no database of a JupyterHub that can be brought here; with a sentence that says what to do."""


class Source(Protocol):
    async def rows(self, query: str) -> list[Row]:
        """What *query*, without parameters, finds; a column as the database has it."""


@asynccontextmanager
async def opened(where: str) -> AsyncIterator[Source]:
    """*where*: a file of SQLite, or `sqlite:///...`, or `postgresql://...`, as `c.JupyterHub.db_url` has it.

    Raises NotReadable.
    """
    scheme, _, rest = where.partition("://")
    if rest and scheme.split("+")[0] in ("postgresql", "postgres"):
        connection = await _connected(f"postgresql://{rest}")
        try:
            yield await _checked(_Postgres(connection))
        finally:
            await connection.close()
    elif rest and scheme != "sqlite":
        raise NotReadable(f"databases of {scheme} are not read, only SQLite and Postgres")
    else:
        file = sqlite3.connect(f"file:{_path(where)}?mode=ro", uri=True, check_same_thread=False)
        try:
            yield await _checked(_Sqlite(file))
        finally:
            file.close()


def _path(where: str) -> str:
    path = Path(where.removeprefix("sqlite:///") if where.startswith("sqlite:") else where).absolute()
    if not path.is_file():
        raise NotReadable(f"there is no file {path}")
    return str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


async def _connected(url: str) -> "asyncpg.Connection[asyncpg.Record]":
    try:
        return await asyncpg.connect(url, timeout=10)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError, TimeoutError) as error:
        raise NotReadable(f"its Postgres cannot be reached: {str(error) or type(error).__name__}") from None


async def _checked(source: Source) -> Source:
    try:
        found = [str(row["version_num"]) for row in await source.rows("select version_num from alembic_version")]
    except (sqlite3.Error, asyncpg.PostgresError) as error:
        raise NotReadable(f"it is no database of a JupyterHub: {error}") from None
    if len(found) != 1 or found[0] not in KNOWN:
        raise NotReadable(
            f"its schema is {', '.join(found) or 'of no version'}, and those of JupyterHub 5.0 to 6.1 are known: "
            "run `jupyterhub upgrade-db` of JupyterHub 6.1.1 first"
        )
    return source


class _Sqlite:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        connection.row_factory = sqlite3.Row

    async def rows(self, query: str) -> list[Row]:
        return await asyncio.to_thread(lambda: [dict(row) for row in self._connection.execute(query)])


class _Postgres:
    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._connection = connection

    async def rows(self, query: str) -> list[Row]:
        return [dict(row) for row in await self._connection.fetch(query)]


# Columns ---------------------------------------------------------------------------------


def moment(value: Any) -> datetime | None:
    """A time, which JupyterHub keeps in UTC without saying so: text in SQLite."""
    if value is None or value == "":
        return None
    found = datetime.fromisoformat(value) if isinstance(value, str) else value
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def json_in(value: Any) -> Any:
    """What a column of JSON holds; null for none, or nonsense."""
    try:
        return msgspec.json.decode(value) if value else None
    except (msgspec.MsgspecError, UnicodeError):
        return None


def words(value: Any) -> tuple[str, ...]:
    """A list of texts."""
    found = json_in(value)
    return tuple(str(each) for each in found) if isinstance(found, list) else ()
