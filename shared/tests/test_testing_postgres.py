"""The databases that other tests are given."""

import asyncpg
import pytest

from hubbub.testing.postgres import Database, PostgresServer


async def test_a_database_is_migrated_and_each_role_gets_in(database: Database) -> None:
    """Whoever asks for a database may use it at once, with the grants of its role."""
    for dsn in (database.owner_dsn, database.api_dsn, database.auth_dsn):
        connection = await asyncpg.connect(dsn)
        assert await connection.fetchval("select position from log_head") == 0
        await connection.close()


async def test_no_role_may_change_an_event(database: Database) -> None:
    """The log is append-only by grant."""
    connection = await asyncpg.connect(database.api_dsn)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("delete from events")
    await connection.close()


def test_two_databases_do_not_see_each_other(postgres: PostgresServer) -> None:
    """Each is a copy of its own, and usable without an event loop."""
    one, other = postgres.make(), postgres.make()
    assert one.name != other.name
    postgres.drop(one)
    postgres.drop(other)
