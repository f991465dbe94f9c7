"""What figures cost does not grow with the users there are, nor with the log: only with the servers that run."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import msgspec
import pytest
from traitlets.config import Config

from hubbub import eventlog
from hubbub.config import Options
from hubbub.counting import REQUESTS, Counts
from hubbub.telling import add
from hubbub_api import keys
from hubbub_api.metrics import METRICS

RUNNING = 20

FILL = (
    """
    insert into events (position, stream, version, type, data, meta, command_id, recorded_at, hash)
    select n, 'user-' || n, 1, 'UserCreated', '{}', '{}', n, now(), '' from generate_series($1::int, $2::int) n
    """,
    """
    insert into users (id, number, version, position, state, name, admin)
    select n, n, 1, n, '{}', 'user-' || n, false from generate_series($1::int, $2::int) n
    """,
    "insert into activity (subject, at) select 'user:' || n, now() from generate_series($1::int, $2::int) n",
    """
    insert into servers (id, number, version, position, state, user_id, name, display_name, kind, attempt)
    select n, n, 1, n, '{"type":"Stopped","user":"' || n || '","name":"","display_name":"","attempt":0}', n, '', '',
           'Stopped', 0
    from generate_series($1::int, $2::int) n
    """,
    "update log_head set position = greatest(position, $2::int) where $1::int > 0",
)
RUN = (
    """
    update servers set kind = 'Running', attempt = 1, pool = 'default', holder = 'w' || number % 3, since = now(),
        deadline = now() + interval '1 day' where number <= $1::int
    """,
    "insert into proxies (id, number, version, position, state) select 'p', 1, 1, 1, '{}' where $1::int > 0",
    """
    insert into routes (id, number, version, position, state, proxy, server, attempt, target)
    select 'p.' || id, number, 1, 1, '{}', 'p', id, 1, 'http://127.0.0.1:1' from servers where number <= $1::int
    """,
)


async def fill(connection: "asyncpg.Connection[asyncpg.Record]", first: int, last: int) -> None:
    for statement in FILL:
        await connection.execute(statement, first, last)
    await connection.execute("vacuum analyze")


class Asked:
    """A pool that remembers what it was asked."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self.connection = connection
        self.queries: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Any:
        async def ask(query: str, *arguments: Any) -> Any:
            self.queries.append((query, arguments))
            return await getattr(self.connection, name)(query, *arguments)

        return ask

    def get_size(self) -> int:
        return 1

    get_idle_size = get_size

    async def pages(self) -> dict[str, int]:
        """Pages of the database that each question touches, by plans that know no values."""
        found = {}
        for number, (query, arguments) in enumerate(self.queries):
            if re.match(r"\s*(select|with head)", query) is None:
                continue
            await self.connection.execute(f"prepare q{number} as {query}")
            given = f"({', '.join(map(_literal, arguments))})" if arguments else ""
            [row] = await self.connection.fetch(f"explain (analyze, buffers, format json) execute q{number}{given}")
            plan = msgspec.json.decode(row[0])[0]["Plan"]
            found[query] = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
            await self.connection.execute(f"deallocate q{number}")
        return found


def _literal(argument: Any) -> str:
    if isinstance(argument, list):
        return "array[" + ", ".join(f"'{each}'" for each in argument) + "]::text[]"
    if isinstance(argument, timedelta):
        return f"'{argument.total_seconds()} s'::interval"
    return f"'{argument}'" if isinstance(argument, str) else str(argument)


@pytest.fixture
def options() -> Options:
    return Options(Config({"PeriodicMetricsCollector": {"active_users_enabled": False}}))  # it looks at everybody


@pytest.fixture
async def asked(house: Any, database: Any) -> AsyncIterator[Asked]:
    connection = await asyncpg.connect(database.owner_dsn, server_settings=eventlog.PLANS)
    for key in (keys.COLLEAGUES, keys.PROXY_SYNCS, keys.POLLERS):
        house.client.app[key]._began -= 10
    made = Asked(connection)
    house.client.app._state[keys.POOL] = made
    yield made
    await connection.close()


async def cost(house: Any, asked: Asked) -> dict[str, int]:
    """Of being asked again."""
    metrics, app = house.client.app[METRICS], house.client.app
    await metrics.text(app)
    asked.queries.clear()
    assert b"hubbub_routes" in await metrics.text(app)
    return await asked.pages()


async def test_neither_users_nor_events_make_it_dearer(house, asked):
    await fill(asked.connection, 1, 500)
    for statement in RUN:
        await asked.connection.execute(statement, RUNNING)
    counts = Counts()
    for number in range(200):
        counts.note(REQUESTS, ("GET", f"handler-{number}", "200"), 0.1)
    await add(house.pool, counts.part(), "api", "x")
    before = await cost(house, asked)
    await fill(asked.connection, 501, 5000)
    after = await cost(house, asked)
    assert len(after) > 12
    assert {query: pages for query, pages in after.items() if pages > before[query] + 8} == {}
