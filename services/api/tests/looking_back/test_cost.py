"""A look back costs what it shows: it does not matter how often servers were started since, or before."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import msgspec
import pytest
from traitlets.config import Config

from hubbub.access import Access, Identity
from hubbub.config import Options
from hubbub.domain.scope_tree import ADMIN_ROLE, TREE
from hubbub.testing.long_log import write_log
from hubbub.testing.postgres import Database
from hubbub.vault import Vault
from hubbub_api.models import Models
from hubbub_api.past import ACTIVE, SETTINGS, Moment, Past, Unheard
from hubbub_api.proxies import routes_in
from hubbub_api.views import Views

ADMIN = Identity(kind="service", name="test", admin=True, scopes=TREE.expand(ADMIN_ROLE))
OPTIONS = Options(Config())
#: As in a hub where many came early; half of all starts are of the twelve who start often.
USED: dict[str, Any] = {"people": 400, "active": 20, "often": 12}
FEW, MANY = 100, 1500


class Counted:
    """A source of rows as of a moment, which remembers how many pages of the database each answer took."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._connection = connection
        self.pages = 0

    async def fetch(self, query: str, *args: Any) -> list[asyncpg.Record]:
        await self._connection.execute(f"prepare q as {query}")
        given = f"({', '.join(_literal(arg) for arg in args)})" if args else ""
        [row] = await self._connection.fetch(f"explain (analyze, buffers, format json) execute q{given}")
        await self._connection.execute("deallocate q")
        plan = msgspec.json.decode(row[0])[0]["Plan"]
        self.pages += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
        return await self._connection.fetch(query, *args)


def _literal(arg: Any) -> str:
    if isinstance(arg, list):
        return f"array[{', '.join(_literal(each) for each in arg)}]::text[]"
    return f"'{arg}'" if isinstance(arg, str) else str(arg).lower()


@pytest.fixture
async def connection(database: Database) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(database.owner_dsn, server_settings=SETTINGS)
    yield connection
    await connection.close()


async def pages(connection: Any, key: str, moment: Moment) -> dict[str, int]:
    """What each read takes, as of *moment*."""
    await connection.execute("select set_config('hubbub.as_of', $1, false)", moment.time.isoformat())
    await connection.execute("select set_config('hubbub.position', $1, false)", str(moment.position))
    models, vault = Models(OPTIONS, Access(connection, OPTIONS).roles, Unheard()), Vault(key)
    shown = {"names": None, "groups": (), "state": None, "name_filter": "", "offset": 0, "limit": 20}

    async def page(source: Counted, **changed: Any) -> int:
        users, total = await Views(source, vault).users(**{**shown, "sort": "id", **changed})
        assert total == USED["people"] and len(users) == 20
        return len(await models.users(Views(source, vault), ADMIN, users, stopped=True))

    async def person(source: Counted, name: str) -> int:
        return 1 if await Views(source, vault).person(name, stopped=True) else 0

    async def active(source: Counted) -> int:
        return len(await source.fetch(ACTIVE, 0, 20))

    async def routes(source: Counted) -> int:
        return len((await routes_in(Views(source, vault), OPTIONS, offset=0, limit=20))[0])

    reads: dict[str, Any] = {
        "page": page,
        "newest": lambda source: page(source, sort="-id"),
        "often": lambda source: person(source, "person-3"),
        "seldom": lambda source: person(source, "person-300"),
        "active": active,
        "routes": routes,
    }
    found = {}
    for what, read in reads.items():
        source = Counted(connection)
        assert await read(source) == (1 if what in ("often", "seldom") else 20)
        found[what] = source.pages
    return found


async def test_it_does_not_matter_how_long_the_history_is(
    postgres: Any, connection: "asyncpg.Connection[asyncpg.Record]", database: Database, vault_key: str
) -> None:
    """Not where one looks either: a while after it has begun, or at its end."""
    short = postgres.make()
    costs = {}
    await write_log(short.owner_dsn, vault_key, starts=FEW, **USED)
    few = await asyncpg.connect(short.owner_dsn, server_settings=SETTINGS)
    await write_log(database.owner_dsn, vault_key, starts=MANY, **USED)
    for name, of, dsn in (("few", few, short.owner_dsn), ("many", connection, database.owner_dsn)):
        await of.execute("vacuum analyze")
        async with Past(dsn, Vault(vault_key), Models(OPTIONS, Access(of, OPTIONS).roles, Unheard())) as past:  # type: ignore[arg-type]
            newest = await of.fetchval("select position from log_head")
            # A while after the first start, when as many were active as ever after.
            early = await past.moment(str(1 + 2 * USED["people"] + 6 * USED["active"]))
            costs[name, "early"] = await pages(of, vault_key, early)
            costs[name, "late"] = await pages(of, vault_key, await past.moment(str(newest)))
    await few.close()
    postgres.drop(short)
    for what, cost in costs["few", "late"].items():
        for when in ("early", "late"):
            assert costs["many", when][what] < 1.7 * cost + 20, (what, when, costs)
