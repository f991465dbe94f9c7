"""Connections to Postgres."""

from hubbub.database import NOTICED, connect
from hubbub.testing.postgres import Database


async def test_postgres_knows_how_soon_it_is_to_notice_that_we_are_gone(database: Database):
    connection = await connect(database.api_dsn, server_settings={"application_name": "somebody"})
    try:
        # What the system says of the connection itself, not what was wished.
        rows = await connection.fetch("select name, setting from pg_settings where name = any($1)", list(NOTICED))
        assert {row["name"]: row["setting"] for row in rows} == NOTICED
        assert await connection.fetchval("show application_name") == "somebody"
    finally:
        await connection.close()
