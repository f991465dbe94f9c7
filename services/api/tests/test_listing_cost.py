"""A list costs what it shows, however much there is: no query a row, and no page of the database a user more."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from cryptography.fernet import Fernet
from traitlets.config import Config

from hubbub import eventlog
from hubbub.access import Access, Identity
from hubbub.config import Options
from hubbub.domain.scope_tree import ADMIN_ROLE, TREE
from hubbub.testing.postgres import Database
from hubbub.tokens import token_hash
from hubbub.vault import Vault
from hubbub_api.activity import Activities
from hubbub_api.models import Models
from hubbub_api.views import Views

ADMIN = Identity(kind="service", name="test", admin=True, scopes=TREE.expand(ADMIN_ROLE))

FILL = """
    insert into events (position, stream, version, type, data, meta, command_id, recorded_at, hash)
    select n, 'user-' || n, 1, 'UserCreated', '{}', '{}', n, now(), '' from generate_series($1::int, $2::int) n;
    insert into users (id, number, version, position, state, name, admin)
    select n, n, 1, n, '{}', 'user-' || n, false from generate_series($1::int, $2::int) n;
    insert into activity (subject, at) select 'user:' || n, now() from generate_series($1::int, $2::int) n;
    insert into tokens (id, number, version, position, state, hash, user_id, service, client, session, server)
    select n, n, 1, n, '{"type":"Token","scopes":["inherit"]}', 'hash-' || n, n, '', 'jupyterhub', '', ''
    from generate_series($1::int, $2::int) n;
    insert into servers (id, number, version, position, state, user_id, name, display_name, kind, attempt)
    select n, n, 1, n, '{"type":"Stopped","user":"' || n || '","name":"","display_name":"","attempt":0}', n, '', '',
           'Stopped', 0
    from generate_series($1::int, $2::int) n;
"""


class Counted:
    """A source of rows that remembers what it was asked."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._connection = connection
        self.asked: list[tuple[str, tuple[Any, ...]]] = []

    async def fetch(self, query: str, *args: Any) -> list[asyncpg.Record]:
        self.asked.append((query, args))
        return await self._connection.fetch(query, *args)

    async def pages(self) -> int:
        """Pages of the database that all of the questions touch, by plans that know no values."""
        total = 0
        for number, (query, args) in enumerate(self.asked):
            await self._connection.execute(f"prepare q{number} as {query}")
            given = ", ".join(_literal(arg) for arg in args)
            [row] = await self._connection.fetch(f"explain (analyze, buffers, format json) execute q{number}({given})")
            plan = eventlog.msgspec.json.decode(row[0])[0]["Plan"]
            total += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
            await self._connection.execute(f"deallocate q{number}")
        return total


def _literal(arg: Any) -> str:
    if isinstance(arg, list):
        return "array[" + ", ".join(f"'{each}'" for each in arg) + "]::text[]"
    return f"'{arg}'" if isinstance(arg, str) else str(arg).lower()


@pytest.fixture
async def connection(database: Database) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    connection = await asyncpg.connect(database.owner_dsn, server_settings=eventlog.PLANS)
    yield connection
    await connection.close()


async def _fill(connection: "asyncpg.Connection[asyncpg.Record]", first: int, last: int) -> None:
    for statement in FILL.strip().split(";\n"):
        await connection.execute(statement.replace("$1", str(first)).replace("$2", str(last)).rstrip(";"))
    await connection.execute("vacuum analyze")


async def test_a_list_costs_what_it_shows(connection: "asyncpg.Connection[asyncpg.Record]"):
    vault = Vault(Fernet.generate_key().decode())
    options = Options(Config())
    models = Models(options, Access(connection, options).roles, Activities(connection))  # type: ignore[arg-type]

    async def cost(limit: int, **changed: Any) -> tuple[int, int]:
        counted = Counted(connection)
        asked = {"names": None, "groups": (), "state": None, "name_filter": "", "sort": "id", "offset": 0}
        users, total = await Views(counted, vault).users(**{**asked, **changed}, limit=limit)
        shown = await models.users(Views(counted, vault), ADMIN, users, stopped=True)
        assert len(shown) == len(users) == limit
        assert total == await connection.fetchval("select count(*) from users")
        return len(counted.asked), await counted.pages()

    await _fill(connection, 1, 10_000)  # of a thousand rows Postgres rather reads all
    few = {sort: await cost(50, sort=sort) for sort in ("id", "-id", "name", "-name")}
    assert await cost(5) < await cost(50)
    assert {queries for queries, _ in few.values()} == {(await cost(5))[0]}
    await _fill(connection, 10_001, 40_000)
    for sort, (queries, pages) in few.items():
        assert (await cost(50, sort=sort))[0] == queries
        assert (await cost(50, sort=sort))[1] < pages * 1.5, sort


async def test_a_token_check_costs_the_same_with_many_tokens(connection: "asyncpg.Connection[asyncpg.Record]"):
    async def cost() -> int:
        counted = Counted(connection)
        access = Access(counted, Options(Config()))  # type: ignore[arg-type]
        identity = await access.by_token("secret")
        assert identity is not None and identity.name == "user-500" and len(counted.asked) == 1
        return await counted.pages()

    await _fill(connection, 1, 1_000)
    await connection.execute("update tokens set hash = $1 where id = '500'", token_hash("secret"))
    few = await cost()
    await _fill(connection, 1_001, 20_000)
    assert await cost() < few * 1.5
