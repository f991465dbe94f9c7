"""A page of events costs what it shows, however long the log is, and however it is asked for."""

from typing import Any

import asyncpg
import pytest
from cryptography.fernet import Fernet

from hubbub import eventlog
from hubbub.testing.postgres import Database
from hubbub.vault import Vault
from hubbub_api.events import Events

FEW, MANY = 4_000, 40_000
PAGE = 20

#: A tenth of the users do everything; the culler does half of it.
FILL = """
    with told as (
        insert into events (position, stream, version, type, data, meta, command_id, recorded_at, hash, about)
        select n, 'server-s' || n % 40, n, (array['SpawnRequested','ServerStarted','ServerStopped'])[1 + n % 3], '{}',
               '{}', '', '2026-01-01T00:00:00Z'::timestamptz + n * interval '1 second', '',
               array['s' || n % 40, 'u' || n % 40, 'by:' || (array['service:culler', 'sweep'])[1 + n % 2]]
        from generate_series($1::int, $2::int) n returning position, type, about
    ) insert into subjects select unnest(about), position, type from told
"""

ASKED: dict[str, dict[str, Any]] = {
    "the newest": {},
    "the oldest": {"newest_first": False},
    "in the middle": {"before": FEW // 2},
    "of a user and their server": {"about": ["u7", "s7"]},
    "of one type": {"types": ["ServerStarted"]},
    "of an aggregate": {"aggregates": ["server"]},
    "of a user, of one type": {"about": ["u7"], "types": ["ServerStarted"]},
    "by the culler": {"actor": "service:culler"},
    "of a user, by the culler": {"about": ["u6"], "actor": "service:culler"},
}


class Counted:
    """A source of rows that looks at its plans: pages touched, by plans that know no values."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._connection = connection
        self.pages = 0

    async def fetch(self, query: str, *args: Any) -> list[asyncpg.Record]:
        await self._connection.execute(f"prepare asked as {query}")
        given = ", ".join(_literal(arg) for arg in args)
        [row] = await self._connection.fetch(f"explain (analyze, buffers, format json) execute asked({given})")
        plan = eventlog.msgspec.json.decode(row[0])[0]["Plan"]
        self.pages = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
        await self._connection.execute("deallocate asked")
        return await self._connection.fetch(query, *args)


def _literal(arg: Any) -> str:
    if isinstance(arg, list):
        return "array[" + ", ".join(f"'{each}'" for each in arg) + "]::text[]"
    return f"'{arg}'" if isinstance(arg, str) else str(arg)


@pytest.fixture(scope="module")
def long_logs(postgres: Any) -> Any:
    """Two logs, a short one and a long one."""
    made = [postgres.make(), postgres.make()]
    yield made
    for database in made:
        postgres.drop(database)


async def pages(database: Database, length: int, asked: dict[str, Any]) -> int:
    connection = await asyncpg.connect(database.owner_dsn, server_settings=eventlog.PLANS)
    try:
        have = await connection.fetchval("select coalesce(max(position), 0) from events")
        if not have:
            await connection.execute(FILL.replace("$1", "1").replace("$2", str(length)))
            await connection.execute("vacuum analyze events")
            await connection.execute("vacuum analyze subjects")
        source = Counted(connection)
        found = await Events(source, Vault(Fernet.generate_key().decode())).page(limit=PAGE, **asked)  # type: ignore[arg-type]
        assert len(found) == PAGE
        return source.pages
    finally:
        await connection.close()


@pytest.mark.parametrize("what", ASKED)
async def test_a_page_of_a_log_ten_times_as_long_costs_the_same(long_logs: list[Database], what: str) -> None:
    few, many = [await pages(log, length, ASKED[what]) for log, length in zip(long_logs, (FEW, MANY), strict=True)]
    assert many <= few * 1.5 + 20, f"{few} pages, then {many}"
